"""Delivery reports move messages. Used by dlr-processor, in batches; `dlr.dlrs` itself is its own."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal, LiteralString
from uuid import UUID

from sema_common.messages.status import Status
from sema_common.messages.store.rows import COLUMNS, MessageRow, message_row
from sema_common.platform.db import Tx
from sema_common.values.ids import id_time

SQL_FIND_SUBMITS: Final[LiteralString] = """
SELECT a.aggregator, a.aggregator_id, a.message_id
FROM unnest($1::text[], $2::text[]) AS wanted(aggregator, aggregator_id)
JOIN orch.submit_attempts a ON a.aggregator = wanted.aggregator AND a.aggregator_id = wanted.aggregator_id
"""


async def find_submits(tx: Tx, keys: Sequence[tuple[str, str]]) -> dict[tuple[str, str], UUID]:
    """Which message an (aggregator, aggregator id) was given for; a missing one is early, or not ours.

    An id that was given for several messages tells none of them, so it is missing too.
    """
    ordered = sorted(set(keys))
    rows = await tx.fetch(SQL_FIND_SUBMITS, [k[0] for k in ordered], [k[1] for k in ordered])
    found: dict[tuple[str, str], set[UUID]] = {}
    for row in rows:
        found.setdefault((row["aggregator"], row["aggregator_id"]), set()).add(row["message_id"])
    return {key: ids.pop() for key, ids in found.items() if len(ids) == 1}


@dataclass(frozen=True, slots=True)
class Reported:
    """What a batch of reports says of one message: the highest status among them."""

    message_id: UUID
    status: Literal["delivered", "failed", "expired"]
    at: datetime
    error: dict[str, Any] | None
    detail: dict[str, Any]


SQL_APPLY_REPORTS: Final[LiteralString] = f"""
WITH reported AS MATERIALIZED (
    SELECT * FROM unnest($1::uuid[], $2::timestamptz[], $3::text[], $4::timestamptz[], $5::jsonb[], $6::jsonb[])
        AS r(message_id, enqueued_at, status, reported_at, error, detail)
), moved AS (
    UPDATE orch.sms_messages m
    SET status = r.status, last_error = r.error, updated_at = now(),
        status_updated_at = GREATEST(r.reported_at, m.sent_at, m.queued_at, m.enqueued_at),
        processed_at = GREATEST(r.reported_at, m.sent_at, m.queued_at, m.enqueued_at),
        delivered_at = CASE WHEN r.status = 'delivered'
                            THEN GREATEST(r.reported_at, m.sent_at, m.queued_at, m.enqueued_at) END
    FROM reported r
    WHERE m.message_id = r.message_id AND m.enqueued_at = r.enqueued_at
      AND orch.status_rank(r.status) > orch.status_rank(m.status)
    RETURNING {COLUMNS}, r.detail AS report_detail,
        -- A query in RETURNING sees the row as the statement found it.
        (SELECT old.status FROM orch.sms_messages old
         WHERE old.message_id = r.message_id AND old.enqueued_at = r.enqueued_at) AS old_status
), events AS (
    INSERT INTO orch.message_events (message_id, enqueued_at, tenant_id, event_key, status, occurred_at, source, detail)
    SELECT message_id, enqueued_at, tenant_id, status, status, status_updated_at, 'dlr-processor', report_detail
    FROM moved
    ON CONFLICT DO NOTHING
)
SELECT * FROM moved
"""


@dataclass(frozen=True, slots=True)
class Moved:
    """A message that a report moved: as it stands now, and what it was before."""

    row: MessageRow
    was: Status


async def apply_reports(tx: Tx, reported: Sequence[Reported]) -> dict[UUID, Moved]:
    """Move what climbs, with its event; answers what moved.

    A report's own time has whole seconds at best: no message is shown as delivered before it was sent.

    Who refunds (an account with `refund_undelivered`) locks the balances first.
    """
    ordered = sorted(reported, key=lambda r: r.message_id)
    rows = await tx.fetch(
        SQL_APPLY_REPORTS,
        [r.message_id for r in ordered],
        [id_time(r.message_id) for r in ordered],
        [r.status for r in ordered],
        [r.at for r in ordered],
        [r.error for r in ordered],
        [r.detail for r in ordered],
    )
    return {row["message_id"]: Moved(message_row(row), row["old_status"]) for row in rows}


@dataclass(frozen=True, slots=True)
class Noted:
    """A report that moves no status but belongs into the history: `sent_to_network`, a contradiction, a late word."""

    message_id: UUID
    tenant_id: UUID
    event_key: str
    status: str
    at: datetime
    detail: dict[str, Any]


SQL_NOTE_REPORTS: Final[LiteralString] = """
INSERT INTO orch.message_events (message_id, enqueued_at, tenant_id, event_key, status, occurred_at, source, detail)
SELECT n.message_id, n.enqueued_at, n.tenant_id, n.event_key, n.status, GREATEST(n.at, n.enqueued_at),
       'dlr-processor', n.detail
FROM unnest($1::uuid[], $2::timestamptz[], $3::uuid[], $4::text[], $5::text[], $6::timestamptz[], $7::jsonb[])
    AS n(message_id, enqueued_at, tenant_id, event_key, status, at, detail)
ON CONFLICT DO NOTHING
"""


async def note_reports(tx: Tx, noted: Sequence[Noted]) -> None:
    """Write events that move nothing; repeating one is a no-op. None is dated before its message was accepted."""
    ordered = sorted(noted, key=lambda n: (n.message_id, n.event_key))
    await tx.execute(
        SQL_NOTE_REPORTS,
        [n.message_id for n in ordered],
        [id_time(n.message_id) for n in ordered],
        [n.tenant_id for n in ordered],
        [n.event_key for n in ordered],
        [n.status for n in ordered],
        [n.at for n in ordered],
        [n.detail for n in ordered],
    )
