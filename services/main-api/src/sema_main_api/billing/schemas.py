"""Answers about money."""

from typing import Literal
from uuid import UUID

from pydantic import Field

from sema_main_api.http.bodies import Body, Query
from sema_main_api.http.schemas import Answer, Instant, ListAnswer, Moment, MoneyBody, MoneyObject


class BalanceAnswer(Answer):
    """`available` is the balance and the credit limit together."""

    balance: MoneyObject
    available: MoneyObject
    credit_limit: MoneyObject
    billing_account_id: UUID


Kind = Literal["opening", "top_up", "charge", "refund", "reserve", "release", "adjustment", "commission"]


class LedgerEntry(Answer):
    """One movement: `amount` is negative where credit left the account, `reference` is what it was about."""

    id: str
    kind: Kind
    reference: UUID
    amount: MoneyObject
    balance_after: MoneyObject
    created_at: Moment


class Ledger(ListAnswer):
    data: list[LedgerEntry]


class VolumeTier(Answer):
    """What a segment costs once so many were charged in the calendar month (UTC)."""

    from_segments: int
    price: MoneyObject


class PriceObject(Answer):
    """What one segment costs this account: `price` now, and from each monthly volume on. `rule` says why."""

    country: str = Field(description="ISO 3166 code.", examples=["KE"])
    mno: str = Field(
        description="The network, or * for every other network of the country.", examples=["Safaricom"]
    )
    price: MoneyObject
    rule: str = Field(examples=["list price, KE Safaricom, from 100000 segments a month"])
    valid_from: Moment
    volume_tiers: list[VolumeTier]


class Pricing(Answer):
    """A volume that was reached a moment ago decides prices within 5 seconds."""

    segments_this_month: int = Field(description="Segments charged in this calendar month, UTC.")
    data: list[PriceObject]


class LedgerSpan(Query):
    """Without one of them, from the beginning or up to now."""

    created_after: Instant | None = Field(default=None, description="From then on.")
    created_before: Instant | None = Field(default=None, description="Before then.")


class MovementsObject(Answer):
    """What moved by one kind of entry."""

    kind: Kind
    entries: int
    amount: MoneyObject


class StatementObject(Answer):
    """A UTC month. `final`: nothing can be added to it any more."""

    month: str = Field(examples=["2026-11"])
    opening_balance: MoneyObject
    closing_balance: MoneyObject
    movements: list[MovementsObject]
    final: bool


class StatementList(ListAnswer):
    data: list[StatementObject]


class BalanceAlert(Body):
    """What may still be spent when `balance.low` is told, once; null for never."""

    threshold: MoneyBody | None


class BalanceLow(Answer):
    """`available` has fallen below `threshold`. Told once, until new credit has come in."""

    account_id: UUID
    balance: MoneyObject
    available: MoneyObject
    credit_limit: MoneyObject
    threshold: MoneyObject


class BalanceEvent(Answer):
    """What an endpoint that subscribed to `balance.low` gets."""

    type: Literal["balance.low"]
    timestamp: Moment
    data: BalanceLow
