"""What a segment costs: one pure decision over rows that staff and agents keep, and which row decided.

Quote, charge and invoice go by `PriceList.rate`: a message bears the price that it found, so that nothing is priced
twice. An account pays by `billing.pricing_tiers`. An agent's customer pays his agent by
`billing.agent_customer_pricing` (retail), and the agent pays us by `billing.pricing_tiers` (wholesale), both decided at
the same moment.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Protocol
from uuid import UUID

from sema_common.values.money import quantize

ANY_MNO = "*"


@dataclass(frozen=True, slots=True)
class PriceRow:
    """One row of the table; `None` for account, tier or account type means everybody, `mno` '*' the whole country.

    It holds from a monthly volume of `min_segments` on.
    """

    id: int
    account_id: UUID | None
    tier: str | None
    country: str
    mno: str
    currency: str
    price: Decimal
    valid_from: datetime
    valid_to: datetime | None
    account_type: str | None = None
    min_segments: int = 0

    def in_force(self, at: datetime) -> bool:
        return self.valid_from <= at and (self.valid_to is None or at < self.valid_to)


@dataclass(frozen=True, slots=True)
class RetailRow:
    """What an agent charges one of his customers, or (None) all who have no rate of their own."""

    id: int
    agent_id: UUID
    customer_id: UUID | None
    country: str
    mno: str
    currency: str
    price: Decimal
    valid_from: datetime
    valid_to: datetime | None

    def in_force(self, at: datetime) -> bool:
        return self.valid_from <= at and (self.valid_to is None or at < self.valid_to)


@dataclass(frozen=True, slots=True)
class Price:
    """The price of one segment and what decided it: a row, and in words."""

    per_segment: Decimal
    currency: str
    row_id: int
    rule: str
    valid_from: datetime

    def of(self, segments: int) -> Decimal:
        """Cost of a text of so many segments, at 4 places."""
        return quantize(self.per_segment * segments)


@dataclass(frozen=True, slots=True)
class Rate:
    """What the account pays for a segment (`price`), and what its agent is charged for it, where it has one."""

    price: Price
    wholesale: Price | None = None


class Buyer(Protocol):
    """What a price depends on, besides where the message goes. `account_type`: direct, agent or agent_customer."""

    @property
    def account_id(self) -> UUID: ...
    @property
    def billing_account_id(self) -> UUID: ...
    @property
    def account_type(self) -> str: ...
    @property
    def tier(self) -> str: ...
    @property
    def currency(self) -> str: ...


@dataclass(frozen=True, slots=True)
class _Payer:
    account_id: UUID
    account_type: str
    tier: str


class PriceList:
    """All rows in force, looked up by country: no row for a country means that we do not serve it.

    `agents` has the tier of each agent, `volumes` the segments that billing accounts were charged for this month (who
    is missing has none).
    """

    def __init__(
        self,
        rows: Iterable[PriceRow],
        retail: Iterable[RetailRow] = (),
        agents: Mapping[UUID, str] | None = None,
        volumes: Mapping[UUID, int] | None = None,
    ) -> None:
        self._agents = agents or {}
        self._volumes = volumes or {}
        self._by_key: dict[tuple[str, str], list[PriceRow]] = {}
        for row in rows:
            self._by_key.setdefault((row.country, row.currency), []).append(row)
        for group in self._by_key.values():
            # Most specific first; of equals the highest volume, then the one that came into force last.
            group.sort(
                key=lambda r: (
                    r.account_id is None,
                    r.mno == ANY_MNO,
                    r.tier is None,
                    r.account_type is None,
                    -r.min_segments,
                    -r.valid_from.timestamp(),
                    -r.id,
                )
            )
        self._retail: dict[tuple[UUID, str, str], list[RetailRow]] = {}
        for rate in retail:
            self._retail.setdefault((rate.agent_id, rate.country, rate.currency), []).append(rate)
        for rates in self._retail.values():
            rates.sort(
                key=lambda r: (
                    r.customer_id is None,
                    r.mno == ANY_MNO,
                    -r.valid_from.timestamp(),
                    -r.id,
                )
            )

    @property
    def has_volume_tiers(self) -> bool:
        """Whether any price depends on the volume of the month."""
        return any(row.min_segments for group in self._by_key.values() for row in group)

    def volume(self, account_id: UUID) -> int:
        """Segments of this month, as they were read last."""
        return self._volumes.get(account_id, 0)

    def rate(self, buyer: Buyer, country: str, mno: str | None, at: datetime) -> Rate | None:
        """What a segment to there costs at `at`, or None where this account cannot send to.

        Order of the rule: the account's own row before the common one, a row for the MNO before the country's, one
        for the tier before the one for all, one for the account type before the one for both, the higher volume
        before the lower, the younger before the older. An agent's customer pays by the agent's row for him, else by
        the agent's row for all, else the list price of his tier, but not less than the agent is charged.
        """
        if buyer.account_type != "agent_customer":
            payer = _Payer(buyer.account_id, buyer.account_type, buyer.tier)
            price = self._list_price(
                payer, country, mno, buyer.currency, at, self.volume(buyer.billing_account_id)
            )
            return None if price is None else Rate(price)
        wholesale = self.wholesale(buyer.billing_account_id, country, mno, buyer.currency, at)
        if wholesale is None:
            return None
        return Rate(self._retail_price(buyer, country, mno, at, wholesale), wholesale)

    def wholesale(
        self, agent_id: UUID, country: str, mno: str | None, currency: str, at: datetime
    ) -> Price | None:
        """What an agent pays for a segment, his own or a customer's."""
        agent = _Payer(agent_id, "agent", self._agents.get(agent_id, ""))
        return self._list_price(agent, country, mno, currency, at, self.volume(agent_id))

    def networks(self, country: str, currency: str) -> set[str]:
        """The MNOs of a country that any row has a price of its own for."""
        return {row.mno for row in self._group(country, currency)} - {ANY_MNO}

    def rungs(self, buyer: Buyer, country: str, mno: str | None, at: datetime) -> list[tuple[int, Price]]:
        """The price from each monthly volume on; an agent's customer has one price, whatever he sends."""
        if buyer.account_type == "agent_customer":
            rate = self.rate(buyer, country, mno, at)
            return [] if rate is None else [(0, rate.price)]
        payer = _Payer(buyer.account_id, buyer.account_type, buyer.tier)
        rungs: list[tuple[int, Price]] = []
        for volume in sorted({0, *(r.min_segments for r in self._group(country, buyer.currency))}):
            price = self._list_price(payer, country, mno, buyer.currency, at, volume)
            if price is not None and (not rungs or rungs[-1][1].row_id != price.row_id):
                rungs.append((volume, price))
        return rungs

    def destinations(self, buyer: Buyer, at: datetime) -> list[tuple[str, str]]:
        """Every country and MNO ('*': the others) that a row in force names for this account."""
        kind = "agent" if buyer.account_type == "agent_customer" else buyer.account_type
        named = {
            (row.country, row.mno)
            for (_, currency), group in self._by_key.items()
            if currency == buyer.currency
            for row in group
            if row.account_id in (None, buyer.billing_account_id)
            and row.account_type in (None, kind)
            and row.in_force(at)
        }
        named |= {
            (row.country, row.mno)
            for (agent_id, _, currency), rates in self._retail.items()
            if agent_id == buyer.billing_account_id and currency == buyer.currency
            for row in rates
            if row.customer_id in (None, buyer.account_id) and row.in_force(at)
        }
        return sorted(named)

    def _group(self, country: str, currency: str) -> list[PriceRow]:
        return self._by_key.get((country, currency), [])

    def _list_price(
        self, payer: _Payer, country: str, mno: str | None, currency: str, at: datetime, volume: int
    ) -> Price | None:
        for row in self._group(country, currency):
            if (
                (row.account_id is None or row.account_id == payer.account_id)
                and (row.tier is None or row.tier == payer.tier)
                and (row.account_type is None or row.account_type == payer.account_type)
                and (row.mno == ANY_MNO or row.mno == mno)
                and row.min_segments <= volume
                and row.in_force(at)
            ):
                return Price(row.price, row.currency, row.id, describe(row), row.valid_from)
        return None

    def _retail_price(
        self, buyer: Buyer, country: str, mno: str | None, at: datetime, wholesale: Price
    ) -> Price:
        for row in self._retail.get((buyer.billing_account_id, country, buyer.currency), ()):
            if (
                row.customer_id in (None, buyer.account_id)
                and (row.mno == ANY_MNO or row.mno == mno)
                and row.in_force(at)
            ):
                rule = "own rate" if row.customer_id else "rate for all customers"
                return Price(
                    row.price, row.currency, row.id, f"{rule}, {_where(row.country, row.mno)}", row.valid_from
                )
        direct = _Payer(buyer.account_id, "direct", buyer.tier)
        listed = self._list_price(direct, country, mno, buyer.currency, at, 0)
        dearer = wholesale if listed is None or listed.per_segment < wholesale.per_segment else listed
        return Price(dearer.per_segment, dearer.currency, 0, "list price", dearer.valid_from)


def describe(row: PriceRow) -> str:
    """In words which row it is: `own price, KE Safaricom, from 100000 segments a month`."""
    words = ["own price" if row.account_id else "list price"]
    if row.tier:
        words.append(f"tier {row.tier}")
    if row.account_type:
        words.append(f"{row.account_type} accounts")
    words.append(_where(row.country, row.mno))
    if row.min_segments:
        words.append(f"from {row.min_segments} segments a month")
    return ", ".join(words)


def _where(country: str, mno: str) -> str:
    return country if mno == ANY_MNO else f"{country} {mno}"
