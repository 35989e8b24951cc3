"""The monthly run's statements: who needs an invoice, what he used, and the invoices with their numbers.

What must never happen: two invoices of one account and month, a number that is on no invoice, or on two.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final, LiteralString
from uuid import UUID

from sema_common.billing.invoices.rules import Line, State, Sums
from sema_common.platform.db import Tx

SQL_BEGIN: Final[LiteralString] = (
    "INSERT INTO billing.invoice_runs (month) VALUES ($1) ON CONFLICT DO NOTHING"
)
SQL_LOCK_RUN: Final[LiteralString] = """
SELECT cursor, invoices, finished_at FROM billing.invoice_runs WHERE month = $1 FOR UPDATE SKIP LOCKED
"""


@dataclass(frozen=True, slots=True)
class Run:
    """How far a month's run is; accounts up to `cursor` are done."""

    cursor: UUID
    invoices: int
    finished_at: datetime | None


async def claim_run(tx: Tx, month: date) -> Run | None:
    """The run of this month, for this transaction alone; None while another process is at it."""
    await tx.execute(SQL_BEGIN, month)
    row = await tx.fetchrow(SQL_LOCK_RUN, month)
    return None if row is None else Run(*row.values())


SQL_FINISHED: Final[LiteralString] = "SELECT finished_at FROM billing.invoice_runs WHERE month = $1"


async def finished_at(tx: Tx, month: date) -> datetime | None:
    """When this month's run came to its end; None when it has not."""
    at: datetime | None = await tx.fetchval(SQL_FINISHED, month)
    return at


SQL_ADVANCE: Final[LiteralString] = """
UPDATE billing.invoice_runs SET cursor = $2, invoices = invoices + $3, finished_at = CASE WHEN $4 THEN now() END
WHERE month = $1
"""


async def advance(tx: Tx, month: date, cursor: UUID, made: int, *, finished: bool) -> None:
    """Note what this transaction made."""
    await tx.execute(SQL_ADVANCE, month, cursor, made, finished)


@dataclass(frozen=True, slots=True)
class Payer:
    """Who gets an invoice: an account that pays for itself, with its profile where it has one."""

    account_id: UUID
    tenant_id: UUID
    currency: str
    postpaid: bool
    name: str
    address: str
    country: str
    tax_pin: str
    vat_number: str
    reference: str
    email: str | None


SQL_PAYERS: Final[LiteralString] = """
SELECT a.id, a.tenant_id, a.currency, c.credit_limit > 0 AS postpaid, COALESCE(p.legal_name, a.name) AS name,
       COALESCE(p.address, '') AS address, COALESCE(p.country, 'KE') AS country, COALESCE(p.tax_pin, '') AS tax_pin,
       COALESCE(p.vat_number, '') AS vat_number, COALESCE(p.reference, '') AS reference, p.email
FROM core.accounts a JOIN billing.credits c ON c.account_id = a.id
LEFT JOIN billing.profiles p ON p.account_id = a.id
WHERE a.id > $1
  AND EXISTS (SELECT FROM billing.usage_days u WHERE u.account_id = a.id AND u.day >= $2 AND u.day < $3)
  AND NOT EXISTS (SELECT FROM billing.invoices i WHERE i.account_id = a.id AND i.month = $2)
ORDER BY a.id LIMIT $4
"""


async def find_payers(tx: Tx, after: UUID, month: date, end: date, limit: int) -> list[Payer]:
    """Accounts behind `after` that used something in [month, end) and have no invoice of it yet."""
    return [Payer(*row.values()) for row in await tx.fetch(SQL_PAYERS, after, month, end, limit)]


SQL_USAGE: Final[LiteralString] = """
SELECT account_id, country, mno, rate, sum(messages - refunded_messages)::bigint AS messages,
       sum(segments - refunded_segments)::bigint AS segments, sum(amount - refunded_amount) AS amount
FROM billing.usage_days WHERE account_id = ANY($1::uuid[]) AND day >= $2 AND day < $3
GROUP BY account_id, country, mno, rate
HAVING sum(messages - refunded_messages) <> 0 OR sum(amount - refunded_amount) <> 0
ORDER BY account_id, country, mno, rate
"""


async def read_usage(tx: Tx, accounts: Sequence[UUID], month: date, end: date) -> dict[UUID, list[Line]]:
    """What each used, by network and rate."""
    lines: dict[UUID, list[Line]] = {}
    for account_id, *line in await tx.fetch(SQL_USAGE, accounts, month, end):
        lines.setdefault(account_id, []).append(Line(*line))
    return lines


SQL_CLOSING: Final[LiteralString] = """
SELECT account_id, sum(amount) AS balance FROM billing.ledger_days
WHERE account_id = ANY($1::uuid[]) AND day < $2 AND kind NOT IN ('reserve', 'release') GROUP BY account_id
"""


async def read_closing(tx: Tx, accounts: Sequence[UUID], end: date) -> dict[UUID, Decimal]:
    """What each had when `end` began, with what was reserved and not used by then; all of it is added up."""
    return {row["account_id"]: row["balance"] for row in await tx.fetch(SQL_CLOSING, accounts, end)}


SQL_NUMBERS: Final[LiteralString] = """
INSERT INTO billing.invoice_numbers AS n (series, year, last) VALUES ($1, $2, $3)
ON CONFLICT (series, year) DO UPDATE SET last = n.last + $3 RETURNING last
"""


@dataclass(frozen=True, slots=True)
class NewInvoice:
    """An invoice that lacks its number only."""

    id: UUID
    payer: Payer
    sums: Sums
    from_balance: Decimal
    lines: Sequence[Line]
    parties: Mapping[str, Any]
    state: State
    next_step_on: date | None


SQL_INSERT: Final[LiteralString] = """
INSERT INTO billing.invoices (id, tenant_id, account_id, month, series, year, number, currency, net, vat_rate, vat,
    total, terms, parties, issued_at, due_on, state, next_step_on, settled_at, settlement)
SELECT id, tenant_id, account_id, $1, $2, $3, number, currency, net, vat_rate, vat, net + vat, terms, parties,
       $4::timestamptz, $5, state, next_step_on, CASE WHEN state = 'paid' THEN $4::timestamptz END,
       NULLIF(jsonb_strip_nulls(jsonb_build_object('method', CASE WHEN state = 'paid' THEN 'balance' END,
                                                   'from_balance', NULLIF(from_balance, 0)::text)), '{}')
FROM unnest($6::uuid[], $7::uuid[], $8::uuid[], $9::integer[], $10::text[], $11::numeric[], $12::numeric[],
            $13::numeric[], $14::text[], $15::jsonb[], $16::text[], $17::date[], $18::numeric[])
    AS i(id, tenant_id, account_id, number, currency, net, vat_rate, vat, terms, parties, state, next_step_on,
         from_balance)
"""
SQL_INSERT_LINES: Final[LiteralString] = """
INSERT INTO billing.invoice_lines (invoice_id, position, tenant_id, country, mno, rate, messages, segments, amount)
SELECT * FROM unnest($1::uuid[], $2::smallint[], $3::uuid[], $4::text[], $5::text[], $6::numeric[], $7::bigint[],
                     $8::bigint[], $9::numeric[])
"""


async def insert(
    tx: Tx, invoices: Sequence[NewInvoice], month: date, series: str, issued_at: datetime, due_on: date
) -> list[int]:
    """Number these invoices in their order and write them, with their lines; answers the numbers."""
    year = issued_at.year
    last: int = await tx.fetchval(SQL_NUMBERS, series, year, len(invoices))
    numbers = list(range(last - len(invoices) + 1, last + 1))
    await tx.execute(
        SQL_INSERT,
        month,
        series,
        year,
        issued_at,
        due_on,
        [i.id for i in invoices],
        [i.payer.tenant_id for i in invoices],
        [i.payer.account_id for i in invoices],
        numbers,
        [i.payer.currency for i in invoices],
        [i.sums.net for i in invoices],
        [i.sums.vat_rate for i in invoices],
        [i.sums.vat for i in invoices],
        ["postpaid" if i.payer.postpaid else "prepaid" for i in invoices],
        [i.parties for i in invoices],
        [i.state for i in invoices],
        [i.next_step_on for i in invoices],
        [i.from_balance for i in invoices],
    )
    lines = [(i, at, line) for i in invoices for at, line in enumerate(i.lines, 1)]
    await tx.execute(
        SQL_INSERT_LINES,
        [i.id for i, _, _ in lines],
        [at for _, at, _ in lines],
        [i.payer.tenant_id for i, _, _ in lines],
        [line.country for _, _, line in lines],
        [line.mno for _, _, line in lines],
        [line.rate for _, _, line in lines],
        [line.messages for _, _, line in lines],
        [line.segments for _, _, line in lines],
        [line.amount for _, _, line in lines],
    )
    return numbers
