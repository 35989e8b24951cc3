"""What agents' customers owe their agents: written beside the charge that the agent pays, and taken back with it.

The ledger knows what the agent was charged (wholesale). A sale is the other level of the same message: what the
customer owes his agent (retail), and what of the wholesale comes back to the agent (commission). All of it is written
under the lock of the agent's balance. What must never happen: a charge of an agent's customer without its sale, a sale
of a refunded message that still counts, a month that is not the sum of its sales.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Final, LiteralString
from uuid import UUID

from sema_common.platform.db import Tx

THIS_MONTH: Final[LiteralString] = "date_trunc('month', now() AT TIME ZONE 'UTC')::date"
"""The calendar month in UTC that a movement counts for."""


@dataclass(frozen=True, slots=True)
class Sale:
    """One message of an agent's customer: `wholesale` is its charge, `retail` what the customer pays his agent."""

    message_id: UUID
    customer_id: UUID
    agent_id: UUID
    tenant_id: UUID
    segments: int
    retail: Decimal
    wholesale: Decimal


SQL_RECORD_SALES: Final[LiteralString] = f"""
WITH sold AS MATERIALIZED (
    SELECT s.*, round(s.wholesale * COALESCE(a.commission_rate, 0), 4) AS commission
    FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $5::smallint[], $6::numeric[], $7::numeric[])
        AS s(message_id, customer_id, agent_id, tenant_id, segments, retail, wholesale)
    LEFT JOIN billing.agents a ON a.account_id = s.agent_id
), lines AS (
    INSERT INTO billing.agent_sales (message_id, customer_id, agent_id, tenant_id, segments, retail, wholesale,
                                     commission)
    SELECT message_id, customer_id, agent_id, tenant_id, segments, retail, wholesale, commission FROM sold
)
INSERT INTO billing.agent_months AS m (customer_id, month, agent_id, tenant_id, messages, segments, retail, wholesale,
                                       commission)
SELECT customer_id, {THIS_MONTH}, agent_id, tenant_id, count(*), sum(segments), sum(retail), sum(wholesale),
       sum(commission)
FROM sold GROUP BY customer_id, agent_id, tenant_id ORDER BY customer_id
ON CONFLICT (customer_id, month) DO UPDATE SET
    messages = m.messages + excluded.messages, segments = m.segments + excluded.segments,
    retail = m.retail + excluded.retail, wholesale = m.wholesale + excluded.wholesale,
    commission = m.commission + excluded.commission
"""


async def record_sales(tx: Tx, sales: Sequence[Sale]) -> None:
    """Write the retail level of charges that this transaction writes; it holds the agents' balances."""
    await tx.execute(
        SQL_RECORD_SALES,
        [s.message_id for s in sales],
        [s.customer_id for s in sales],
        [s.agent_id for s in sales],
        [s.tenant_id for s in sales],
        [s.segments for s in sales],
        [s.retail for s in sales],
        [s.wholesale for s in sales],
    )


SQL_OPEN_TERMS: Final[LiteralString] = "INSERT INTO billing.agents (account_id, tenant_id) VALUES ($1, $2)"


async def open_terms(tx: Tx, agent_id: UUID, tenant_id: UUID) -> None:
    """A new agent, without commission until staff agree on one."""
    await tx.execute(SQL_OPEN_TERMS, agent_id, tenant_id)


SQL_LOCK_COMMISSION: Final[LiteralString] = """
SELECT commission_rate FROM billing.agents WHERE account_id = $1 FOR NO KEY UPDATE
"""
SQL_SET_COMMISSION: Final[LiteralString] = """
UPDATE billing.agents SET commission_rate = $2 WHERE account_id = $1
"""


async def lock_commission(tx: Tx, agent_id: UUID) -> Decimal | None:
    """The share of the wholesale that comes back to this agent; None when he is none."""
    rate: Decimal | None = await tx.fetchval(SQL_LOCK_COMMISSION, agent_id)
    return rate


async def set_commission(tx: Tx, agent_id: UUID, rate: Decimal) -> None:
    """Another share, for what is sold from now on."""
    await tx.execute(SQL_SET_COMMISSION, agent_id, rate)


SQL_JOIN: Final[LiteralString] = """
INSERT INTO billing.agent_accounts (customer_id, agent_id, tenant_id) VALUES ($1, $2, $3)
"""


async def join(tx: Tx, customer_id: UUID, agent_id: UUID, tenant_id: UUID) -> None:
    """A new customer of an agent, who may spend what the agent has."""
    await tx.execute(SQL_JOIN, customer_id, agent_id, tenant_id)


SQL_SET_LIMIT: Final[LiteralString] = (
    "UPDATE billing.agent_accounts SET monthly_limit = $2 WHERE customer_id = $1"
)


async def set_limit(tx: Tx, customer_id: UUID, monthly_limit: Decimal | None) -> None:
    """What a customer may spend in a calendar month at retail; None: as far as the agent's balance goes."""
    await tx.execute(SQL_SET_LIMIT, customer_id, monthly_limit)


TAKE_BACK: Final[LiteralString] = f"""
taken_back AS (
    UPDATE billing.agent_sales s SET refunded_at = now() FROM owed WHERE s.message_id = owed.reference
    RETURNING s.customer_id, s.agent_id, s.tenant_id, s.segments, s.retail, s.wholesale, s.commission
), months AS (
    INSERT INTO billing.agent_months AS m (customer_id, month, agent_id, tenant_id, refunded_messages,
        refunded_segments, refunded_retail, refunded_wholesale, refunded_commission)
    SELECT customer_id, {THIS_MONTH}, agent_id, tenant_id, count(*), sum(segments), sum(retail), sum(wholesale),
           sum(commission)
    FROM taken_back GROUP BY customer_id, agent_id, tenant_id ORDER BY customer_id
    ON CONFLICT (customer_id, month) DO UPDATE SET
        refunded_messages = m.refunded_messages + excluded.refunded_messages,
        refunded_segments = m.refunded_segments + excluded.refunded_segments,
        refunded_retail = m.refunded_retail + excluded.refunded_retail,
        refunded_wholesale = m.refunded_wholesale + excluded.refunded_wholesale,
        refunded_commission = m.refunded_commission + excluded.refunded_commission
)"""
"""What a refund does to the retail level; `owed` are the charges that it gives back."""

# What is held for campaigns counts: their messages were promised and are charged without asking again.
SQL_LEFT: Final[LiteralString] = f"""
SELECT a.customer_id, a.monthly_limit - COALESCE(m.retail - m.refunded_retail, 0) - held.retail AS left
FROM billing.agent_accounts a
LEFT JOIN billing.agent_months m ON m.customer_id = a.customer_id AND m.month = {THIS_MONTH}
CROSS JOIN LATERAL (SELECT COALESCE(sum(c.estimate - c.cost), 0) AS retail FROM core.campaigns c
                    WHERE c.account_id = a.customer_id AND c.reserved > 0) AS held
WHERE a.customer_id = ANY($1::uuid[]) AND a.monthly_limit IS NOT NULL
"""


async def left_to_spend(tx: Tx, customer_ids: Iterable[UUID]) -> dict[UUID, Decimal]:
    """What these customers may still spend this month, at retail; who is missing has no limit.

    Exact while their agents' balances are locked by this transaction.
    """
    rows = await tx.fetch(SQL_LEFT, sorted(set(customer_ids)))
    return {row["customer_id"]: row["left"] for row in rows}


SQL_COMMISSIONS_OWED: Final[LiteralString] = """
SELECT owed.agent_id, owed.commission - COALESCE(paid.amount, 0) AS amount
FROM (SELECT agent_id, sum(commission - refunded_commission) AS commission FROM billing.agent_months
      WHERE month <= $1 AND ($2::uuid IS NULL OR agent_id = $2) GROUP BY agent_id) AS owed
LEFT JOIN LATERAL (SELECT sum(l.amount) AS amount FROM billing.credit_ledger l
                   WHERE l.account_id = owed.agent_id AND l.kind = 'commission') AS paid ON true
WHERE owed.commission <> COALESCE(paid.amount, 0)
"""


async def commissions_owed(tx: Tx, until: date, agent_id: UUID | None = None) -> dict[UUID, Decimal]:
    """What each agent, or this one, has earned up to and with this month and was not paid.

    Below zero after late refunds; who is missing is owed nothing.
    """
    rows = await tx.fetch(SQL_COMMISSIONS_OWED, until, agent_id)
    return {row["agent_id"]: row["amount"] for row in rows}
