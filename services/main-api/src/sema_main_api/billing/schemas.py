"""Answers about money."""

from typing import Literal
from uuid import UUID

from pydantic import Field

from sema_main_api.http.schemas import Answer, ListAnswer, Moment, MoneyObject


class BalanceAnswer(Answer):
    """`available` is the balance and the credit limit together."""

    balance: MoneyObject
    available: MoneyObject
    credit_limit: MoneyObject
    billing_account_id: UUID


class LedgerEntry(Answer):
    """One movement: `amount` is negative where credit left the account, `reference` is what it was about."""

    id: str
    kind: Literal["opening", "top_up", "charge", "refund", "reserve", "release", "adjustment", "commission"]
    reference: UUID
    amount: MoneyObject
    balance_after: MoneyObject
    created_at: Moment


class Ledger(ListAnswer):
    data: list[LedgerEntry]


class PriceObject(Answer):
    """What one segment costs this account."""

    country: str = Field(description="ISO 3166 code.", examples=["KE"])
    mno: str = Field(
        description="The network, or * for every other network of the country.", examples=["Safaricom"]
    )
    price: MoneyObject
    valid_from: Moment


class Pricing(Answer):
    data: list[PriceObject]
