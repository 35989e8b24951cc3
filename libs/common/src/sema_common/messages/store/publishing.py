"""From `submitted` to `queued`: the messages table is its own outbox.

The relay marks what RabbitMQ confirmed; the sweep finds what no relay got to, after a crash or an outage.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final, LiteralString
from uuid import UUID

from sema_common.messages.store.rows import COLUMNS, MessageRow, message_row
from sema_common.platform.db import Database, Tx

SQL_MARK_QUEUED: Final[LiteralString] = """
WITH confirmed AS MATERIALIZED (
    SELECT * FROM unnest($1::uuid[], $2::timestamptz[], $3::uuid[], $4::timestamptz[])
        AS c(message_id, enqueued_at, tenant_id, confirmed_at)
), marked AS (
    UPDATE orch.sms_messages m
    SET status = CASE WHEN m.status = 'submitted' THEN 'queued' ELSE m.status END,
        status_updated_at = CASE WHEN m.status = 'submitted' THEN c.confirmed_at ELSE m.status_updated_at END,
        queued_at = COALESCE(m.queued_at, c.confirmed_at),
        updated_at = now()
    FROM confirmed c WHERE m.message_id = c.message_id AND m.enqueued_at = c.enqueued_at
)
INSERT INTO orch.message_events (message_id, enqueued_at, tenant_id, event_key, status, occurred_at, source)
SELECT message_id, enqueued_at, tenant_id, 'queued', 'queued', confirmed_at, 'main-api' FROM confirmed
ON CONFLICT DO NOTHING
"""


async def mark_queued(
    tx: Tx | Database,
    message_ids: Sequence[UUID],
    enqueued_at: Sequence[datetime],
    tenant_ids: Sequence[UUID],
    confirmed_at: Sequence[datetime],
) -> None:
    """Record the confirms, sorted by message id. A message that a fast worker already sent keeps its status.

    To be repeated at will, so it may run outside a transaction.
    """
    await tx.execute(SQL_MARK_QUEUED, message_ids, enqueued_at, tenant_ids, confirmed_at)


SQL_FIND_UNPUBLISHED: Final[LiteralString] = f"""
SELECT {COLUMNS} FROM orch.sms_messages m
WHERE m.status = 'submitted' AND m.enqueued_at < $1 AND m.enqueued_at > $2
ORDER BY m.enqueued_at LIMIT $3 FOR NO KEY UPDATE SKIP LOCKED
"""

OLDEST_SWEPT: Final = timedelta(days=4)
"""No message lives longer than 259,200 s (its longest validity), so older partitions need no look."""


async def find_unpublished(tx: Tx, now: datetime, older_than: timedelta, at_most: int) -> list[MessageRow]:
    """Lock messages that are still `submitted` after `older_than`; other sweeps skip them until commit."""
    rows = await tx.fetch(SQL_FIND_UNPUBLISHED, now - older_than, now - OLDEST_SWEPT, at_most)
    return [message_row(row) for row in rows]


SQL_COUNT_UNPUBLISHED: Final[LiteralString] = """
SELECT count(*) AS waiting, min(enqueued_at) AS oldest FROM orch.sms_messages
WHERE status = 'submitted' AND enqueued_at > $1
"""


async def count_unpublished(tx: Tx, now: datetime) -> tuple[int, datetime | None]:
    """How many messages wait for RabbitMQ, and since when the oldest one does."""
    row = await tx.fetchrow(SQL_COUNT_UNPUBLISHED, now - OLDEST_SWEPT)
    assert row is not None
    return row["waiting"], row["oldest"]


SQL_ENSURE_PARTITIONS: Final[LiteralString] = "SELECT orch.ensure_partitions($1)"


async def ensure_partitions(tx: Tx, months_ahead: int = 3) -> datetime:
    """Make the monthly partitions up to so many months ahead; answers where the newest one ends."""
    until: datetime = await tx.fetchval(SQL_ENSURE_PARTITIONS, months_ahead)
    return until
