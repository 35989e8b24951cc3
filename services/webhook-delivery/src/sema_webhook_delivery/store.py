"""Every SQL statement of the room. Arrays of a statement are equally long; times come from the caller."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, LiteralString
from uuid import UUID

from sema_common.platform.db import Database, Row, Tx
from sema_webhook_delivery.rules import Outcome, Owed


@dataclass(frozen=True, slots=True)
class EndpointRow:
    """An endpoint as stored; secrets are sealed."""

    id: UUID
    url: str
    events: tuple[str, ...]
    secret: bytes
    old_secret: bytes | None
    old_secret_until: datetime | None
    disabled_at: datetime | None


@dataclass(frozen=True, slots=True)
class SubscriberRow:
    """An account with its endpoints, the deleted ones left out."""

    account_id: UUID
    tenant_id: UUID
    secret: bytes
    endpoints: tuple[EndpointRow, ...]


SQL_SUBSCRIBERS: Final[LiteralString] = """
SELECT a.id AS account_id, a.tenant_id, a.webhook_secret,
       e.id, e.url, e.events, e.secret, e.old_secret, e.old_secret_until, e.disabled_at
FROM unnest($1::uuid[]) AS wanted (id)
JOIN core.accounts a ON a.id = wanted.id
LEFT JOIN webhooks.endpoints e ON e.account_id = a.id AND e.deleted_at IS NULL
ORDER BY a.id, e.id
"""


async def read_subscribers(db: Database, account_ids: Iterable[UUID]) -> list[SubscriberRow]:
    """The accounts that exist among those asked for."""
    accounts: dict[UUID, tuple[Row, list[EndpointRow]]] = {}
    for row in await db.fetch(SQL_SUBSCRIBERS, sorted(set(account_ids))):
        _, endpoints = accounts.setdefault(row["account_id"], (row, []))
        if row["id"] is not None:
            endpoints.append(
                EndpointRow(
                    row["id"], row["url"], tuple(row["events"]), row["secret"], row["old_secret"],
                    row["old_secret_until"], row["disabled_at"],
                )
            )  # fmt: skip
    return [
        SubscriberRow(id_, row["tenant_id"], row["webhook_secret"], tuple(endpoints))
        for id_, (row, endpoints) in accounts.items()
    ]


SQL_INSERT_DELIVERIES: Final[LiteralString] = """
INSERT INTO webhooks.deliveries
    (id, tenant_id, account_id, endpoint_id, target, url, event_id, type, message_id, payload, created_at,
     traceparent, next_attempt_at)
SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $5::text[], $6::text[], $7::uuid[], $8::text[],
                     $9::uuid[], $10::text[], $11::timestamptz[], $12::text[], $13::timestamptz[])
ON CONFLICT (id) DO NOTHING
RETURNING id
"""


async def insert_deliveries(tx: Tx, owed: Sequence[Owed], due: Sequence[datetime]) -> set[UUID]:
    """Insert what is not there yet; the ids that are new."""
    rows = await tx.fetch(
        SQL_INSERT_DELIVERIES,
        [o.id for o in owed],
        [o.tenant_id for o in owed],
        [o.account_id for o in owed],
        [o.endpoint_id for o in owed],
        [o.target for o in owed],
        [o.url for o in owed],
        [o.event_id for o in owed],
        [o.type for o in owed],
        [o.message_id for o in owed],
        [o.payload for o in owed],
        [o.created_at for o in owed],
        [o.traceparent for o in owed],
        due,
    )
    return {row["id"] for row in rows}


_OWED: Final[LiteralString] = """
    d.id, d.tenant_id, d.account_id, d.endpoint_id, d.target, d.url, d.event_id, d.type, d.message_id, d.payload,
    d.created_at, d.traceparent, d.attempts
"""


def _owed(row: Row) -> Owed:
    return Owed(**dict(row.items()))


SQL_CLAIM_DUE: Final[LiteralString] = f"""
WITH due AS (
    SELECT id FROM webhooks.deliveries
    WHERE state = 'pending' AND next_attempt_at <= $1
    ORDER BY next_attempt_at LIMIT $3
    FOR UPDATE SKIP LOCKED
)
UPDATE webhooks.deliveries d SET next_attempt_at = $2 FROM due WHERE d.id = due.id
RETURNING {_OWED}
"""


async def claim_due(tx: Tx, now: datetime, lease_until: datetime, limit: int) -> list[Owed]:
    """Take due deliveries for ourselves: nobody else sees them as due before `lease_until`."""
    return [_owed(row) for row in await tx.fetch(SQL_CLAIM_DUE, now, lease_until, limit)]


# What is due within a lease may be in somebody's hands, and if not it is tried in a moment without being asked.
# The five seconds are for clocks that differ.
SQL_REDELIVER: Final[LiteralString] = f"""
UPDATE webhooks.deliveries d SET state = 'pending', next_attempt_at = $3, completed_at = NULL
FROM unnest($1::uuid[], $2::uuid[]) AS wish (id, account_id)
WHERE d.id = wish.id AND d.account_id = wish.account_id
  AND (d.next_attempt_at IS NULL OR d.next_attempt_at > $3::timestamptz + interval '5 seconds')
RETURNING {_OWED}
"""


async def redeliver(tx: Tx, wishes: Sequence[tuple[UUID, UUID]], lease_until: datetime) -> list[Owed]:
    """Make deliveries (id, account) pending again, whatever became of them, and take them for ourselves.

    Those that are pending and due before `lease_until` are left alone: an attempt is under way or about to be.
    """
    wishes = sorted(set(wishes))
    ids, accounts = [id_ for id_, _ in wishes], [account for _, account in wishes]
    return [_owed(row) for row in await tx.fetch(SQL_REDELIVER, ids, accounts, lease_until)]


SQL_SETTLE: Final[LiteralString] = """
UPDATE webhooks.deliveries d SET
    attempts = GREATEST(d.attempts, n.attempts),
    state = n.state, next_attempt_at = n.next_attempt_at, completed_at = n.completed_at
FROM unnest($1::uuid[], $2::smallint[], $3::text[], $4::timestamptz[], $5::timestamptz[])
    AS n (id, attempts, state, next_attempt_at, completed_at)
WHERE d.id = n.id AND (d.state = 'pending' OR n.state = 'succeeded')
"""


async def settle(tx: Tx, outcomes: Sequence[Outcome]) -> None:
    """Write what became of deliveries. What has ended meanwhile stays as it is, unless it succeeded after all."""
    await tx.execute(
        SQL_SETTLE,
        [o.owed.id for o in outcomes],
        [o.attempt.number if o.attempt else o.owed.attempts for o in outcomes],
        [o.state for o in outcomes],
        [o.next_attempt_at for o in outcomes],
        [None if o.state == "pending" else o.at for o in outcomes],
    )


SQL_INSERT_ATTEMPTS: Final[LiteralString] = """
INSERT INTO webhooks.webhook_delivery_attempts
    (delivery_id, attempt, tenant_id, started_at, duration_ms, status_code, error, response)
SELECT * FROM unnest($1::uuid[], $2::smallint[], $3::uuid[], $4::timestamptz[], $5::integer[], $6::smallint[],
                     $7::text[], $8::text[])
ON CONFLICT DO NOTHING
"""


async def insert_attempts(tx: Tx, outcomes: Sequence[Outcome]) -> None:
    """The requests that were made; the same number twice is the first one's."""
    made = [(o.owed, o.attempt) for o in outcomes if o.attempt is not None]
    await tx.execute(
        SQL_INSERT_ATTEMPTS,
        [owed.id for owed, _ in made],
        [a.number for _, a in made],
        [owed.tenant_id for owed, _ in made],
        [a.started_at for _, a in made],
        [a.duration_ms for _, a in made],
        [a.status_code for _, a in made],
        [a.error for _, a in made],
        [a.response for _, a in made],
    )


SQL_MARK_WELL: Final[LiteralString] = """
UPDATE webhooks.endpoints SET failing_since = NULL WHERE id = ANY($1::uuid[]) AND failing_since IS NOT NULL
"""


async def mark_well(tx: Tx, endpoint_ids: Sequence[UUID]) -> None:
    """An endpoint that took something has not been failing without a break."""
    await tx.execute(SQL_MARK_WELL, endpoint_ids)


SQL_MARK_FAILING: Final[LiteralString] = """
UPDATE webhooks.endpoints SET failing_since = $2 WHERE id = ANY($1::uuid[]) AND failing_since IS NULL
"""


async def mark_failing(tx: Tx, endpoint_ids: Sequence[UUID], now: datetime) -> None:
    """Note since when nothing but failures came."""
    await tx.execute(SQL_MARK_FAILING, endpoint_ids, now)


SQL_DISABLE: Final[LiteralString] = """
UPDATE webhooks.endpoints SET disabled_at = $2, disabled_reason = $3
WHERE id = ANY($1::uuid[]) AND disabled_at IS NULL AND failing_since <= $4
RETURNING id, account_id
"""


async def disable(
    tx: Tx, endpoint_ids: Sequence[UUID], now: datetime, reason: str, failing_until: datetime
) -> list[tuple[UUID, UUID]]:
    """Disable those that have been failing since `failing_until` or longer; (endpoint, account) of each."""
    rows = await tx.fetch(SQL_DISABLE, endpoint_ids, now, reason, failing_until)
    return [(row["id"], row["account_id"]) for row in rows]


SQL_CANCEL: Final[LiteralString] = """
UPDATE webhooks.deliveries SET state = 'cancelled', next_attempt_at = NULL, completed_at = $2
WHERE id IN (
    SELECT id FROM webhooks.deliveries WHERE endpoint_id = ANY($1::uuid[]) AND state = 'pending'
    LIMIT $3 FOR UPDATE SKIP LOCKED
)
RETURNING id
"""


async def cancel(tx: Tx, endpoint_ids: Sequence[UUID], now: datetime, limit: int) -> int:
    """Cancel at most `limit` of what is still owed to these endpoints; how many there were."""
    return len(await tx.fetch(SQL_CANCEL, endpoint_ids, now, limit))


# Only what is pending has a next attempt. Said by `state`, the partial index would be read in whole.
SQL_RELEASE: Final[LiteralString] = """
UPDATE webhooks.deliveries SET next_attempt_at = $2 WHERE id = ANY($1::uuid[]) AND next_attempt_at IS NOT NULL
"""


async def release(tx: Tx, ids: Sequence[UUID], now: datetime) -> None:
    """Give claimed deliveries back: they are due for whoever comes first."""
    await tx.execute(SQL_RELEASE, ids, now)


SQL_PURGE: Final[LiteralString] = """
DELETE FROM webhooks.deliveries WHERE id IN (
    SELECT id FROM webhooks.deliveries WHERE created_at < $1 AND state <> 'pending'
    LIMIT $2 FOR UPDATE SKIP LOCKED
)
RETURNING id
"""


async def purge(tx: Tx, before: datetime, limit: int) -> int:
    """Delete at most `limit` ended deliveries older than that, with their attempts; how many there were."""
    return len(await tx.fetch(SQL_PURGE, before, limit))


SQL_OLDEST_DUE: Final[LiteralString] = """
SELECT min(next_attempt_at) FROM webhooks.deliveries WHERE state = 'pending'
"""


async def oldest_due(db: Database) -> datetime | None:
    """When the next pending delivery is, or was, due."""
    found: datetime | None = await db.fetchval(SQL_OLDEST_DUE)
    return found
