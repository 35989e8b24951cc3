"""Every SQL statement of phone-validator."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final, LiteralString
from uuid import UUID

from sema_common.platform.db import Tx
from sema_common.values.networks import MnoRow
from sema_phone_validator.rules import Tally, Verdict


@dataclass(frozen=True, slots=True)
class Job:
    """A validation job as its row lock found it; `region` is the default country of its list."""

    status: str
    region: str | None
    tally: Tally


SQL_LOCK_JOB: Final[LiteralString] = """
SELECT j.status, l.default_country, j.valid, j.invalid, j.by_mno, j.by_reason
FROM core.contact_validation_jobs j JOIN core.contact_lists l ON l.id = j.contact_list_id
WHERE j.id = $1 AND j.account_id = $2
FOR NO KEY UPDATE OF j
"""


async def lock_job(tx: Tx, job_id: UUID, account_id: UUID) -> Job | None:
    """The job, held until the transaction ends: one instance at a time works on it, and an abort waits."""
    row = await tx.fetchrow(SQL_LOCK_JOB, job_id, account_id)
    if row is None:
        return None
    status, region, *counters = row
    return Job(status, region, Tally(*counters))


SQL_READ_PENDING: Final[LiteralString] = """
SELECT id, phone FROM core.contacts
WHERE job_id = $1 AND validity = 'pending' AND id > $2
ORDER BY id LIMIT $3
FOR NO KEY UPDATE
"""


async def read_pending(tx: Tx, job_id: UUID, after: UUID, limit: int) -> dict[UUID, str]:
    """Numbers that wait, by contact id and in its order; locked, so that none changes while it is judged."""
    return {row["id"]: row["phone"] for row in await tx.fetch(SQL_READ_PENDING, job_id, after, limit)}


SQL_WRITE_VERDICTS: Final[LiteralString] = """
UPDATE core.contacts c
SET validity = v.validity, msisdn = v.msisdn, country = v.country, mno = v.mno, mno_tier = v.mno_tier,
    reason = v.reason, suggestion = v.suggestion, validated_at = $9
FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::smallint[], $7::text[],
            $8::text[]) AS v(id, validity, msisdn, country, mno, mno_tier, reason, suggestion)
WHERE c.id = v.id
"""


async def write_verdicts(tx: Tx, verdicts: Mapping[UUID, Verdict], at: datetime) -> None:
    """Each contact's verdict; the rows are locked by `read_pending` of this transaction."""
    each = verdicts.values()
    await tx.execute(
        SQL_WRITE_VERDICTS,
        list(verdicts),
        [v.validity for v in each],
        [v.msisdn for v in each],
        [v.country for v in each],
        [v.mno for v in each],
        [v.mno_tier for v in each],
        [v.reason for v in each],
        [v.suggestion for v in each],
        at,
    )


SQL_SAVE_PROGRESS: Final[LiteralString] = """
UPDATE core.contact_validation_jobs
SET status = $2, processed = $3, valid = $4, invalid = $5, by_mno = $6, by_reason = $7,
    started_at = COALESCE(started_at, $8), finished_at = $9
WHERE id = $1
"""


async def save_progress(tx: Tx, job_id: UUID, tally: Tally, at: datetime, finished: bool) -> None:
    """The counters that go with the verdicts of this transaction, and whether they were the last."""
    await tx.execute(
        SQL_SAVE_PROGRESS,
        job_id,
        "completed" if finished else "running",
        tally.processed,
        tally.valid,
        tally.invalid,
        dict(tally.by_mno),
        dict(tally.by_reason),
        at,
        at if finished else None,
    )


SQL_FAIL_JOB: Final[LiteralString] = """
UPDATE core.contact_validation_jobs SET status = 'failed', failure = $2, finished_at = $3
WHERE id = $1 AND status IN ('queued', 'running')
"""


async def fail_job(tx: Tx, job_id: UUID, failure: str, at: datetime) -> None:
    """A job that we give up, with the words for its customer; what it has judged stays judged."""
    await tx.execute(SQL_FAIL_JOB, job_id, failure, at)


SQL_READ_PREFIXES: Final[LiteralString] = """
SELECT prefix, country, mno, source FROM core.mno_prefixes ORDER BY prefix, source
"""


async def read_prefixes(tx: Tx) -> list[MnoRow]:
    """The whole registry, both tiers: about a thousand rows."""
    return [MnoRow(*row) for row in await tx.fetch(SQL_READ_PREFIXES)]
