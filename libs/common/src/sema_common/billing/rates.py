"""The rows that prices are decided by, as they are kept: staff's price list, agents' retail rates, volumes."""

from typing import Final, LiteralString
from uuid import UUID

from sema_common.billing.agents import THIS_MONTH
from sema_common.billing.prices import PriceList, PriceRow, RetailRow
from sema_common.platform.db import Tx

SQL_PRICES: Final[LiteralString] = """
SELECT id, account_id, tier, country, mno, currency, price, valid_from, valid_to, account_type, min_segments
FROM billing.pricing_tiers WHERE valid_to IS NULL OR valid_to > now()
"""
SQL_RETAIL: Final[LiteralString] = """
SELECT id, agent_id, customer_id, country, mno, currency, price, valid_from, valid_to
FROM billing.agent_customer_pricing WHERE valid_to IS NULL OR valid_to > now()
"""
SQL_AGENTS: Final[LiteralString] = """
SELECT g.account_id, a.tier FROM billing.agents g JOIN core.accounts a ON a.id = g.account_id
"""
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
