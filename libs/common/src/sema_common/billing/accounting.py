"""The ledger added up: by day and kind for statements, by country, MNO and rate for invoices and reports.

Incremental and exact: entries are taken by windows of the transactions that wrote them, up to the oldest one that
still runs, so that none is missed and none is counted twice; the sums and the cursor move in one commit. What must
never happen: a balance that is not the sum of its days and of what has not been added up yet (`find_drift`).
"""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Final, LiteralString
from uuid import UUID

from sema_common.platform.db import Tx

AT_ONCE: Final = 20_000
"""Entries in one window: a fraction of a second."""

SETTLED_SECONDS: Final = 600.0
"""No transaction that writes the ledger lives longer: what began before is in, once the cursor is so much later."""

SQL_CURSOR: Final[LiteralString] = """
SELECT until_xid FROM billing.accounting_cursor FOR UPDATE SKIP LOCKED
"""
SQL_AHEAD: Final[LiteralString] = """
SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint AS oldest_running,
       (SELECT xid FROM billing.credit_ledger WHERE xid >= $1 ORDER BY xid LIMIT 1) AS first,
       (SELECT xid FROM billing.credit_ledger WHERE xid >= $1 ORDER BY xid OFFSET $2 LIMIT 1) AS beyond
"""
SQL_ADD_LEDGER: Final[LiteralString] = """
INSERT INTO billing.ledger_days AS d
    (account_id, day, kind, counter_account, tenant_id, entries, amount, first_entry, last_entry)
SELECT account_id, (created_at AT TIME ZONE 'UTC')::date, kind, counter_account, tenant_id,
       count(*), sum(amount), min(entry_id), max(entry_id)
FROM billing.credit_ledger WHERE xid >= $1 AND xid < $2
GROUP BY 1, 2, 3, 4, 5
ON CONFLICT (account_id, day, kind, counter_account) DO UPDATE SET
    entries = d.entries + excluded.entries, amount = d.amount + excluded.amount,
    first_entry = LEAST(d.first_entry, excluded.first_entry), last_entry = GREATEST(d.last_entry, excluded.last_entry)
"""
# The message's partition is in its id: the first 48 bits are the millisecond of its enqueued_at.
SQL_ADD_USAGE: Final[LiteralString] = """
WITH moved AS MATERIALIZED (
    SELECT account_id, tenant_id, (created_at AT TIME ZONE 'UTC')::date AS day, kind, reference, amount,
           timestamptz 'epoch' + interval '1 millisecond'
               * ('x' || left(replace(reference::text, '-', ''), 12))::bit(48)::bigint AS enqueued_at
    FROM billing.credit_ledger WHERE xid >= $1 AND xid < $2 AND kind IN ('charge', 'refund')
), named AS (
    SELECT moved.account_id, moved.tenant_id, day, kind, COALESCE(m.account_id, moved.account_id) AS sent_by,
           COALESCE(m.country, 'ZZ') AS country, COALESCE(m.operator_id, '') AS mno, abs(amount) AS amount,
           COALESCE(m.segment_count, 1) AS segments
    FROM moved LEFT JOIN orch.sms_messages m ON m.message_id = reference AND m.enqueued_at = moved.enqueued_at
)
INSERT INTO billing.usage_days AS u (account_id, day, sent_by, country, mno, rate, tenant_id, messages, segments,
    amount, refunded_messages, refunded_segments, refunded_amount)
SELECT account_id, day, sent_by, country, mno, round(amount / segments, 4), tenant_id,
       count(*) FILTER (WHERE kind = 'charge'), COALESCE(sum(segments) FILTER (WHERE kind = 'charge'), 0),
       COALESCE(sum(amount) FILTER (WHERE kind = 'charge'), 0),
       count(*) FILTER (WHERE kind = 'refund'), COALESCE(sum(segments) FILTER (WHERE kind = 'refund'), 0),
       COALESCE(sum(amount) FILTER (WHERE kind = 'refund'), 0)
FROM named GROUP BY 1, 2, 3, 4, 5, 6, 7
ON CONFLICT (account_id, day, sent_by, country, mno, rate) DO UPDATE SET
    messages = u.messages + excluded.messages, segments = u.segments + excluded.segments,
    amount = u.amount + excluded.amount, refunded_messages = u.refunded_messages + excluded.refunded_messages,
    refunded_segments = u.refunded_segments + excluded.refunded_segments,
    refunded_amount = u.refunded_amount + excluded.refunded_amount
"""
SQL_MOVE_CURSOR: Final[LiteralString] = """
UPDATE billing.accounting_cursor SET until_xid = $1, at = CASE WHEN $2 THEN now() ELSE at END
"""


async def add_up(tx: Tx) -> bool:
    """Add the next window; True when there is more. Does nothing while another process is at it."""
    since = await tx.fetchval(SQL_CURSOR)
    if since is None:
        return False
    ahead = await tx.fetchrow(SQL_AHEAD, since, AT_ONCE)
    assert ahead is not None
    until = window_end(ahead["oldest_running"], ahead["first"], ahead["beyond"])
    caught_up = until == ahead["oldest_running"]
    if ahead["first"] is not None and ahead["first"] < until:
        await tx.execute(SQL_ADD_LEDGER, since, until)
        await tx.execute(SQL_ADD_USAGE, since, until)
    await tx.execute(SQL_MOVE_CURSOR, max(since, until), caught_up)
    return not caught_up


def window_end(oldest_running: int, first: int | None, beyond: int | None) -> int:
    """The transaction before which to stop: the oldest one that runs, or where the window is full.

    `first` and `beyond` are the transactions of the first entry of the window and of the first one too many; a
    transaction is never cut in two, however many entries it wrote.
    """
    if first is None or beyond is None:
        return oldest_running
    return min(oldest_running, max(beyond, first + 1))


SQL_DRIFT: Final[LiteralString] = """
WITH at AS (SELECT until_xid FROM billing.accounting_cursor), booked AS (
    SELECT account_id, amount FROM billing.ledger_days
    UNION ALL
    SELECT account_id, amount FROM billing.credit_ledger, at WHERE xid >= until_xid
), added AS (
    SELECT account_id, sum(amount) AS amount FROM booked GROUP BY account_id
), moved AS (
    SELECT account_id, -sum(amount) AS amount FROM billing.ledger_days WHERE kind IN ('charge', 'refund')
    GROUP BY account_id
), used AS (
    SELECT account_id, sum(amount - refunded_amount) AS amount FROM billing.usage_days GROUP BY account_id
)
SELECT c.account_id, c.balance - COALESCE(added.amount, 0) AS days, COALESCE(moved.amount - used.amount, 0) AS usage
FROM billing.credits c LEFT JOIN added USING (account_id) LEFT JOIN moved USING (account_id)
LEFT JOIN used USING (account_id)
WHERE c.balance <> COALESCE(added.amount, 0) OR moved.amount IS DISTINCT FROM used.amount
"""


@dataclass(frozen=True, slots=True)
class Drift:
    """By how much the days of an account miss its balance, and its usage what the days say was charged."""

    account_id: UUID
    days: Decimal
    usage: Decimal


async def find_drift(tx: Tx) -> list[Drift]:
    """Accounts whose sums are wrong, in one snapshot; anything but [] is an incident."""
    return [Drift(*row.values()) for row in await tx.fetch(SQL_DRIFT)]


SQL_STANDING: Final[LiteralString] = "SELECT at FROM billing.accounting_cursor"


async def added_up_until(tx: Tx) -> datetime:
    """What was committed before this moment is added up."""
    at: datetime = await tx.fetchval(SQL_STANDING)
    return at
