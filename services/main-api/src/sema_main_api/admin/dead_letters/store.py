"""Statements on `core.dead_letters`, on what its letters name, and on what a discard changes."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, LiteralString
from uuid import UUID

from sema_common.messages.store.attempts import read_attempts
from sema_common.messages.store.reading import read_messages
from sema_common.messages.store.reports import find_submits
from sema_common.platform.db import Row, Tx
from sema_main_api.admin.dead_letters.rules.known import Campaign, Delivery, Known, Validation
from sema_main_api.admin.dead_letters.rules.letters import Letter, Named
from sema_main_api.admin.dead_letters.schemas import LetterFilter, LetterQuery
from sema_main_api.http.paging import Moment

SQL_COUNT: Final[LiteralString] = """
SELECT d.queue, d.state, count(*), min(d.dead_at) AS oldest FROM core.dead_letters d GROUP BY d.queue, d.state
"""


async def count(tx: Tx) -> dict[tuple[str, str], tuple[int, datetime]]:
    """(how many, since when the oldest) by (queue, state)."""
    return {(row["queue"], row["state"]): (row["count"], row["oldest"]) for row in await tx.fetch(SQL_COUNT)}


@dataclass(frozen=True, slots=True)
class Entry:
    """A letter as a list shows it, without its body."""

    id: UUID
    queue: str
    state: str
    reason: str
    type: str
    version: str
    size: int
    deliveries: int
    dead_at: datetime
    decided_at: datetime | None
    decided_by: str | None
    told_at: datetime | None


SQL_LIST: Final[LiteralString] = """
SELECT id, queue, state, reason, COALESCE(type, ''), COALESCE(version, ''), octet_length(body), delivery_count,
       dead_at, decided_at, decided_by, told_at
FROM core.dead_letters
WHERE queue = $1 AND state = $2 AND ($3::timestamptz IS NULL OR (dead_at, id) < ($3, $4::uuid))
  AND ($5::text IS NULL OR starts_with(reason, $5)) AND ($6::text IS NULL OR type = $6)
  AND ($7::timestamptz IS NULL OR dead_at >= $7) AND ($8::timestamptz IS NULL OR dead_at < $8)
ORDER BY dead_at DESC, id DESC LIMIT $9
"""


async def list_letters(
    tx: Tx, queue: str, query: LetterQuery, before: Moment | None, limit: int
) -> list[Entry]:
    """Letters of a queue, the youngest first."""
    rows = await tx.fetch(
        SQL_LIST, queue, query.state, *(before or (None, None)), query.reason, query.type, query.dead_after,
        query.dead_before, limit,
    )  # fmt: skip
    return [Entry(*row.values()) for row in rows]


_LETTER: Final[
    LiteralString
] = """id, queue, reason, COALESCE(type, '') AS type, COALESCE(version, '') AS version,
    headers, body, delivery_count, dead_at, state, decided_at, decided_by, told_at, sent_type, sent_version,
    sent_body"""

SQL_READ: Final[LiteralString] = f"SELECT {_LETTER} FROM core.dead_letters WHERE id = $1 AND queue = $2"


async def read_letter(tx: Tx, queue: str, letter_id: UUID) -> Letter | None:
    """One letter of a queue."""
    row = await tx.fetchrow(SQL_READ, letter_id, queue)
    return None if row is None else _letter(row)


SQL_LOCK: Final[LiteralString] = f"""
SELECT {_LETTER} FROM core.dead_letters WHERE id = ANY($1::uuid[]) AND queue = $2 ORDER BY id FOR NO KEY UPDATE
"""


async def lock_letters(tx: Tx, queue: str, letter_ids: Sequence[UUID]) -> list[Letter]:
    """Letters of a queue, locked: one decision at a time."""
    return [_letter(row) for row in await tx.fetch(SQL_LOCK, sorted(set(letter_ids)), queue)]


SQL_FIND_OPEN: Final[LiteralString] = """
SELECT id, dead_at FROM core.dead_letters
WHERE queue = $1 AND state = 'open' AND ($2::timestamptz IS NULL OR (dead_at, id) > ($2, $3::uuid))
  AND ($4::text IS NULL OR starts_with(reason, $4)) AND ($5::text IS NULL OR type = $5)
  AND ($6::timestamptz IS NULL OR dead_at >= $6) AND ($7::timestamptz IS NULL OR dead_at < $7)
ORDER BY dead_at, id LIMIT $8
"""


async def find_open(
    tx: Tx, queue: str, wanted: LetterFilter, after: Moment | None, limit: int
) -> list[Moment]:
    """Open letters of a queue, the oldest first."""
    rows = await tx.fetch(
        SQL_FIND_OPEN, queue, *(after or (None, None)), wanted.reason, wanted.type, wanted.dead_after,
        wanted.dead_before, limit,
    )  # fmt: skip
    return [(row["dead_at"], row["id"]) for row in rows]


SQL_DECIDE: Final[LiteralString] = f"""
UPDATE core.dead_letters
SET state = $2, decided_at = $3, decided_by = $4, sent_type = $5, sent_version = $6, sent_body = $7, told_at = $8
WHERE id = $1
RETURNING {_LETTER}
"""


async def decide(tx: Tx, letter: Letter) -> Letter:
    """Write what was decided about a locked letter: its state and what goes with it."""
    row = await tx.fetchrow(
        SQL_DECIDE, letter.id, letter.state, letter.decided_at, letter.decided_by, letter.sent_type,
        letter.sent_version, letter.sent_body, letter.told_at,
    )  # fmt: skip
    assert row is not None
    return _letter(row)


SQL_TOLD: Final[LiteralString] = """
UPDATE core.dead_letters SET told_at = $2 WHERE id = ANY($1::uuid[]) AND told_at IS NULL
"""


async def mark_told(tx: Tx, letter_ids: Sequence[UUID], at: datetime) -> None:
    """What was decided about these has been published."""
    await tx.execute(SQL_TOLD, sorted(letter_ids), at)


SQL_FIND_UNTOLD: Final[LiteralString] = f"""
SELECT {_LETTER} FROM core.dead_letters WHERE state <> 'open' AND told_at IS NULL AND decided_at < $1
ORDER BY decided_at LIMIT $2
"""


async def find_untold(tx: Tx, decided_before: datetime, limit: int) -> list[Letter]:
    """Decisions whose publishing was cut short."""
    return [_letter(row) for row in await tx.fetch(SQL_FIND_UNTOLD, decided_before, limit)]


SQL_PURGE: Final[LiteralString] = """
DELETE FROM core.dead_letters WHERE id IN (
    SELECT id FROM core.dead_letters WHERE state <> 'open' AND told_at IS NOT NULL AND decided_at < $1
    ORDER BY decided_at LIMIT $2)
"""


async def purge(tx: Tx, decided_before: datetime, limit: int) -> bool:
    """Delete what was decided long ago: letters hold numbers and texts. True: there may be more."""
    return await tx.execute(SQL_PURGE, decided_before, limit) == f"DELETE {limit}"


SQL_SUSPENDED: Final[LiteralString] = """
SELECT a.id FROM core.accounts a JOIN core.accounts p ON p.id = a.billing_account_id
WHERE a.id = ANY($1::uuid[]) AND 'suspended' IN (a.status, p.status)
"""
SQL_CAMPAIGNS: Final[LiteralString] = """
SELECT id, account_id, status FROM core.campaigns WHERE id = ANY($1::uuid[])
"""
SQL_VALIDATIONS: Final[LiteralString] = """
SELECT id, account_id, contact_list_id, status, total, processed FROM core.contact_validation_jobs
WHERE id = ANY($1::uuid[])
"""
SQL_DELIVERIES: Final[LiteralString] = """
SELECT id, account_id, state FROM webhooks.deliveries WHERE id = ANY($1::uuid[])
"""


async def read_known(tx: Tx, names: Sequence[Named], reports: Sequence[tuple[str, str]] = ()) -> Known:
    """What the database knows of everything that is named; `reports` are (aggregator, aggregator's id)."""
    submits = await find_submits(tx, reports) if reports else {}
    messages = {each for named in names for each in named.messages} | set(submits.values())
    rows = await read_messages(tx, list(messages)) if messages else {}
    accounts = {each for named in names for each in named.accounts} | {
        row.account_id for row in rows.values()
    }
    campaigns = [named.campaign_id for named in names if named.campaign_id]
    jobs = [named.job_id for named in names if named.job_id]
    deliveries = [named.delivery_id for named in names if named.delivery_id]
    return Known(
        messages=rows,
        attempts=await read_attempts(tx, list(messages)) if messages else {},
        suspended=frozenset(row["id"] for row in await _rows(tx, SQL_SUSPENDED, list(accounts))),
        campaigns={row["id"]: Campaign(*row.values()) for row in await _rows(tx, SQL_CAMPAIGNS, campaigns)},
        validations={row["id"]: Validation(*row.values()) for row in await _rows(tx, SQL_VALIDATIONS, jobs)},
        deliveries={
            row["id"]: Delivery(*row.values()) for row in await _rows(tx, SQL_DELIVERIES, deliveries)
        },
        submits=submits,
    )


async def _rows(tx: Tx, sql: LiteralString, ids: Sequence[UUID]) -> Sequence[Row]:
    return await tx.fetch(sql, sorted(set(ids))) if ids else ()


SQL_FAIL_VALIDATION: Final[LiteralString] = """
UPDATE core.contact_validation_jobs SET status = 'failed', finished_at = $2
WHERE id = $1 AND status IN ('queued', 'running')
"""


async def fail_validation(tx: Tx, job_id: UUID, at: datetime) -> bool:
    """False if the job has ended already."""
    return await tx.execute(SQL_FAIL_VALIDATION, job_id, at) == "UPDATE 1"


def _letter(row: Row) -> Letter:
    values: dict[str, Any] = dict(row)
    return Letter(**values)
