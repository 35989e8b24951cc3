"""What aggregators charge for a segment: kept by staff, by day.

What must never happen: two costs of one aggregator for the same network, currency and day.
"""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Final, LiteralString

from sema_common.platform.db import Tx

_COLUMNS: Final[LiteralString] = "id, aggregator, country, mno, currency, cost, valid_from, valid_to"


@dataclass(frozen=True, slots=True)
class Cost:
    """It holds from `valid_from` up to the day before `valid_to` (None: on and on); mno `*`: all other networks."""

    id: int
    aggregator: str
    country: str
    mno: str
    currency: str
    cost: Decimal
    valid_from: date
    valid_to: date | None


@dataclass(frozen=True, slots=True)
class Scope:
    """What only one cost at a time holds for."""

    aggregator: str
    country: str
    mno: str
    currency: str


SQL_LOCK: Final[LiteralString] = "LOCK TABLE billing.aggregator_costs IN SHARE ROW EXCLUSIVE MODE"


async def lock_costs(tx: Tx) -> None:
    """One member of staff changes them at a time; reading goes on."""
    await tx.execute(SQL_LOCK)


SQL_PAGE: Final[LiteralString] = f"""
SELECT {_COLUMNS} FROM billing.aggregator_costs
WHERE ($1::bigint IS NULL OR id < $1) AND ($2::text IS NULL OR aggregator = $2) AND ($3::text IS NULL OR country = $3)
ORDER BY id DESC LIMIT $4
"""


async def page(
    tx: Tx, before: int | None, aggregator: str | None, country: str | None, limit: int
) -> list[Cost]:
    """A page of all costs, the youngest first."""
    return [Cost(*row.values()) for row in await tx.fetch(SQL_PAGE, before, aggregator, country, limit)]


SQL_READ: Final[LiteralString] = f"SELECT {_COLUMNS} FROM billing.aggregator_costs WHERE id = $1"


async def read(tx: Tx, cost_id: int) -> Cost | None:
    """One of them."""
    row = await tx.fetchrow(SQL_READ, cost_id)
    return None if row is None else Cost(*row.values())


SQL_HOLDING: Final[LiteralString] = f"""
SELECT {_COLUMNS} FROM billing.aggregator_costs
WHERE aggregator = $1 AND country = $2 AND mno = $3 AND currency = $4
  AND (valid_to IS NULL OR valid_to > greatest(valid_from, $5::date)) ORDER BY valid_from
"""


async def holding(tx: Tx, scope: Scope, day: date) -> list[Cost]:
    """What holds for the same on this day or later, in its order."""
    rows = await tx.fetch(SQL_HOLDING, scope.aggregator, scope.country, scope.mno, scope.currency, day)
    return [Cost(*row.values()) for row in rows]


SQL_KNOWN: Final[LiteralString] = "SELECT EXISTS (SELECT FROM core.routes WHERE aggregator = $1)"
SQL_INSERT: Final[LiteralString] = f"""
INSERT INTO billing.aggregator_costs (aggregator, country, mno, currency, cost, valid_from)
VALUES ($1, $2, $3, $4, $5, $6) RETURNING {_COLUMNS}
"""


async def insert(tx: Tx, scope: Scope, cost: Decimal, valid_from: date) -> Cost | None:
    """A cost without an end; None for an aggregator that there is not."""
    if not await tx.fetchval(SQL_KNOWN, scope.aggregator):
        return None
    values = scope.aggregator, scope.country, scope.mno, scope.currency, cost, valid_from
    row = await tx.fetchrow(SQL_INSERT, *values)
    assert row is not None
    return Cost(*row.values())


SQL_END: Final[LiteralString] = f"""
UPDATE billing.aggregator_costs SET valid_to = $2 WHERE id = $1 RETURNING {_COLUMNS}
"""


async def end(tx: Tx, cost_id: int, day: date) -> Cost:
    """It no longer holds on this day; which is not before its first."""
    row = await tx.fetchrow(SQL_END, cost_id, day)
    assert row is not None
    return Cost(*row.values())
