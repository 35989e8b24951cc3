"""Invoices as they are read, and their way from open to paid or written off."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final, LiteralString
from uuid import UUID

from sema_common.billing.invoices import rules
from sema_common.billing.invoices.rules import Line, State, Step
from sema_common.platform.db import Row, Tx


@dataclass(frozen=True, slots=True)
class Invoice:
    """An issued invoice. `number` is as printed; `parties` holds `issuer` and `customer`."""

    id: UUID
    account_id: UUID
    month: date
    number: str
    currency: str
    net: Decimal
    vat_rate: Decimal
    vat: Decimal
    total: Decimal
    terms: str
    parties: Mapping[str, Any]
    issued_at: datetime
    due_on: date
    state: State
    reminders: int
    settled_at: datetime | None
    settlement: Mapping[str, Any] | None

    @property
    def from_balance(self) -> Decimal:
        """What the balance had paid when the invoice was issued."""
        return Decimal((self.settlement or {}).get("from_balance", 0))

    @property
    def amount_due(self) -> Decimal:
        """What was to be paid beside it; nothing on a credit note."""
        return max(self.total - self.from_balance, Decimal(0))


def _invoice(row: Row) -> Invoice:
    found = dict(row)
    sequence = found.pop("sequence"), found.pop("series"), found.pop("year")
    return Invoice(number=rules.number(sequence[1], sequence[2], sequence[0]), **found)


SQL_PAGE: Final[LiteralString] = """
SELECT id, account_id, month, number AS sequence, series, year, currency, net, vat_rate, vat, total, terms, parties,
       issued_at, due_on, state, reminders, settled_at, settlement
FROM billing.invoices WHERE account_id = $1 AND ($2::uuid IS NULL OR id < $2) ORDER BY id DESC LIMIT $3
"""


async def read_page(tx: Tx, account_id: UUID, before: UUID | None, limit: int) -> list[Invoice]:
    """An account's invoices, newest first."""
    return [_invoice(row) for row in await tx.fetch(SQL_PAGE, account_id, before, limit)]


SQL_PAGE_OF_ALL: Final[LiteralString] = """
SELECT id, account_id, month, number AS sequence, series, year, currency, net, vat_rate, vat, total, terms, parties,
       issued_at, due_on, state, reminders, settled_at, settlement
FROM billing.invoices
WHERE ($1::uuid IS NULL OR id < $1) AND ($2::text IS NULL OR state = $2) AND ($3::uuid IS NULL OR account_id = $3)
  AND ($4::date IS NULL OR month = $4)
ORDER BY id DESC LIMIT $5
"""


async def read_page_of_all(
    tx: Tx, before: UUID | None, state: str | None, account_id: UUID | None, month: date | None, limit: int
) -> list[Invoice]:
    """Everybody's invoices, newest first, for staff; None leaves a filter out."""
    return [_invoice(row) for row in await tx.fetch(SQL_PAGE_OF_ALL, before, state, account_id, month, limit)]


SQL_READ: Final[LiteralString] = """
SELECT id, account_id, month, number AS sequence, series, year, currency, net, vat_rate, vat, total, terms, parties,
       issued_at, due_on, state, reminders, settled_at, settlement
FROM billing.invoices WHERE id = $1 AND ($2::uuid IS NULL OR account_id = $2)
"""
SQL_LINES: Final[LiteralString] = """
SELECT country, mno, rate, messages, segments, amount FROM billing.invoice_lines WHERE invoice_id = $1 ORDER BY position
"""


async def read(tx: Tx, invoice_id: UUID, account_id: UUID | None = None) -> tuple[Invoice, list[Line]] | None:
    """An invoice with its lines; None unless it is this account's (None: anybody's)."""
    row = await tx.fetchrow(SQL_READ, invoice_id, account_id)
    if row is None:
        return None
    return _invoice(row), [Line(*line.values()) for line in await tx.fetch(SQL_LINES, invoice_id)]


SQL_BY_NUMBER: Final[LiteralString] = """
SELECT account_id FROM billing.invoices WHERE series = $1 AND year = $2 AND number = $3 AND currency = $4
"""


async def find_account(tx: Tx, typed: str, currency: str) -> UUID | None:
    """Whose invoice has this number (`SL2026000017`: without its hyphens), when it is in this currency."""
    number = rules.read_number(typed)
    found: UUID | None = number and await tx.fetchval(SQL_BY_NUMBER, *number, currency)
    return found


SQL_DUE: Final[LiteralString] = """
SELECT id, account_id, month, number AS sequence, series, year, currency, net, vat_rate, vat, total, terms, parties,
       issued_at, due_on, state, reminders, settled_at, settlement
FROM billing.invoices WHERE next_step_on <= $1 ORDER BY next_step_on LIMIT $2 FOR UPDATE SKIP LOCKED
"""


async def claim_due(tx: Tx, today: date, limit: int) -> list[Invoice]:
    """Unpaid invoices whose next step has come, for this transaction alone."""
    return [_invoice(row) for row in await tx.fetch(SQL_DUE, today, limit)]


SQL_STEP: Final[LiteralString] = """
UPDATE billing.invoices SET state = $2, reminders = $3, next_step_on = $4 WHERE id = $1
"""


async def take_step(tx: Tx, invoice_id: UUID, step: Step) -> None:
    """Move an unpaid invoice on; the caller has it locked."""
    await tx.execute(SQL_STEP, invoice_id, step.state, step.reminders, step.next_step_on)


SQL_LOCK: Final[LiteralString] = """
SELECT id, account_id, month, number AS sequence, series, year, currency, net, vat_rate, vat, total, terms, parties,
       issued_at, due_on, state, reminders, settled_at, settlement
FROM billing.invoices WHERE id = $1 FOR UPDATE
"""


async def lock(tx: Tx, invoice_id: UUID) -> Invoice | None:
    """An invoice, for this transaction alone. Balances are locked before it."""
    row = await tx.fetchrow(SQL_LOCK, invoice_id)
    return None if row is None else _invoice(row)


SQL_SETTLE: Final[LiteralString] = """
UPDATE billing.invoices SET state = $2, settled_at = $3, settlement = COALESCE(settlement, '{}') || $4,
    next_step_on = NULL
WHERE id = $1
"""


async def settle(tx: Tx, invoice_id: UUID, state: State, at: datetime, how: Mapping[str, Any]) -> None:
    """`paid` or `written_off`; the caller has it locked and knows that it was neither."""
    await tx.execute(SQL_SETTLE, invoice_id, state, at, how)


SQL_UNPAID: Final[LiteralString] = """
SELECT state, currency, count(*)::integer AS invoices,
       sum(total - COALESCE((settlement->>'from_balance')::numeric, 0))::float8 AS due
FROM billing.invoices WHERE state = ANY('{open,due,overdue}') GROUP BY state, currency
"""


async def count_unpaid(tx: Tx) -> list[tuple[str, str, int, float]]:
    """How many wait for their payment, and how much that is, by state and currency: for metrics, not for books."""
    return [tuple(row.values()) for row in await tx.fetch(SQL_UNPAID)]


@dataclass(frozen=True, slots=True)
class Profile:
    """What a customer wants on his invoices."""

    legal_name: str
    address: str
    country: str
    tax_pin: str
    vat_number: str
    reference: str
    email: str | None


SQL_PROFILE: Final[LiteralString] = """
SELECT COALESCE(p.legal_name, a.name) AS legal_name, COALESCE(p.address, '') AS address,
       COALESCE(p.country, 'KE') AS country, COALESCE(p.tax_pin, '') AS tax_pin,
       COALESCE(p.vat_number, '') AS vat_number, COALESCE(p.reference, '') AS reference, p.email
FROM core.accounts a LEFT JOIN billing.profiles p ON p.account_id = a.id WHERE a.id = $1
"""


async def read_profile(tx: Tx, account_id: UUID) -> Profile:
    """Where the account has said nothing, its name alone."""
    row = await tx.fetchrow(SQL_PROFILE, account_id)
    assert row is not None
    return Profile(*row.values())


SQL_PUT_PROFILE: Final[LiteralString] = """
INSERT INTO billing.profiles
    (account_id, tenant_id, legal_name, address, country, tax_pin, vat_number, reference, email)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
ON CONFLICT (account_id) DO UPDATE SET legal_name = excluded.legal_name, address = excluded.address,
    country = excluded.country, tax_pin = excluded.tax_pin, vat_number = excluded.vat_number,
    reference = excluded.reference, email = excluded.email, updated_at = now()
"""


async def put_profile(tx: Tx, account_id: UUID, tenant_id: UUID, profile: Profile) -> None:
    """Holds for invoices from the next one on."""
    await tx.execute(
        SQL_PUT_PROFILE,
        account_id,
        tenant_id,
        profile.legal_name,
        profile.address,
        profile.country,
        profile.tax_pin,
        profile.vat_number,
        profile.reference,
        profile.email,
    )
