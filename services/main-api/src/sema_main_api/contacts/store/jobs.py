"""`core.contact_validation_jobs`."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, LiteralString
from uuid import UUID

from sema_common.platform.db import Tx


@dataclass(frozen=True, slots=True)
class JobRow:
    id: UUID
    account_id: UUID
    contact_list_id: UUID
    status: str
    total: int
    processed: int
    valid: int
    invalid: int
    by_mno: dict[str, int]
    by_reason: dict[str, int]
    failure: str | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


_COLUMNS: Final = """id, account_id, contact_list_id, status, total, processed, valid, invalid, by_mno, by_reason,
    failure, created_at, started_at, finished_at"""

SQL_INSERT_JOB: Final[LiteralString] = f"""
INSERT INTO core.contact_validation_jobs (id, tenant_id, account_id, contact_list_id) VALUES ($1, $2, $3, $4)
RETURNING {_COLUMNS}
"""


async def insert_job(tx: Tx, job_id: UUID, tenant_id: UUID, account_id: UUID, list_id: UUID) -> JobRow:
    """A job that has nothing to do yet."""
    row = await tx.fetchrow(SQL_INSERT_JOB, job_id, tenant_id, account_id, list_id)
    assert row is not None
    return JobRow(*row.values())


SQL_SET_TOTAL: Final[LiteralString] = """
UPDATE core.contact_validation_jobs SET total = $2, status = CASE WHEN $2 = 0 THEN 'completed' ELSE 'queued' END,
    finished_at = CASE WHEN $2 = 0 THEN now() END
WHERE id = $1
"""


async def set_total(tx: Tx, job_id: UUID, total: int) -> None:
    """What a new job has to do; one with nothing to do is completed."""
    await tx.execute(SQL_SET_TOTAL, job_id, total)


SQL_LIVE_JOBS: Final[LiteralString] = """
SELECT id FROM core.contact_validation_jobs WHERE contact_list_id = $1 AND status IN ('queued', 'running')
"""


async def live_jobs(tx: Tx, list_id: UUID) -> list[UUID]:
    """Jobs of a list that are queued or running."""
    return [row["id"] for row in await tx.fetch(SQL_LIVE_JOBS, list_id)]


SQL_LOCK_LIVE: Final[LiteralString] = """
SELECT id FROM core.contact_validation_jobs WHERE contact_list_id = $1 AND status IN ('queued', 'running')
ORDER BY id FOR NO KEY UPDATE
"""


async def lock_live_jobs(tx: Tx, list_id: UUID) -> list[UUID]:
    """The same, held until the transaction ends: whoever changes pending contacts in numbers keeps out of the way
    of phone-validator's chunks, which lock a job before its contacts."""
    return [row["id"] for row in await tx.fetch(SQL_LOCK_LIVE, list_id)]


SQL_LOCK_ALL: Final[LiteralString] = """
SELECT FROM core.contact_validation_jobs WHERE contact_list_id = $1 ORDER BY id FOR UPDATE
"""


async def lock_all_jobs(tx: Tx, list_id: UUID, timeout: float) -> None:
    """Every job of a list that is about to go with its contacts: a contact may be held by its job, living or not."""
    await tx.execute(SQL_LOCK_ALL, list_id, timeout=timeout)


SQL_READ_JOB: Final[LiteralString] = f"""
SELECT {_COLUMNS} FROM core.contact_validation_jobs WHERE id = $1 AND account_id = $2
"""


async def read_job(tx: Tx, job_id: UUID, account_id: UUID) -> JobRow | None:
    """One job of the account."""
    row = await tx.fetchrow(SQL_READ_JOB, job_id, account_id)
    return None if row is None else JobRow(*row.values())


SQL_LOCK_JOB: Final[LiteralString] = f"""
SELECT {_COLUMNS} FROM core.contact_validation_jobs WHERE id = $1 AND account_id = $2 FOR NO KEY UPDATE
"""


async def lock_job(tx: Tx, job_id: UUID, account_id: UUID) -> JobRow | None:
    """One job, held until the transaction ends: phone-validator's next chunk waits, as we wait for this one."""
    row = await tx.fetchrow(SQL_LOCK_JOB, job_id, account_id)
    return None if row is None else JobRow(*row.values())


SQL_JOBS: Final[LiteralString] = f"""
SELECT {_COLUMNS} FROM core.contact_validation_jobs
WHERE contact_list_id = $1 AND account_id = $2 AND ($3::uuid IS NULL OR id < $3)
ORDER BY id DESC LIMIT $4
"""


async def page_of_jobs(
    tx: Tx, list_id: UUID, account_id: UUID, before: UUID | None, limit: int
) -> list[JobRow]:
    """A list's jobs, newest first."""
    return [JobRow(*row.values()) for row in await tx.fetch(SQL_JOBS, list_id, account_id, before, limit)]


SQL_ABORT: Final[LiteralString] = f"""
UPDATE core.contact_validation_jobs SET status = 'aborted', finished_at = now() WHERE id = $1 RETURNING {_COLUMNS}
"""


async def abort_job(tx: Tx, job_id: UUID) -> JobRow:
    """A locked job goes no further; what it has judged stays judged."""
    row = await tx.fetchrow(SQL_ABORT, job_id)
    assert row is not None
    return JobRow(*row.values())


SQL_RESUME: Final[LiteralString] = f"""
UPDATE core.contact_validation_jobs SET status = 'queued', finished_at = NULL, failure = NULL, published_at = NULL,
    total = processed + (SELECT count(*) FROM core.contacts WHERE job_id = $1 AND validity = 'pending')
WHERE id = $1 RETURNING {_COLUMNS}
"""


COUNT_SECONDS: Final = 30.0
"""A million pending contacts are counted within it."""


async def resume_job(tx: Tx, job_id: UUID) -> JobRow:
    """A locked job goes on with what is still pending of it."""
    row = await tx.fetchrow(SQL_RESUME, job_id, timeout=COUNT_SECONDS)
    assert row is not None
    return JobRow(*row.values())


SQL_LESS: Final[LiteralString] = "UPDATE core.contact_validation_jobs SET total = total - 1 WHERE id = $1"


async def one_less(tx: Tx, job_id: UUID) -> None:
    """A contact that a living job had before it is gone."""
    await tx.execute(SQL_LESS, job_id)


@dataclass(frozen=True, slots=True)
class Untold:
    """A job that `contacts.validate` has to be told of."""

    job_id: UUID
    account_id: UUID
    contact_list_id: UUID
    default_country: str | None


SQL_UNTOLD: Final[LiteralString] = """
SELECT j.id, j.account_id, j.contact_list_id, l.default_country
FROM core.contact_validation_jobs j JOIN core.contact_lists l ON l.id = j.contact_list_id
WHERE j.published_at IS NULL AND j.status = 'queued' AND j.created_at <= now() - make_interval(secs => $1)
ORDER BY j.created_at LIMIT $2
FOR NO KEY UPDATE OF j SKIP LOCKED
"""


async def lock_untold(tx: Tx, seconds: float, limit: int) -> list[Untold]:
    """Jobs that were committed so long ago and have not been published, the oldest first."""
    return [Untold(*row.values()) for row in await tx.fetch(SQL_UNTOLD, seconds, limit)]


SQL_TOLD: Final[LiteralString] = """
UPDATE core.contact_validation_jobs j SET published_at = now() FROM unnest($1::uuid[]) AS told(id) WHERE j.id = told.id
"""


async def mark_told(tx: Tx, job_ids: Sequence[UUID]) -> None:
    """`contacts.validate` has confirmed them."""
    await tx.execute(SQL_TOLD, list(job_ids))


SQL_WATCH: Final[LiteralString] = """
SELECT count(*) FILTER (WHERE published_at IS NULL AND status = 'queued') AS untold, min(created_at) AS oldest
FROM core.contact_validation_jobs WHERE status IN ('queued', 'running')
"""


async def watch_jobs(tx: Tx) -> tuple[int, datetime | None]:
    """How many jobs nobody was told of, and since when the oldest living one waits."""
    row = await tx.fetchrow(SQL_WATCH)
    assert row is not None
    return row["untold"], row["oldest"]
