"""The books as staff see them."""

from typing import Literal

from sema_main_api.http.schemas import Answer, Moment, MoneyObject


class TrialLineObject(Answer):
    """Above zero is what account holders have with us; below zero, what came in or is owed for it."""

    side: Literal["accounts", "counter_accounts"]
    name: str
    amount: MoneyObject


class TrialTotal(Answer):
    """All lines of a currency; `balanced` says that they are zero."""

    total: MoneyObject
    balanced: bool


class TrialBalance(Answer):
    at: Moment
    data: list[TrialLineObject]
    totals: list[TrialTotal]
