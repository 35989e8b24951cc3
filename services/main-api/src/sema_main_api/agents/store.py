"""Agents' customers, their rates and what was sold to them; branding."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Final, LiteralString
from uuid import UUID

from sema_common.billing.agents import THIS_MONTH
from sema_common.billing.prices import RetailRow
from sema_common.billing.rates import RATE
from sema_common.messages.store.rows import COLUMNS, MessageRow, message_row
from sema_common.platform.db import Row, Tx


@dataclass(frozen=True, slots=True)
class CustomerRow:
    """An agent's customer; `spent` at retail in this month."""

    id: UUID
    name: str
    status: str
    suspended_by: str | None
    monthly_limit: Decimal | None
    currency: str
    spent: Decimal
    created_at: datetime


_CUSTOMER: Final[LiteralString] = f"""
SELECT a.id, a.name, a.status, a.suspended_by, g.monthly_limit, a.currency,
       COALESCE(m.retail - m.refunded_retail, 0) AS spent, a.created_at
FROM billing.agent_accounts g JOIN core.accounts a ON a.id = g.customer_id
LEFT JOIN billing.agent_months m ON m.customer_id = g.customer_id AND m.month = {THIS_MONTH}
"""

SQL_CUSTOMERS: Final[LiteralString] = f"""{_CUSTOMER}
WHERE g.agent_id = $1 AND ($2::uuid IS NULL OR g.customer_id < $2) AND ($3::text IS NULL OR a.status = $3)
ORDER BY g.customer_id DESC LIMIT $4
"""


async def customers(
    tx: Tx, agent_id: UUID, before: UUID | None, status: str | None, limit: int
) -> list[CustomerRow]:
    """A page of an agent's customers, the youngest first."""
    return [
        CustomerRow(*row.values()) for row in await tx.fetch(SQL_CUSTOMERS, agent_id, before, status, limit)
    ]


SQL_CUSTOMER: Final[LiteralString] = f"{_CUSTOMER} WHERE g.customer_id = $1 AND g.agent_id = $2"


async def customer(tx: Tx, customer_id: UUID, agent_id: UUID) -> CustomerRow | None:
    """One customer of this agent; None for anybody else's."""
    row = await tx.fetchrow(SQL_CUSTOMER, customer_id, agent_id)
    return None if row is None else CustomerRow(*row.values())


SQL_LOCK_CUSTOMER: Final[LiteralString] = f"""{_CUSTOMER} WHERE g.customer_id = $1 AND g.agent_id = $2
FOR NO KEY UPDATE OF a, g
"""


async def lock_customer(tx: Tx, customer_id: UUID, agent_id: UUID) -> CustomerRow | None:
    """The same, against others who change it."""
    row = await tx.fetchrow(SQL_LOCK_CUSTOMER, customer_id, agent_id)
    return None if row is None else CustomerRow(*row.values())


SQL_RENAME: Final[LiteralString] = "UPDATE core.accounts SET name = $2 WHERE id = $1"


async def rename(tx: Tx, customer_id: UUID, name: str) -> None:
    """What the customer is called."""
    await tx.execute(SQL_RENAME, customer_id, name)


SQL_SUSPEND: Final[LiteralString] = """
UPDATE core.accounts SET status = CASE WHEN $2 THEN 'suspended' ELSE 'active' END,
    suspended_by = CASE WHEN $2 THEN 'agent' END
WHERE id = $1
"""


async def suspend(tx: Tx, customer_id: UUID, suspended: bool) -> None:
    """The agent's own suspension, or its end."""
    await tx.execute(SQL_SUSPEND, customer_id, suspended)


SQL_RATES: Final[LiteralString] = f"""
SELECT {RATE} FROM billing.agent_customer_pricing
WHERE agent_id = $1 AND customer_id IS NOT DISTINCT FROM $2 AND (valid_to IS NULL OR valid_to > $3)
ORDER BY country, mno, valid_from
"""


async def rates(tx: Tx, agent_id: UUID, customer_id: UUID | None, at: datetime) -> list[RetailRow]:
    """Rates of one customer, or (None) of all without one of their own, that hold at this moment or later."""
    return [RetailRow(*row.values()) for row in await tx.fetch(SQL_RATES, agent_id, customer_id, at)]


@dataclass(frozen=True, slots=True)
class MonthRow:
    """What was sold to one customer in a month, refunds of that month taken off."""

    customer_id: UUID
    name: str
    messages: int
    segments: int
    retail: Decimal
    wholesale: Decimal
    commission: Decimal


SQL_MONTH: Final[LiteralString] = """
SELECT m.customer_id, a.name, m.messages - m.refunded_messages, m.segments - m.refunded_segments,
       m.retail - m.refunded_retail, m.wholesale - m.refunded_wholesale, m.commission - m.refunded_commission
FROM billing.agent_months m JOIN core.accounts a ON a.id = m.customer_id
WHERE m.agent_id = $1 AND m.month = $2 ORDER BY m.retail DESC, m.customer_id
"""


async def month(tx: Tx, agent_id: UUID, first_day: date) -> list[MonthRow]:
    """An agent's month by customer, the largest first."""
    return [MonthRow(*row.values()) for row in await tx.fetch(SQL_MONTH, agent_id, first_day)]


SQL_TERMS: Final[LiteralString] = "SELECT commission_rate FROM billing.agents WHERE account_id = $1"
SQL_PAID: Final[LiteralString] = """
SELECT amount, created_at FROM billing.credit_ledger WHERE reference = $1 AND kind = 'commission'
"""


async def commission(tx: Tx, agent_id: UUID, reference: UUID) -> tuple[Decimal, Row | None]:
    """The agent's share as it is now, and the entry (amount, created_at) of this reference, if there is one."""
    return await tx.fetchval(SQL_TERMS, agent_id) or Decimal(0), await tx.fetchrow(SQL_PAID, reference)


@dataclass(frozen=True, slots=True)
class SoldRow:
    """One sale."""

    message_id: UUID
    customer_id: UUID
    segments: int
    retail: Decimal
    wholesale: Decimal
    commission: Decimal
    refunded: bool


_SOLD: Final[LiteralString] = """
SELECT message_id, customer_id, segments, retail, wholesale, commission, refunded_at IS NOT NULL
FROM billing.agent_sales
"""
SQL_SOLD: Final[LiteralString] = f"""{_SOLD}
WHERE agent_id = $1 AND message_id < $2 AND message_id >= $3 ORDER BY message_id DESC LIMIT $4
"""
SQL_SOLD_TO: Final[LiteralString] = f"""{_SOLD}
WHERE agent_id = $1 AND message_id < $2 AND message_id >= $3 AND customer_id = $5
ORDER BY message_id DESC LIMIT $4
"""


async def sold(
    tx: Tx, agent_id: UUID, before: UUID, since: UUID, limit: int, customer_id: UUID | None
) -> list[SoldRow]:
    """A page of sales, newest first, of one customer or of all."""
    page = agent_id, before, since, limit
    rows = await (tx.fetch(SQL_SOLD_TO, *page, customer_id) if customer_id else tx.fetch(SQL_SOLD, *page))
    return [SoldRow(*row.values()) for row in rows]


SQL_MESSAGES: Final[LiteralString] = f"""
SELECT {COLUMNS} FROM unnest($1::uuid[], $2::timestamptz[]) AS wanted(message_id, enqueued_at)
JOIN orch.sms_messages m ON m.message_id = wanted.message_id AND m.enqueued_at = wanted.enqueued_at
"""


async def messages(tx: Tx, ids: Sequence[UUID], times: Sequence[datetime]) -> dict[UUID, MessageRow]:
    """Those of these messages that are still kept."""
    rows = [message_row(row) for row in await tx.fetch(SQL_MESSAGES, ids, times)]
    return {row.message_id: row for row in rows}


@dataclass(frozen=True, slots=True)
class BrandingRow:
    name: str
    logo_url: str | None
    colour: str | None
    support_email: str | None
    support_phone: str | None
    support_url: str | None


SQL_BRANDING: Final[LiteralString] = """
SELECT name, logo_url, colour, support_email, support_phone, support_url FROM core.agent_branding WHERE account_id = $1
"""


async def branding(tx: Tx, agent_id: UUID) -> BrandingRow | None:
    """In whose name the agent's customers are served; None: ours."""
    row = await tx.fetchrow(SQL_BRANDING, agent_id)
    return None if row is None else BrandingRow(*row.values())


SQL_PUT_BRANDING: Final[LiteralString] = """
INSERT INTO core.agent_branding (account_id, tenant_id, name, logo_url, colour, support_email, support_phone,
    support_url)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
ON CONFLICT (account_id) DO UPDATE SET name = excluded.name, logo_url = excluded.logo_url, colour = excluded.colour,
    support_email = excluded.support_email, support_phone = excluded.support_phone, support_url = excluded.support_url
"""


async def put_branding(tx: Tx, agent_id: UUID, tenant_id: UUID, wanted: BrandingRow) -> None:
    """What the agent's customers see from now on."""
    values = [getattr(wanted, name) for name in BrandingRow.__slots__]
    await tx.execute(SQL_PUT_BRANDING, agent_id, tenant_id, *values)
