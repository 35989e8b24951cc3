"""Reading what strangers send: every function takes anything and answers None where it finds nothing.

Shared by the adapters. Knows no aggregator's names or codes; those stay in the adapter's own file.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta, timezone
from email.utils import parsedate_to_datetime
from typing import Any, Final
from urllib.parse import parse_qsl

from pydantic_core import from_json

from sema_aggregators.port import Report, Unreadable

NAIROBI: Final = timezone(timedelta(hours=3), "EAT")
"""Kenya has had no other offset since 1960: a fixed one needs no zone files."""

MAX_TEXT: Final = 200
"""Characters kept of an id or a description; the longest documented ones have under 70."""

MAX_WAIT_SECONDS: Final = 3600.0
"""No aggregator may silence a route for longer than this by one header."""

MAX_FIELDS: Final = 10_000
"""Fields of one form: dlr-webhook takes 256 KiB, so an honest body stays far below."""

CLOCK_SKEW: Final = timedelta(minutes=5)
OLDEST: Final = timedelta(days=366)
_EPOCH_MS_FROM: Final = 100_000_000_000
"""Greater numbers are milliseconds: as seconds this is the year 5138."""


def json(body: bytes) -> object:
    """The JSON in `body`, or None. Integers of any size stay exact; a UTF-8 byte order mark is ignored."""
    try:
        value: object = from_json(body.removeprefix(b"\xef\xbb\xbf"), cache_strings="keys")
    except ValueError:
        return None
    return value


def form(text: str) -> dict[str, str]:
    """A form body or a query string; the first of several equal names wins."""
    try:
        pairs = parse_qsl(text, max_num_fields=MAX_FIELDS, errors="replace")
    except ValueError:
        return {}
    fields: dict[str, str] = {}
    for name, value in pairs:
        fields.setdefault(name, value)
    return fields


def text(value: object) -> str | None:
    """Ids and words as text, whatever type they came as. None for empty, boolean, nested or oversized ones.

    NUL is refused: Postgres cannot store it.
    """
    if type(value) is str:
        word = value.strip()
        return word if 0 < len(word) <= MAX_TEXT and "\x00" not in word else None
    if type(value) is int:
        return str(value) if abs(value) < 10**MAX_TEXT else None
    if type(value) is float and value.is_integer():
        return text(int(value))
    return None


def number(value: object) -> int | None:
    """A whole number given as one or as ASCII digits."""
    if type(value) is int:
        return value
    if type(value) is str and len(value) <= 18 and value.isascii() and value.isdigit():
        return int(value)
    return None


def moment(value: object, zone: timezone, received_at: datetime) -> datetime | None:
    """A time as ISO 8601 (also with a blank), epoch seconds or epoch milliseconds, in UTC.

    `zone` holds where none is given. None for what nobody can read, and for what cannot be true: later than
    it was received (but for the skew of clocks), or older than a year.
    """
    try:
        epoch = number(value)
        if epoch is not None:
            at = datetime.fromtimestamp(epoch / 1000 if epoch >= _EPOCH_MS_FROM else epoch, UTC)
        elif type(value) is str:
            at = datetime.fromisoformat(value.strip())
            at = (at if at.tzinfo else at.replace(tzinfo=zone)).astimezone(UTC)
        else:
            return None
    except (ValueError, OverflowError, OSError):
        return None
    return at if received_at - OLDEST <= at <= received_at + CLOCK_SKEW else None


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait by `Retry-After` (RFC 9110 §10.2.3), at most an hour.

    A date is measured against the answer's own `Date`: both are of the same clock, and ours is not asked.
    """
    given = headers.get("retry-after")
    if given is None:
        return None
    seconds = number(given.strip())
    if seconds is not None:
        return min(float(seconds), MAX_WAIT_SECONDS)
    try:
        wait = parsedate_to_datetime(given) - parsedate_to_datetime(headers.get("date", ""))
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return min(max(wait.total_seconds(), 0.0), MAX_WAIT_SECONDS)


def folded(words: str) -> str:
    """How documented words are compared: letters and digits only, in lower case."""
    return "".join(filter(str.isalnum, words.lower()))


def e164(number: str | None) -> str | None:
    """A number with its country's code, with or without `+`, as E.164; None for whatever is none."""
    digits = (number or "").removeprefix("+")
    if not (digits.isascii() and digits.isdigit()):
        return None
    return "+" + digits if 9 <= len(digits) <= 15 and digits[0] != "0" else None


def records(body: bytes, query: str, listed: str | None = None) -> Iterator[object]:
    """The parts of a request: JSON whatever its content type says, else a form, else the query string.

    A JSON list holds many, as does a list under the name `listed`.
    """
    value = json(body)
    if listed is not None and type(value) is dict and type(value.get(listed)) is list:
        value = value[listed]
    if type(value) is list:
        yield from value
    elif type(value) is dict:
        yield value
    else:
        fields = form(body.decode("utf-8", "replace")) or form(query)
        if fields:
            yield fields


def read_all(items: Iterable[object], read: Callable[[Mapping[str, Any]], Report | str]) -> list[Report]:
    """What `read` makes of each object: a report, or why there is none. Raises `Unreadable`.

    It is given the names in lower case without `-` and `_`: senders are not of one mind about them.
    """
    reports: list[Report] = []
    reason: str | None = None
    for item in items:
        if type(item) is dict:
            found = read(
                {key.lower().replace("-", "").replace("_", ""): value for key, value in item.items()}
            )
        else:
            found = "a report that is not an object"
        if isinstance(found, Report):
            reports.append(found)
        else:
            reason = found
    if reason is not None or not reports:
        raise Unreadable(reason or "no report in it", reports)
    return reports
