"""One day in Nairobi: what the provider's list has, what we credited, and every place where the two differ."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final, LiteralString

from sema_common.platform.db import Tx

MOST_SHOWN: Final = 100
"""Of one kind of mismatch; more of it is the same incident."""

SQL_TOTALS: Final[LiteralString] = """
SELECT state, count(*) AS payments, sum(amount)::text AS amount FROM billing.mpesa_payments
WHERE paid_at >= $1 AND paid_at < $2 AND listed_at IS NOT NULL GROUP BY state
"""


async def totals(tx: Tx, start: datetime, end: datetime) -> dict[str, dict[str, Any]]:
    """Listed payments of a span of time by state: `{"credited": {"payments": 3, "amount": "150.0000"}}`."""
    rows = await tx.fetch(SQL_TOTALS, start, end)
    return {row["state"]: {"payments": row["payments"], "amount": row["amount"]} for row in rows}


# A day is judged by what it lists and what it credited; $3 is its end, or how far the list can be trusted.
SQL_MISMATCHES: Final[LiteralString] = """
(SELECT 'not_settled' AS kind, receipt, top_up_id, amount::text FROM billing.mpesa_payments
 WHERE paid_at >= $1 AND paid_at < $3 AND state = 'listed' LIMIT $4)
UNION ALL
(SELECT 'amount_differs', receipt, top_up_id, amount::text FROM billing.mpesa_payments
 WHERE paid_at >= $1 AND paid_at < $2 AND state = 'mismatched' LIMIT $4)
UNION ALL
(SELECT 'told_not_listed', receipt, top_up_id, amount::text FROM billing.mpesa_payments
 WHERE paid_at >= $1 AND paid_at < $3 AND state = 'told' AND top_up_id IS NULL LIMIT $4)
UNION ALL
(SELECT 'not_in_ledger', p.receipt, p.top_up_id, p.amount::text FROM billing.mpesa_payments p
 WHERE p.paid_at >= $1 AND p.paid_at < $2 AND p.state = 'credited' AND NOT EXISTS (
    SELECT FROM billing.credit_ledger l WHERE l.reference = p.reference AND l.kind = 'top_up'
      AND l.amount = p.amount AND l.account_id = p.account_id) LIMIT $4)
UNION ALL
(SELECT 'credited_not_listed', t.receipt, t.id, t.amount::text FROM billing.top_ups t
 WHERE t.settled_at >= $1 AND t.settled_at < $3 AND t.status = 'succeeded' AND NOT EXISTS (
    SELECT FROM billing.mpesa_payments p WHERE p.top_up_id = t.id AND p.listed_at IS NOT NULL) LIMIT $4)
UNION ALL
(SELECT 'no_result', t.receipt, t.id, t.amount::text FROM billing.top_ups t
 WHERE t.settled_at >= $1 AND t.settled_at < $2 AND t.status = 'expired' AND t.checkout_request_id IS NOT NULL LIMIT $4)
UNION ALL
(SELECT DISTINCT 'confirmed_not_listed', n.receipt, NULL::uuid, NULL FROM billing.payment_notices n
 WHERE n.received_at >= $1 AND n.received_at < $3 AND n.kind = 'confirmation' AND NOT EXISTS (
    SELECT FROM billing.mpesa_payments p WHERE p.receipt = n.receipt AND p.listed_at IS NOT NULL) LIMIT $4)
"""


async def mismatches(tx: Tx, start: datetime, end: datetime, trusted: datetime) -> list[dict[str, Any]]:
    """`[{"kind", "receipt", "top_up_id", "amount"}]`, at most 100 of a kind; best none.

    not_settled, amount_differs: the list has it, and we have it otherwise or not yet · told_not_listed,
    confirmed_not_listed: a callback told of what the list does not have: a forgery, or a hole in the list ·
    credited_not_listed: a push that the status query called paid · not_in_ledger: an entry is missing · no_result:
    the provider never said what became of a push.
    """
    return [dict(row) for row in await tx.fetch(SQL_MISMATCHES, start, end, min(end, trusted), MOST_SHOWN)]


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """The report of one day. `complete`: the list had been read to its end.

    Of its mismatches `not_read` says that some of the list was never read, and can be read no more.
    """

    day: date
    made_at: datetime
    complete: bool
    totals: dict[str, dict[str, Any]]
    mismatches: list[dict[str, Any]]


# What was never read stays so, also under a report that another process made meanwhile.
SQL_PUT: Final[LiteralString] = """
INSERT INTO billing.payment_reconciliations AS r (day, made_at, complete, totals, mismatches)
VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (day) DO UPDATE SET made_at = excluded.made_at, totals = excluded.totals,
    complete = excluded.complete AND NOT r.mismatches @> '[{"kind": "not_read"}]',
    mismatches = jsonb_path_query_array(r.mismatches, '$[*] ? (@.kind == "not_read")') || excluded.mismatches
"""


async def put(tx: Tx, made: Reconciliation) -> None:
    """Keep a day's report in place of the one before; a day that was not read whole never becomes complete."""
    await tx.execute(SQL_PUT, made.day, made.made_at, made.complete, made.totals, made.mismatches)


SQL_PUT_NOT_READ: Final[LiteralString] = """
INSERT INTO billing.payment_reconciliations AS r (day, made_at, complete, totals, mismatches)
SELECT day, $2, false, '{}', '[{"kind": "not_read", "receipt": null, "top_up_id": null, "amount": null}]'
FROM unnest($1::date[]) AS n(day)
ON CONFLICT (day) DO UPDATE SET complete = false, mismatches = excluded.mismatches || r.mismatches
    WHERE NOT r.mismatches @> '[{"kind": "not_read"}]'
"""


async def put_not_read(tx: Tx, days: Sequence[date], at: datetime) -> None:
    """Some of the list of these days is out of reach and was never read: their reports say so from now on."""
    await tx.execute(SQL_PUT_NOT_READ, days, at)


SQL_READ: Final[LiteralString] = """
SELECT day, made_at, complete, totals, mismatches FROM billing.payment_reconciliations WHERE day = $1
"""


async def read(tx: Tx, day: date) -> Reconciliation | None:
    """A day's report."""
    row = await tx.fetchrow(SQL_READ, day)
    return None if row is None else Reconciliation(*row.values())


SQL_COUNT_MISMATCHES: Final[LiteralString] = """
SELECT COALESCE(sum(jsonb_array_length(mismatches)), 0)::integer FROM billing.payment_reconciliations WHERE day >= $1
"""


async def count_mismatches(tx: Tx, since: date) -> int:
    """Of the reports of that day and later."""
    found: int = await tx.fetchval(SQL_COUNT_MISMATCHES, since)
    return found
