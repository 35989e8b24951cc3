"""`billing.pricing_tiers` as staff read it; `sema_common.billing.rates` writes it."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final, LiteralString
from uuid import UUID

from sema_common.platform.db import Row, Tx
from sema_main_api.admin.pricing.rules import Tariff

_COLUMNS: Final[
    LiteralString
] = """account_id, tier, account_type, country, mno, min_segments, currency, price,
    valid_from, valid_to, id"""

SQL_LOCK: Final[LiteralString] = "LOCK TABLE billing.pricing_tiers IN SHARE ROW EXCLUSIVE MODE"


async def lock_list(tx: Tx) -> None:
    """One member of staff changes it at a time; reading goes on."""
    await tx.execute(SQL_LOCK)


SQL_STANDING: Final[LiteralString] = f"""
SELECT {_COLUMNS} FROM billing.pricing_tiers WHERE valid_to IS NULL OR valid_to > $1 ORDER BY id
"""


async def standing(tx: Tx, at: datetime) -> list[Tariff]:
    """Every row that holds at this moment or later."""
    return [_tariff(row) for row in await tx.fetch(SQL_STANDING, at)]


SQL_PAGE: Final[LiteralString] = f"""
SELECT {_COLUMNS} FROM billing.pricing_tiers
WHERE ($1::bigint IS NULL OR id < $1) AND ($2::uuid IS NULL OR account_id = $2)
  AND ($3::text IS NULL OR country = $3) AND ($4::text IS NULL OR mno = $4)
  AND ($5::boolean IS NULL OR $5 = (valid_from <= $6 AND (valid_to IS NULL OR valid_to > $6)))
ORDER BY id DESC LIMIT $7
"""


async def page(
    tx: Tx,
    before: int | None,
    filters: tuple[UUID | None, str | None, str | None, bool | None],
    at: datetime,
    limit: int,
) -> list[Tariff]:
    """Rows, the youngest first; `filters`: account, country, MNO, whether it holds at `at`."""
    return [_tariff(row) for row in await tx.fetch(SQL_PAGE, before, *filters, at, limit)]


SQL_READ: Final[LiteralString] = (
    f"SELECT {_COLUMNS} FROM billing.pricing_tiers WHERE id = $1 FOR NO KEY UPDATE"
)


async def read(tx: Tx, price_id: int) -> Tariff | None:
    """One row, locked."""
    row = await tx.fetchrow(SQL_READ, price_id)
    return None if row is None else _tariff(row)


SQL_KNOWN: Final[LiteralString] = """
SELECT id FROM core.accounts WHERE id = ANY($1::uuid[]) AND type <> 'agent_customer'
"""


async def paying(tx: Tx, accounts: Sequence[UUID]) -> set[UUID]:
    """Which of these are accounts that pay for themselves."""
    return {row["id"] for row in await tx.fetch(SQL_KNOWN, sorted(set(accounts)))}


def _tariff(row: Row) -> Tariff:
    return Tariff(*row.values())
