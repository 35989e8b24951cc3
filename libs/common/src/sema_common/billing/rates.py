"""The rows that prices are decided by, as they are kept: staff's price list, agents' retail rates, volumes."""

from datetime import datetime
from decimal import Decimal
from typing import Final, LiteralString
from uuid import UUID

from sema_common.billing.agents import THIS_MONTH
from sema_common.billing.prices import PriceList, PriceRow, RetailRow
from sema_common.platform.db import Tx

SQL_PRICES: Final[LiteralString] = """
SELECT id, account_id, tier, country, mno, currency, price, valid_from, valid_to, account_type, min_segments
FROM billing.pricing_tiers WHERE valid_to IS NULL OR valid_to > now()
"""
RATE: Final[LiteralString] = "id, agent_id, customer_id, country, mno, currency, price, valid_from, valid_to"

SQL_INSERT_PRICE: Final[LiteralString] = """
INSERT INTO billing.pricing_tiers (account_id, tier, account_type, country, mno, min_segments, currency, price,
    valid_from, valid_to)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) RETURNING id
"""


async def insert_price(
    tx: Tx,
    whom: tuple[UUID | None, str | None, str | None, str, str, int, str],
    price: Decimal,
    valid_from: datetime,
    valid_to: datetime | None,
) -> int:
    """A new row of the price list; `whom`: account, tier, account type, country, MNO, volume, currency. Its id."""
    price_id: int = await tx.fetchval(SQL_INSERT_PRICE, *whom, price, valid_from, valid_to)
    return price_id


SQL_END_PRICE: Final[LiteralString] = """
UPDATE billing.pricing_tiers
SET valid_from = LEAST(valid_from, $2::timestamptz - interval '1 microsecond'), valid_to = $2 WHERE id = $1
"""


async def end_price(tx: Tx, price_id: int, at: datetime) -> None:
    """The row holds until `at` and no longer; one that had not begun never does."""
    await tx.execute(SQL_END_PRICE, price_id, at)


SQL_RETAIL: Final[LiteralString] = f"""
SELECT {RATE}
FROM billing.agent_customer_pricing WHERE valid_to IS NULL OR valid_to > now()
"""
SQL_AGENTS: Final[LiteralString] = """
SELECT g.account_id, a.tier FROM billing.agents g JOIN core.accounts a ON a.id = g.account_id
"""
SQL_INSERT_RETAIL: Final[LiteralString] = f"""
WITH former AS (
    UPDATE billing.agent_customer_pricing SET valid_to = GREATEST($8, valid_from)
    WHERE agent_id = $1 AND customer_id IS NOT DISTINCT FROM $2 AND country = $4 AND mno = $5 AND currency = $6
      AND valid_from <= $8 AND (valid_to IS NULL OR valid_to > $8)
)
INSERT INTO billing.agent_customer_pricing (agent_id, customer_id, tenant_id, country, mno, currency, price, valid_from)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8) RETURNING {RATE}
"""


async def insert_retail(
    tx: Tx,
    agent_id: UUID,
    customer_id: UUID | None,
    tenant_id: UUID,
    where: tuple[str, str],
    currency: str,
    price: Decimal,
    valid_from: datetime,
) -> RetailRow:
    """A new rate; what held for the same until then ends where it begins. The agent's row is locked."""
    row = await tx.fetchrow(
        SQL_INSERT_RETAIL, agent_id, customer_id, tenant_id, *where, currency, price, valid_from
    )
    assert row is not None
    return RetailRow(*row.values())


SQL_END_RETAIL: Final[LiteralString] = f"""
UPDATE billing.agent_customer_pricing SET valid_from = LEAST(valid_from, $4::timestamptz), valid_to = $4
WHERE id = $1 AND agent_id = $2 AND customer_id IS NOT DISTINCT FROM $3 AND (valid_to IS NULL OR valid_to > $4)
RETURNING {RATE}
"""


async def end_retail(
    tx: Tx, rate_id: int, agent_id: UUID, customer_id: UUID | None, at: datetime
) -> RetailRow | None:
    """The rate ends now; None when there is none of this number that holds or will."""
    row = await tx.fetchrow(SQL_END_RETAIL, rate_id, agent_id, customer_id, at)
    return None if row is None else RetailRow(*row.values())


SQL_VOLUMES: Final[LiteralString] = f"""
SELECT account_id, month_segments FROM billing.credits WHERE month = {THIS_MONTH} AND month_segments >= $1
"""


async def load_prices(tx: Tx) -> PriceList:
    """Every row that is or will be in force, and the volumes of this month that any of them asks for.

    A tenant's transaction reads the rates and volumes of its own tenant only, which are those that its prices need.
    """
    rows = [PriceRow(*row.values()) for row in await tx.fetch(SQL_PRICES)]
    retail = [RetailRow(*row.values()) for row in await tx.fetch(SQL_RETAIL)]
    agents = {row["account_id"]: row["tier"] for row in await tx.fetch(SQL_AGENTS)}
    volumes: dict[UUID, int] = {}
    steps = [row.min_segments for row in rows if row.min_segments]
    if steps:
        volumes = {row[0]: row[1] for row in await tx.fetch(SQL_VOLUMES, min(steps))}
    return PriceList(rows, retail, agents, volumes)


SQL_RATES_VERSION: Final[LiteralString] = f"""
SELECT (SELECT (count(*), sum(xmin::text::bigint))::text FROM billing.pricing_tiers) AS prices,
       (SELECT (count(*), sum(xmin::text::bigint))::text FROM billing.agent_customer_pricing) AS retail,
       (SELECT (count(*), sum(a.xmin::text::bigint))::text
        FROM billing.agents g JOIN core.accounts a ON a.id = g.account_id) AS agents,
       (SELECT (count(*), sum(c.month_segments))::text FROM billing.credits c
        WHERE c.month = {THIS_MONTH} AND c.month_segments >= steps.first
          AND EXISTS (SELECT FROM billing.pricing_tiers WHERE min_segments > 0)) AS volumes
FROM (SELECT min(min_segments) AS first FROM billing.pricing_tiers WHERE min_segments > 0) AS steps
"""


async def rates_version(tx: Tx) -> tuple[str, ...]:
    """Changes whenever a price, a rate, an agent's tier or a volume that any price asks for does.

    Whatever is inserted, updated or deleted changes the sum of the xmins, in whatever order it commits (a maximum
    would miss an older transaction that commits late): cheaper than reading it all.
    """
    row = await tx.fetchrow(SQL_RATES_VERSION)
    assert row is not None
    return tuple(row.values())
