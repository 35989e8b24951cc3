"""Statements: what an account had when a month began, every movement, and what it had when the month ended.

Months are UTC, as all times are. A balance at a moment is the sum of the days before it and of what is not added up
yet, so a statement costs the same however long the account's history is.
"""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Final, LiteralString
from uuid import UUID

from sema_common.billing.accounting import SETTLED_SECONDS
from sema_common.billing.ledger import NEWEST, Entry
from sema_common.platform.db import Tx

LAST_MONTH: Final = date(9998, 12, 1)


@dataclass(frozen=True, slots=True)
class Movements:
    """What moved by one kind of entry."""

    kind: str
    entries: int
    amount: Decimal


@dataclass(frozen=True, slots=True)
class Statement:
    """One month; `final` once nothing can be added to it any more."""

    month: date
    currency: str
    opening: Decimal
    movements: tuple[Movements, ...]
    final: bool

    @property
    def closing(self) -> Decimal:
        return self.opening + sum((moved.amount for moved in self.movements), Decimal(0))


def next_month(month: date) -> date:
    """The first day of the month after."""
    return (month.replace(day=28) + timedelta(days=4)).replace(day=1)


def last_day(month: date) -> date:
    """The last day of the month that begins on `month`."""
    return next_month(month) - timedelta(days=1)


SQL_MONTHS: Final[LiteralString] = """
WITH standing AS (SELECT until_xid, at FROM billing.accounting_cursor), moved AS (
    SELECT date_trunc('month', day)::date AS month, kind, entries, amount
    FROM billing.ledger_days WHERE account_id = $1 AND day < $2
    UNION ALL
    SELECT date_trunc('month', created_at AT TIME ZONE 'UTC')::date, kind, 1, amount
    FROM billing.credit_ledger, standing
    WHERE xid >= until_xid AND account_id = $1 AND (created_at AT TIME ZONE 'UTC')::date < $2
)
SELECT month, kind, sum(entries)::bigint AS entries, sum(amount) AS amount,
       (SELECT at FROM standing) AS at, (SELECT currency FROM billing.credits WHERE account_id = $1) AS currency
FROM moved GROUP BY month, kind ORDER BY month, kind
"""


async def read_statements(tx: Tx, account_id: UUID, until: date, now: date) -> list[Statement]:
    """The statement of every month from the first movement to the one of `now`, those before `until`, oldest first.

    Months in which nothing moved are there too: their opening and closing balance is the same.
    """
    rows = await tx.fetch(SQL_MONTHS, account_id, until)
    if not rows:
        return []
    by_month: dict[date, list[Movements]] = {}
    for row in rows:
        by_month.setdefault(row["month"], []).append(Movements(row["kind"], row["entries"], row["amount"]))
    settled = rows[0]["at"] - timedelta(seconds=SETTLED_SECONDS)
    statements = []
    month, balance = rows[0]["month"], Decimal("0.0000")
    while month < until and month <= now:
        end = next_month(month)
        movements = tuple(by_month.get(month, ()))
        statements.append(Statement(month, rows[0]["currency"], balance, movements, settled.date() >= end))
        month, balance = end, statements[-1].closing
    return statements


@dataclass(frozen=True, slots=True)
class Span:
    """Where in the ledger the entries of [since, until) can lie: between these two entry ids, neither included."""

    since: datetime
    until: datetime
    after: int
    before: int


SQL_SPAN: Final[LiteralString] = """
SELECT COALESCE((SELECT max(last_entry) FROM billing.ledger_days WHERE account_id = $1 AND day < $2), 0) AS after,
       (SELECT min(first_entry) FROM billing.ledger_days WHERE account_id = $1 AND day > $3) AS before
"""


async def find_span(tx: Tx, account_id: UUID, since: datetime, until: datetime) -> Span:
    """Entries are numbered about in the order of their times: a day on each side holds whatever is out of order."""
    a_day = timedelta(days=1)
    row = await tx.fetchrow(SQL_SPAN, account_id, since.date() - a_day, until.date() + a_day)
    assert row is not None
    return Span(since, until, row["after"], NEWEST if row["before"] is None else row["before"])


# By the index and in its order, whatever the statistics say: else each page may be sorted out of all that follow.
SQL_IN_ORDER: Final[LiteralString] = """
SELECT set_config('enable_bitmapscan', 'off', true), set_config('enable_sort', 'off', true)
"""
SQL_IN_SPAN: Final[LiteralString] = """
SELECT entry_id, kind, reference, amount, counter_account, balance_after, created_at
FROM billing.credit_ledger
WHERE account_id = $1 AND entry_id > $2 AND entry_id < $3 AND created_at >= $4 AND created_at < $5
ORDER BY entry_id LIMIT $6
"""


async def read_span(tx: Tx, account_id: UUID, span: Span, after: int, limit: int) -> list[Entry]:
    """A page of the span's movements behind entry `after`, oldest first."""
    first = max(span.after, after)
    await tx.execute(SQL_IN_ORDER)
    rows = await tx.fetch(SQL_IN_SPAN, account_id, first, span.before, span.since, span.until, limit)
    return [Entry(*row.values()) for row in rows]
