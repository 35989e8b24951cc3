"""What a batch of deliveries holds: reports to match, bodies that nobody could read, reports that are stored. Pure.

A row's id comes from its delivery and its place there, so it is the same however often the delivery comes.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final
from uuid import UUID

from sema_aggregators import READERS, RawReport, Report, Unreadable
from sema_common.platform.bus import Delivery
from sema_common.values.ids import event_id
from sema_common.wire.dlr import OverdueMessages, RawDlr, RawDlrs, RematchDlrs
from sema_dlr_processor.rules import Kept

Inbound = RawDlrs | RematchDlrs | OverdueMessages

RAW_KEPT: Final = 4000
"""Characters of a raw report that are stored beside what was read in it."""


@dataclass(frozen=True, slots=True)
class Unread:
    """A body that its adapter could not read, in whole or in part."""

    id: UUID
    aggregator: str
    reason: str
    content_type: str
    query: str
    body: bytes
    received_at: datetime


@dataclass(slots=True)
class Inbox:
    """`stored` are the keys of rows whose submit has come to be known; `overdue` messages whose time is over."""

    kept: list[Kept] = field(default_factory=list)
    unread: list[Unread] = field(default_factory=list)
    stored: list[tuple[UUID, datetime]] = field(default_factory=list)
    overdue: list[UUID] = field(default_factory=list)


def open_inbox(deliveries: Iterable[Delivery[Inbound]]) -> Inbox:
    """Read every raw report of the batch."""
    inbox = Inbox()
    for delivery in deliveries:
        if isinstance(delivery.message, RematchDlrs):
            inbox.stored += [(one.id, one.received_at) for one in delivery.message.reports]
            continue
        if isinstance(delivery.message, OverdueMessages):
            inbox.overdue += delivery.message.message_ids
            continue
        for index, raw in enumerate(delivery.message.reports):
            found, reason = _read(raw)
            if reason is not None:
                name = event_id("quarantine", delivery.event_id, index)
                inbox.unread.append(
                    Unread(
                        name, raw.aggregator, reason, raw.content_type, raw.query, raw.body, raw.received_at
                    )
                )
            text = raw.body.decode("utf-8", "replace").replace("\x00", "")[:RAW_KEPT] or raw.query[:RAW_KEPT]
            for place, report in enumerate(found):
                name = event_id("dlr", delivery.event_id, index, place)
                inbox.kept.append(Kept(name, raw.received_at, raw.aggregator, report, text))
    return inbox


def set_aside(kept: Kept, reason: str) -> Unread:
    """A report that could be read and must not be believed, for staff to look at."""
    return Unread(kept.id, kept.aggregator, reason, "", "", kept.raw.encode(), kept.received_at)


def _read(raw: RawDlr) -> tuple[Sequence[Report], str | None]:
    """The reports of one body, and why that is not all of it."""
    reader = READERS.get(raw.aggregator)
    if reader is None:
        return (), "no adapter of that name"
    try:
        return reader.read_reports(RawReport(raw.content_type, raw.query, raw.body, raw.received_at)), None
    except Unreadable as unreadable:
        return unreadable.reports, unreadable.reason
