"""What came of attempts: attempt, message and event in one statement each. Used by sms-worker.

Every statement locks messages before attempts, in the order of their ids, and may be repeated: an outcome never
lowers a status, and an event that is there stays as it is.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal, LiteralString
from uuid import UUID

from sema_common.platform.db import Database, Tx
from sema_common.values.ids import id_time


@dataclass(frozen=True, slots=True)
class Sent:
    """An aggregator accepted this attempt."""

    message_id: UUID
    attempt: int
    tenant_id: UUID
    aggregator: str
    aggregator_id: str
    queued_at: datetime
    at: datetime


SQL_RECORD_SENT: Final[LiteralString] = """
WITH sent AS MATERIALIZED (
    SELECT * FROM unnest($1::uuid[], $2::timestamptz[], $3::smallint[], $4::uuid[], $5::text[], $6::text[],
                         $7::timestamptz[], $8::timestamptz[])
        AS s(message_id, enqueued_at, attempt, tenant_id, aggregator, aggregator_id, queued_at, sent_at)
), messages AS (
    UPDATE orch.sms_messages m
    SET status = CASE WHEN orch.status_rank(m.status) < orch.status_rank('sent') THEN 'sent' ELSE m.status END,
        status_updated_at = CASE WHEN orch.status_rank(m.status) < orch.status_rank('sent') THEN s.sent_at
                                 ELSE m.status_updated_at END,
        queued_at = COALESCE(m.queued_at, s.queued_at), sent_at = COALESCE(m.sent_at, s.sent_at),
        route_id = s.aggregator, aggregator_id = s.aggregator_id, attempt_count = s.attempt, updated_at = now()
    FROM sent s WHERE m.message_id = s.message_id AND m.enqueued_at = s.enqueued_at
    RETURNING s.*
), attempts AS (
    -- From the messages just moved: parts of WITH run in any order unless one reads the other.
    UPDATE orch.submit_attempts a
    SET state = 'accepted', aggregator_id = s.aggregator_id, finished_at = s.sent_at, due_at = NULL
    FROM messages s WHERE a.message_id = s.message_id AND a.attempt = s.attempt
    RETURNING s.*, a.choice
)
INSERT INTO orch.message_events (message_id, enqueued_at, tenant_id, event_key, status, occurred_at, source, detail)
SELECT message_id, enqueued_at, tenant_id, 'sent:' || attempt, 'sent', sent_at, 'sms-worker',
       jsonb_build_object('aggregator', aggregator, 'aggregator_id', aggregator_id, 'attempt', attempt,
                          'route', choice)
FROM attempts ON CONFLICT DO NOTHING
"""


async def record_sent(tx: Tx | Database, sent: Sequence[Sent]) -> None:
    """Record acceptances: attempt, message and event. Repeating it changes nothing, so that it may stand alone."""
    ordered = sorted(sent, key=lambda s: s.message_id)
    await tx.execute(
        SQL_RECORD_SENT,
        [s.message_id for s in ordered],
        [id_time(s.message_id) for s in ordered],
        [s.attempt for s in ordered],
        [s.tenant_id for s in ordered],
        [s.aggregator for s in ordered],
        [s.aggregator_id for s in ordered],
        [s.queued_at for s in ordered],
        [s.at for s in ordered],
    )


@dataclass(frozen=True, slots=True)
class Ended:
    """A message ends here without having been delivered. `attempt` 0: no attempt brought it about."""

    message_id: UUID
    attempt: int
    tenant_id: UUID
    status: Literal["failed", "expired"]
    code: str
    detail: str
    at: datetime
    aggregator: str | None = None

    @property
    def error(self) -> dict[str, Any]:
        """The message object's `error`."""
        return {"code": self.code, "detail": self.detail}


SQL_RECORD_ENDED: Final[LiteralString] = """
WITH ended AS MATERIALIZED (
    SELECT * FROM unnest($1::uuid[], $2::timestamptz[], $3::smallint[], $4::uuid[], $5::text[], $6::jsonb[],
                         $7::timestamptz[], $8::text[])
        AS e(message_id, enqueued_at, attempt, tenant_id, status, error, ended_at, aggregator)
), moved AS (
    UPDATE orch.sms_messages m
    SET status = e.status, last_error = e.error, status_updated_at = e.ended_at, processed_at = e.ended_at,
        attempt_count = GREATEST(m.attempt_count, e.attempt), route_id = COALESCE(e.aggregator, m.route_id),
        updated_at = now()
    FROM ended e
    WHERE m.message_id = e.message_id AND m.enqueued_at = e.enqueued_at
      AND orch.status_rank(m.status) < orch.status_rank(e.status)
    RETURNING m.message_id
), attempts AS (
    UPDATE orch.submit_attempts a
    SET state = CASE WHEN a.state = 'in_doubt' THEN 'settled' ELSE 'refused' END, due_at = NULL,
        code = e.error->>'code', detail = e.error->>'detail', finished_at = e.ended_at
    FROM ended e WHERE a.message_id = e.message_id AND a.attempt = e.attempt AND a.due_at IS NOT NULL
), events AS (
    INSERT INTO orch.message_events (message_id, enqueued_at, tenant_id, event_key, status, occurred_at, source, detail)
    SELECT e.message_id, e.enqueued_at, e.tenant_id, e.status || ':' || e.attempt, e.status, e.ended_at,
           $9, e.error || jsonb_build_object('aggregator', e.aggregator, 'route',
               (SELECT a.choice FROM orch.submit_attempts a
                WHERE a.message_id = e.message_id AND a.attempt = e.attempt))
    FROM ended e JOIN moved USING (message_id) ON CONFLICT DO NOTHING
)
SELECT message_id FROM moved
"""


async def record_ended(tx: Tx, ended: Sequence[Ended], source: str = "sms-worker") -> set[UUID]:
    """End these messages; answers those that ended now. The rest had already climbed as high or higher.

    `source`: the room that says so. Called by `messages.ending`, which refunds.
    """
    ordered = sorted(ended, key=lambda e: e.message_id)
    rows = await tx.fetch(
        SQL_RECORD_ENDED,
        [e.message_id for e in ordered],
        [id_time(e.message_id) for e in ordered],
        [e.attempt for e in ordered],
        [e.tenant_id for e in ordered],
        [e.status for e in ordered],
        [e.error for e in ordered],
        [e.at for e in ordered],
        [e.aggregator for e in ordered],
        source,
    )
    return {row["message_id"] for row in rows}


@dataclass(frozen=True, slots=True)
class Unfinished:
    """An attempt that did not end the message: to be tried again, or in doubt. `due_at`: when to look."""

    message_id: UUID
    attempt: int
    tenant_id: UUID
    state: Literal["not_sent", "in_doubt", "settled"]
    code: str
    detail: str
    at: datetime
    due_at: datetime | None


SQL_RECORD_UNFINISHED: Final[LiteralString] = """
WITH unfinished AS MATERIALIZED (
    SELECT * FROM unnest($1::uuid[], $2::timestamptz[], $3::smallint[], $4::uuid[], $5::text[], $6::text[],
                         $7::text[], $8::timestamptz[], $9::timestamptz[])
        AS u(message_id, enqueued_at, attempt, tenant_id, state, code, detail, finished_at, due_at)
), attempts AS (
    UPDATE orch.submit_attempts a
    SET state = u.state, code = u.code, detail = u.detail, finished_at = u.finished_at, due_at = u.due_at
    FROM unfinished u
    WHERE a.message_id = u.message_id AND a.attempt = u.attempt AND a.state IN ('claimed', 'in_doubt')
)
INSERT INTO orch.message_events (message_id, enqueued_at, tenant_id, event_key, status, occurred_at, source, detail)
SELECT message_id, enqueued_at, tenant_id, event.name || ':' || attempt, event.name, finished_at, 'sms-worker',
       jsonb_build_object('code', code, 'detail', detail, 'attempt', attempt, 'due_at', due_at) || COALESCE(
           (SELECT jsonb_build_object('aggregator', a.aggregator, 'route', a.choice) FROM orch.submit_attempts a
            WHERE a.message_id = u.message_id AND a.attempt = u.attempt), '{}')
FROM unfinished u,
     LATERAL (SELECT CASE state WHEN 'not_sent' THEN 'retry' WHEN 'settled' THEN 'resend' ELSE state END) AS event(name)
ON CONFLICT DO NOTHING
"""


async def record_unfinished(tx: Tx, unfinished: Sequence[Unfinished]) -> None:
    """Record attempts that leave the message `queued`: events `retry`, `in_doubt` and `resend`."""
    ordered = sorted(unfinished, key=lambda u: u.message_id)
    await tx.execute(
        SQL_RECORD_UNFINISHED,
        [u.message_id for u in ordered],
        [id_time(u.message_id) for u in ordered],
        [u.attempt for u in ordered],
        [u.tenant_id for u in ordered],
        [u.state for u in ordered],
        [u.code for u in ordered],
        [u.detail for u in ordered],
        [u.at for u in ordered],
        [u.due_at for u in ordered],
    )


@dataclass(frozen=True, slots=True)
class Waiting:
    """A message that waits for the only route that may carry it: no attempt was made, none is used up.

    `choice`: what was passed over, and why; `due_at`: when to ask again.
    """

    message_id: UUID
    attempt: int
    tenant_id: UUID
    lane: str
    aggregator: str
    choice: Mapping[str, Any]
    at: datetime
    due_at: datetime


SQL_RECORD_WAITING: Final[LiteralString] = """
WITH waiting AS MATERIALIZED (
    SELECT * FROM unnest($1::uuid[], $2::timestamptz[], $3::smallint[], $4::uuid[], $5::text[], $6::text[],
                         $7::jsonb[], $8::timestamptz[], $9::timestamptz[])
        AS w(message_id, enqueued_at, attempt, tenant_id, lane, aggregator, choice, at, due_at)
), attempts AS (
    INSERT INTO orch.submit_attempts AS a (message_id, attempt, tenant_id, lane, aggregator, choice, state, due_at)
    SELECT message_id, attempt, tenant_id, lane, aggregator, choice, 'waiting', due_at FROM waiting
    ON CONFLICT (message_id, attempt) DO UPDATE SET due_at = EXCLUDED.due_at, choice = EXCLUDED.choice
    WHERE a.state = 'waiting'
)
INSERT INTO orch.message_events (message_id, enqueued_at, tenant_id, event_key, status, occurred_at, source, detail)
SELECT message_id, enqueued_at, tenant_id, 'waiting:' || attempt, 'waiting', at, 'sms-worker',
       jsonb_build_object('attempt', attempt, 'route', choice)
FROM waiting ON CONFLICT DO NOTHING
"""


async def record_waiting(tx: Tx, waiting: Sequence[Waiting]) -> None:
    """Let messages wait until `due_at`, with an event the first time. What somebody has claimed stays his."""
    distinct = {(w.message_id, w.attempt): w for w in waiting}
    ordered = [distinct[key] for key in sorted(distinct)]
    await tx.execute(
        SQL_RECORD_WAITING,
        [w.message_id for w in ordered],
        [id_time(w.message_id) for w in ordered],
        [w.attempt for w in ordered],
        [w.tenant_id for w in ordered],
        [w.lane for w in ordered],
        [w.aggregator for w in ordered],
        [w.choice for w in ordered],
        [w.at for w in ordered],
        [w.due_at for w in ordered],
    )
