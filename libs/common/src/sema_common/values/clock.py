"""The one seam for time: every `now` in the product comes from here, so a test can move all of it at once."""

import re
from datetime import UTC, datetime
from typing import Final

_RFC3339: Final = re.compile(
    r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:[Zz]|[+-]\d\d:\d\d)", re.ASCII
)


def now() -> datetime:
    """The present moment, UTC, to the microsecond."""
    return datetime.now(UTC)


def wire_time(moment: datetime) -> str:
    """RFC 3339 in UTC to the millisecond, as answers and wire messages have it; ValueError without a zone."""
    if moment.tzinfo is None:
        raise ValueError("a time without a zone is no moment")
    # isoformat cuts the microseconds off rather than rounding, so a time is never written before it happened.
    return moment.astimezone(UTC).isoformat(timespec="milliseconds")[:-6] + "Z"


def parse_time(text: str) -> datetime:
    """A moment out of RFC 3339 text, in UTC. ValueError without a zone or in any other form."""
    # fromisoformat alone also takes week dates, missing seconds and times without a zone.
    if not _RFC3339.fullmatch(text):
        raise ValueError("not an RFC 3339 time with a zone, such as 2026-11-20T09:30:00Z")
    try:
        return datetime.fromisoformat(text.upper()).astimezone(UTC)
    except OverflowError:
        raise ValueError("outside the years 1 to 9999") from None
