"""Lists: newest first, a page at a time, by a cursor that only fits the list that it came from.

A cursor is a position (the key of the last row shown) and a checksum over the position, the caller's account and
the filters. It grants nothing, since every query names the account itself; it only keeps a page of one list
from being continued in another.
"""

import base64
import binascii
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import Any, Final, TypeVar
from uuid import UUID

from pydantic import Field

from sema_common.values.errors import Refused
from sema_main_api.http.bodies import Query

DEFAULT_LIMIT: Final = 50
MAX_LIMIT: Final = 200
_CHECKSUM: Final = 6
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)

Moment = tuple[datetime, UUID]
"""The position in a list that is sorted by a time and an id."""

T = TypeVar("T")
R = TypeVar("R")


class PageQuery(Query):
    """`limit` and `cursor`, as every list takes them; a list with filters adds its own fields."""

    limit: int = Field(default=DEFAULT_LIMIT, ge=1, le=MAX_LIMIT, description="Rows in this page.")
    cursor: str | None = Field(default=None, max_length=512, description="`next_cursor` of the page before.")

    def filters(self) -> str:
        """All that a cursor of this list is bound to."""
        return self.model_dump_json(exclude={"limit", "cursor"}, exclude_none=True)


def number(text: str) -> int:
    """A position by a bigint; ValueError for what the column could not hold."""
    found = int(text)
    if not 0 <= found < 1 << 63:
        raise ValueError("no row has such a number")
    return found


class Pager:
    """The page that one request asks for. `name` is the list's, unique among lists."""

    def __init__(self, name: str, account_id: UUID, query: PageQuery) -> None:
        self.limit = query.limit
        self._bound = f"{name}\n{account_id}\n{query.filters()}\n".encode()
        self.position = None if query.cursor is None else self._open(query.cursor)

    @property
    def fetch(self) -> int:
        """Rows to ask the store for: one more than is shown tells whether there are more."""
        return self.limit + 1

    def after(self, parse: Callable[[str], R]) -> R | None:
        """Where the page before ended, by `parse` (`UUID`, `number`, …); None on the first page."""
        if self.position is None:
            return None
        try:
            return parse(self.position)
        except ValueError:
            raise _invalid() from None

    def page(
        self, rows: Sequence[T], show: Callable[[T], Any], position: Callable[[T], object]
    ) -> dict[str, Any]:
        """The answer of a list: `rows` are those fetched, `position` is what the next page continues after."""
        shown = rows[: self.limit]
        more = len(rows) > self.limit
        return {
            "data": [show(row) for row in shown],
            "has_more": more,
            "next_cursor": self._seal(str(position(shown[-1]))) if more else None,
        }

    def _seal(self, position: str) -> str:
        raw = position.encode()
        return base64.urlsafe_b64encode(self._checksum(raw) + raw).rstrip(b"=").decode()

    def _open(self, cursor: str) -> str:
        try:
            raw = base64.b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4), b"-_", validate=True)
            position = raw[_CHECKSUM:].decode()
        except (ValueError, binascii.Error):
            raise _invalid() from None
        if raw[:_CHECKSUM] != self._checksum(raw[_CHECKSUM:]):
            raise _invalid()
        return position

    def _checksum(self, position: bytes) -> bytes:
        return blake2b(self._bound + position, digest_size=_CHECKSUM).digest()


def moment(at: datetime, row_id: UUID) -> str:
    """A row of a list that is sorted by time and id, as a position: microseconds since 1970 and the id."""
    return f"{(at - _EPOCH) // _MICROSECOND}:{row_id}"


def moment_of(text: str) -> Moment:
    """The same back; ValueError for anything else."""
    microseconds, _, row_id = text.partition(":")
    try:
        return _EPOCH + int(microseconds) * _MICROSECOND, UUID(row_id)
    except OverflowError:
        raise ValueError("no such moment") from None


def _invalid() -> Refused:
    return Refused("invalid_cursor", "The cursor is not one of this list with these filters.", 400)
