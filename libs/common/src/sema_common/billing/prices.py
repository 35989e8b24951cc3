"""What a segment costs: one pure decision over rows that staff keep in `billing.pricing_tiers`."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Final, LiteralString
from uuid import UUID

from sema_common.platform.db import Tx
from sema_common.values.money import quantize

ANY_MNO = "*"


@dataclass(frozen=True, slots=True)
class PriceRow:
    """One row of the table; `None` for account or tier means everybody, `mno` '*' the whole country."""

    id: int
    account_id: UUID | None
    tier: str | None
    country: str
    mno: str
    currency: str
    price: Decimal
    valid_from: datetime
    valid_to: datetime | None


@dataclass(frozen=True, slots=True)
class Price:
    """The price of one segment and the row that decided it."""

    per_segment: Decimal
    currency: str
    row_id: int

    def of(self, segments: int) -> Decimal:
        """Cost of a text of so many segments, at 4 places."""
        return quantize(self.per_segment * segments)


class PriceList:
    """All rows in force, looked up by country: no row for a country means that we do not serve it."""

    def __init__(self, rows: Iterable[PriceRow]) -> None:
        self._by_key: dict[tuple[str, str], list[PriceRow]] = {}
        for row in rows:
            self._by_key.setdefault((row.country, row.currency), []).append(row)
        for group in self._by_key.values():
            # Most specific first; of equals the one that came into force last.
            group.sort(
                key=lambda r: (
                    r.account_id is None,
                    r.mno == ANY_MNO,
                    r.tier is None,
                    -r.valid_from.timestamp(),
                )
            )

    def price(
        self, *, account_id: UUID, tier: str, country: str, mno: str | None, currency: str, at: datetime
    ) -> Price | None:
        """The price at `at`, or None where this account cannot send to.

        Order of the rule: the account's own row before the common one, a row for the MNO before the
        country's, a row for the tier before the one for all, the younger before the older.
        """
        for row in self._by_key.get((country, currency), ()):
            if (
                (row.account_id is None or row.account_id == account_id)
                and (row.tier is None or row.tier == tier)
                and (row.mno == ANY_MNO or row.mno == mno)
                and row.valid_from <= at
                and (row.valid_to is None or at < row.valid_to)
            ):
                return Price(row.price, row.currency, row.id)
        return None

    def rows_for(self, *, account_id: UUID, tier: str, currency: str, at: datetime) -> list[PriceRow]:
        """What `GET /v1/pricing` shows: every row in force that may decide a price of this account."""
        return [
            row
            for (_, row_currency), group in sorted(self._by_key.items())
            if row_currency == currency
            for row in group
            if row.account_id in (None, account_id)
            and row.tier in (None, tier)
            and row.valid_from <= at
            and (row.valid_to is None or at < row.valid_to)
        ]


SQL_PRICES: Final[LiteralString] = """
SELECT id, account_id, tier, country, mno, currency, price, valid_from, valid_to
FROM billing.pricing_tiers
WHERE valid_to IS NULL OR valid_to > now()
"""


async def load_prices(tx: Tx) -> PriceList:
    """Every row that is or will be in force."""
    return PriceList(PriceRow(*row.values()) for row in await tx.fetch(SQL_PRICES))
