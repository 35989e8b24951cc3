"""Is the token ours, and which reports travel together. Pure."""

import hashlib
import hmac
from collections.abc import Iterable, Iterator, Mapping
from typing import Final
from uuid import UUID

from sema_common.values.ids import event_id
from sema_common.wire.dlr import MAX_REPORTS, RawDlr

MAX_BODY: Final = 256 * 1024
"""Bytes of one report, its query string included; real ones are below 1 KiB."""

MAX_BUNDLE: Final = 384 * 1024
"""Bytes of the reports in one AMQP message: 512 KiB in base64. One report always fits."""


def admits(tokens: Mapping[str, tuple[bytes, ...]], aggregator: str, token: bytes) -> bool:
    """Whether the token is one of the aggregator's; its time does not tell how much of it is right."""
    known = tokens.get(aggregator)
    # A list, so that no early hit ends it; an unknown name is compared as well.
    matches = [hmac.compare_digest(token, each) for each in known or (b"?" * 32,)]
    return known is not None and any(matches)


def bundles(reports: Iterable[RawDlr]) -> Iterator[tuple[RawDlr, ...]]:
    """The reports in their order, cut where a bundle would hold more than MAX_REPORTS or MAX_BUNDLE bytes."""
    bundle: list[RawDlr] = []
    held = 0
    for report in reports:
        size = len(report.body) + len(report.query)
        if bundle and (len(bundle) == MAX_REPORTS or held + size > MAX_BUNDLE):
            yield tuple(bundle)
            bundle, held = [], 0
        bundle.append(report)
        held += size
    if bundle:
        yield tuple(bundle)


def bundle_id(bundle: Iterable[RawDlr]) -> UUID:
    """The event id of a bundle, from what it says and not from when it came.

    The consumer names its rows by (event id, index). A redelivery keeps the event id whatever it is; that it
    is the same for the same content also covers what a redelivery is not: a publish that timed out and was
    taken all the same, followed by the aggregator's second try of the report that we answered 503.
    """
    digest = hashlib.sha256()
    for report in bundle:
        for part in (
            report.aggregator.encode(),
            report.content_type.encode(),
            report.query.encode(),
            report.body,
        ):
            digest.update(len(part).to_bytes(4, "big"))
            digest.update(part)
    return event_id("dlr.raw", digest.hexdigest())
