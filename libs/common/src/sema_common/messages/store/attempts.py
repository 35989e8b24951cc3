"""Attempts to submit: the claim before the call, and when somebody must look at it. Used by sms-worker.

The row of (message, attempt) is the claim: only who inserted it may call the aggregator. `due_at` is when
the sweep must look at it again (a claim nobody finished, a retry, a doubt); NULL means that it is done.
A `waiting` row is nobody's claim: its message waits for the only route that may carry it, and whoever claims
the attempt takes the row over.
Locks are taken in the order balances → messages → attempts, rows in the order of their ids. Who writes attempts
by more than one statement locks their messages first (`reading.lock_status`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal, LiteralString
from uuid import UUID

from sema_common.platform.db import Tx
from sema_common.values.ids import first_id
from sema_common.wire.sms import Lane

AttemptState = Literal["waiting", "claimed", "accepted", "refused", "not_sent", "in_doubt", "settled"]
AttemptKey = tuple[UUID, int]


@dataclass(frozen=True, slots=True)
class Claim:
    """The wish to submit attempt `attempt` of a message through `aggregator`; `choice` says why there."""

    message_id: UUID
    attempt: int
    tenant_id: UUID
    lane: Lane
    aggregator: str
    choice: Mapping[str, Any] | None = None


SQL_CLAIM: Final[LiteralString] = """
INSERT INTO orch.submit_attempts AS a (message_id, attempt, tenant_id, lane, aggregator, choice, state, due_at)
SELECT c.*, 'claimed', $7
FROM unnest($1::uuid[], $2::smallint[], $3::uuid[], $4::text[], $5::text[], $6::jsonb[]) AS c
ON CONFLICT (message_id, attempt) DO UPDATE
SET state = 'claimed', aggregator = EXCLUDED.aggregator, choice = EXCLUDED.choice, due_at = EXCLUDED.due_at,
    claimed_at = now(), code = NULL, detail = NULL
WHERE a.state = 'waiting'
RETURNING message_id, attempt
"""


async def claim(tx: Tx, claims: Sequence[Claim], due_at: datetime) -> set[AttemptKey]:
    """Claim what nobody claimed before; only the answered ones may be submitted.

    `due_at` is the end of the lease: a claim that nobody finished by then is in doubt.
    """
    # One statement may touch a row once: of two equal claims the last is as good as the first.
    distinct = {(c.message_id, c.attempt): c for c in claims}
    ordered = [distinct[key] for key in sorted(distinct)]
    rows = await tx.fetch(
        SQL_CLAIM,
        [c.message_id for c in ordered],
        [c.attempt for c in ordered],
        [c.tenant_id for c in ordered],
        [c.lane for c in ordered],
        [c.aggregator for c in ordered],
        [c.choice for c in ordered],
        due_at,
    )
    return {(row["message_id"], row["attempt"]) for row in rows}


SQL_UNCLAIM: Final[LiteralString] = """
DELETE FROM orch.submit_attempts a USING unnest($1::uuid[], $2::smallint[]) AS c(message_id, attempt)
WHERE a.message_id = c.message_id AND a.attempt = c.attempt AND a.state = 'claimed'
"""


async def unclaim(tx: Tx, keys: Sequence[AttemptKey]) -> None:
    """Take back claims whose call certainly never left us (no way through): no attempt was made."""
    ordered = sorted(keys)
    await tx.execute(SQL_UNCLAIM, [k[0] for k in ordered], [k[1] for k in ordered])


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt as it stands."""

    message_id: UUID
    attempt: int
    tenant_id: UUID
    lane: Lane
    aggregator: str
    state: AttemptState
    aggregator_id: str | None
    code: str | None
    detail: str | None
    claimed_at: datetime
    finished_at: datetime | None
    due_at: datetime | None
    choice: dict[str, Any] | None = None


_ATTEMPT: Final[LiteralString] = """a.message_id, a.attempt, a.tenant_id, a.lane, a.aggregator, a.state,
    a.aggregator_id, a.code, a.detail, a.claimed_at, a.finished_at, a.due_at, a.choice"""

SQL_READ_ATTEMPTS: Final[LiteralString] = f"""
SELECT {_ATTEMPT} FROM unnest($1::uuid[]) AS wanted(message_id)
JOIN orch.submit_attempts a ON a.message_id = wanted.message_id
ORDER BY a.message_id, a.attempt
"""


async def read_attempts(tx: Tx, message_ids: Sequence[UUID]) -> dict[UUID, list[Attempt]]:
    """All attempts of these messages, oldest first."""
    found: dict[UUID, list[Attempt]] = {}
    for row in await tx.fetch(SQL_READ_ATTEMPTS, sorted(set(message_ids))):
        found.setdefault(row["message_id"], []).append(Attempt(*row.values()))
    return found


SQL_FIND_DUE: Final[LiteralString] = f"""
SELECT {_ATTEMPT} FROM orch.submit_attempts a WHERE a.due_at <= $1
ORDER BY a.due_at LIMIT $2 FOR NO KEY UPDATE SKIP LOCKED
"""


async def find_due(tx: Tx, now: datetime, at_most: int) -> list[Attempt]:
    """Lock attempts that somebody must look at; other workers' sweeps skip them until commit."""
    return [Attempt(*row.values()) for row in await tx.fetch(SQL_FIND_DUE, now, at_most)]


SQL_FIND_OLD: Final[LiteralString] = """
SELECT a.message_id, a.attempt FROM orch.submit_attempts a
WHERE (a.message_id, a.attempt) > ($1, $2::smallint) AND a.message_id < $3 AND a.due_at IS NULL
ORDER BY a.message_id, a.attempt LIMIT $4 FOR UPDATE SKIP LOCKED
"""


async def find_old(tx: Tx, after: AttemptKey, before: datetime, at_most: int) -> list[AttemptKey]:
    """Lock attempts with nothing due, of messages that were accepted before that, in order, after this one."""
    rows = await tx.fetch(SQL_FIND_OLD, *after, first_id(before), at_most)
    return [(row["message_id"], row["attempt"]) for row in rows]


SQL_FORGET: Final[LiteralString] = """
DELETE FROM orch.submit_attempts a USING unnest($1::uuid[], $2::smallint[]) AS c(message_id, attempt)
WHERE a.message_id = c.message_id AND a.attempt = c.attempt
"""


async def forget(tx: Tx, keys: Sequence[AttemptKey]) -> None:
    """Delete attempts; reports about them find nothing any more."""
    await tx.execute(SQL_FORGET, [k[0] for k in keys], [k[1] for k in keys])


SQL_SET_DUE: Final[LiteralString] = """
UPDATE orch.submit_attempts a SET due_at = c.due_at
FROM unnest($1::uuid[], $2::smallint[], $3::timestamptz[]) AS c(message_id, attempt, due_at)
WHERE a.message_id = c.message_id AND a.attempt = c.attempt
"""


async def set_due(tx: Tx, due: Sequence[tuple[AttemptKey, datetime | None]]) -> None:
    """Say when the sweep shall look again; None: never, it is done."""
    ordered = sorted(due, key=lambda item: item[0])
    await tx.execute(
        SQL_SET_DUE, [k[0] for k, _ in ordered], [k[1] for k, _ in ordered], [at for _, at in ordered]
    )


SQL_SET_DUE_UNLESS_MOVED: Final[LiteralString] = """
UPDATE orch.submit_attempts a SET due_at = c.due_at
FROM unnest($1::uuid[], $2::smallint[], $3::timestamptz[]) AS c(message_id, attempt, due_at)
WHERE a.message_id = c.message_id AND a.attempt = c.attempt AND a.due_at = $4
"""


async def set_due_unless_moved(
    tx: Tx, due: Sequence[tuple[AttemptKey, datetime | None]], was: datetime
) -> None:
    """`set_due` of those that are still due at `was`: what anybody has claimed, put off or ended since stays his."""
    ordered = sorted(due, key=lambda item: item[0])
    await tx.execute(
        SQL_SET_DUE_UNLESS_MOVED,
        [k[0] for k, _ in ordered],
        [k[1] for k, _ in ordered],
        [at for _, at in ordered],
        was,
    )
