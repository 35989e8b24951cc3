"""Statements on `dlr.quarantine`, and reading what is unmatched in `dlr.dlrs`."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, LiteralString
from uuid import UUID

from sema_common.platform.db import Tx
from sema_main_api.admin.quarantine.schemas import QuarantineQuery, UnmatchedQuery
from sema_main_api.http.paging import Moment


@dataclass(frozen=True, slots=True)
class Entry:
    """A body in quarantine, without the body itself."""

    id: UUID
    aggregator: str
    state: str
    reason: str
    content_type: str
    size: int
    received_at: datetime
    decided_at: datetime | None
    decided_by: str | None
    told_at: datetime | None


@dataclass(frozen=True, slots=True)
class Body(Entry):
    query: str = field(default="", repr=False)
    body: bytes = field(default=b"", repr=False)


_ENTRY: Final[
    LiteralString
] = """id, aggregator, state, reason, content_type, octet_length(body) AS size, received_at,
    decided_at, decided_by, told_at"""

SQL_LIST: Final[LiteralString] = f"""
SELECT {_ENTRY} FROM dlr.quarantine
WHERE state = $1 AND ($2::timestamptz IS NULL OR (received_at, id) < ($2, $3::uuid))
  AND ($4::text IS NULL OR aggregator = $4)
  AND ($5::timestamptz IS NULL OR received_at >= $5) AND ($6::timestamptz IS NULL OR received_at < $6)
ORDER BY received_at DESC, id DESC LIMIT $7
"""


async def list_entries(tx: Tx, query: QuarantineQuery, before: Moment | None, limit: int) -> list[Entry]:
    """Bodies in quarantine, the youngest first."""
    rows = await tx.fetch(
        SQL_LIST, query.state, *(before or (None, None)), query.aggregator, query.received_after,
        query.received_before, limit,
    )  # fmt: skip
    return [Entry(*row.values()) for row in rows]


SQL_LOCK: Final[LiteralString] = f"""
SELECT {_ENTRY}, query, body FROM dlr.quarantine WHERE id = $1 FOR NO KEY UPDATE
"""


async def lock(tx: Tx, entry_id: UUID) -> Body | None:
    """One body with what came beside it, locked."""
    row = await tx.fetchrow(SQL_LOCK, entry_id)
    return None if row is None else Body(*row.values())


SQL_DECIDE: Final[LiteralString] = """
UPDATE dlr.quarantine SET state = $2, decided_at = $3, decided_by = $4 WHERE id = $1
"""


async def decide(tx: Tx, entry_id: UUID, state: str, at: datetime, by: str) -> None:
    """Write what was decided about a locked body."""
    await tx.execute(SQL_DECIDE, entry_id, state, at, by)


SQL_TOLD: Final[LiteralString] = "UPDATE dlr.quarantine SET told_at = $2 WHERE id = $1 AND told_at IS NULL"


async def mark_told(tx: Tx, entry_id: UUID, at: datetime) -> None:
    """It is back on its queue."""
    await tx.execute(SQL_TOLD, entry_id, at)


SQL_FIND_UNTOLD: Final[LiteralString] = f"""
SELECT {_ENTRY}, query, body FROM dlr.quarantine
WHERE state = 'reread' AND told_at IS NULL AND decided_at < $1 ORDER BY decided_at LIMIT $2
"""


async def find_untold(tx: Tx, decided_before: datetime, limit: int) -> list[Body]:
    """Bodies to be read again whose publishing was cut short."""
    return [Body(*row.values()) for row in await tx.fetch(SQL_FIND_UNTOLD, decided_before, limit)]


SQL_COUNT_OPEN: Final[LiteralString] = "SELECT count(*) FROM dlr.quarantine WHERE state = 'open'"


async def count_open(tx: Tx) -> int:
    """Bodies that nobody has decided about."""
    found: int = await tx.fetchval(SQL_COUNT_OPEN)
    return found


SQL_PURGE: Final[LiteralString] = """
DELETE FROM dlr.quarantine WHERE id IN (
    SELECT id FROM dlr.quarantine WHERE state <> 'open' AND decided_at < $1 ORDER BY decided_at LIMIT $2)
"""


async def purge(tx: Tx, decided_before: datetime, limit: int) -> bool:
    """Delete what was decided long ago: bodies hold numbers. True: there may be more."""
    return await tx.execute(SQL_PURGE, decided_before, limit) == f"DELETE {limit}"


@dataclass(frozen=True, slots=True)
class Unmatched:
    """A report whose submit nobody knows, without its raw text."""

    id: UUID
    aggregator: str
    aggregator_id: str
    state: str
    status: str | None
    description: str
    error_code: str | None
    occurred_at: datetime | None
    received_at: datetime
    retry_at: datetime | None


SQL_UNMATCHED: Final[LiteralString] = """
SELECT id, aggregator, aggregator_id, state, status, description, error_code, occurred_at, received_at, retry_at
FROM dlr.dlrs
WHERE state IN ('unmatched', 'abandoned') AND ($1::text IS NULL OR state = $1)
  AND ($2::timestamptz IS NULL OR (received_at, id) < ($2, $3::uuid))
  AND ($4::text IS NULL OR aggregator = $4) AND ($5::text IS NULL OR aggregator_id = $5)
ORDER BY received_at DESC, id DESC LIMIT $6
"""


async def list_unmatched(tx: Tx, query: UnmatchedQuery, before: Moment | None, limit: int) -> list[Unmatched]:
    """Reports without a submit, the youngest first."""
    args: tuple[Any, ...] = (query.state, *(before or (None, None)), query.aggregator, query.aggregator_id)
    return [Unmatched(*row.values()) for row in await tx.fetch(SQL_UNMATCHED, *args, limit)]
