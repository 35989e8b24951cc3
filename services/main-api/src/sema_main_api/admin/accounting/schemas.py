"""The books, what aggregators charge, and margins, as staff ask for them and see them."""

from datetime import date
from typing import Annotated, Literal

from pydantic import Field

from sema_main_api.http.bodies import Body, Query
from sema_main_api.http.paging import PageQuery
from sema_main_api.http.schemas import Answer, ListAnswer, Moment, MoneyBody, MoneyObject

Country = Annotated[str, Field(pattern="^[A-Z]{2}$", description="ISO 3166.")]
Aggregator = Annotated[str, Field(pattern="^[a-z]{2,40}$", examples=["celcom"])]
Reason = Annotated[str, Field(min_length=1, max_length=500, description="Why; it goes into the audit log.")]


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


class CostQuery(PageQuery):
    """Filters are joined by *and*."""

    aggregator: Aggregator | None = None
    country: Country | None = None


class CreateCost(Body):
    """What a segment costs us from `valid_from` on: today, unless it is said; a day that has passed is corrected."""

    aggregator: Aggregator
    country: Country
    mno: Annotated[str, Field(min_length=1, max_length=100, description="* is every other network.")] = "*"
    cost: MoneyBody
    valid_from: date | None = Field(default=None, description="A day in UTC.")
    reason: Reason


class EndCost(Body):
    valid_to: date | None = Field(
        default=None, description="The first day (UTC) on which it does not hold; today, unless it is said."
    )
    reason: Reason


class CostObject(Answer):
    """It holds from `valid_from` up to the day before `valid_to`."""

    id: str
    aggregator: str
    country: str
    mno: str
    cost: MoneyObject
    valid_from: date
    valid_to: date | None


class CostList(ListAnswer):
    data: list[CostObject]


class MarginQuery(Query):
    """Days in UTC, both included, at most 366; without a start the month of the end, without an end up to today."""

    since: date | None = Field(default=None, alias="from")
    until: date | None = Field(default=None, alias="to")
    group_by: Literal["day", "account", "mno"] = "day"


class MarginObject(Answer):
    """`margin` is revenue less cost; commissions are not taken off it."""

    key: str = Field(description="The day, the id of the account that pays, or the MNO (empty: unknown).")
    country: str | None = Field(description="Of the MNO; null for other groups.")
    revenue: MoneyObject
    segments: int
    cost: MoneyObject
    margin: MoneyObject
    commissions: MoneyObject = Field(description="Paid to agents in that time; zero by MNO: they have none.")
    uncosted_segments: int = Field(
        description="Of the segments, those that no cost is known for: counted as 0."
    )


class Margins(Answer):
    """An estimate of what was earned; days in their order, else the largest revenue first."""

    group_by: Literal["day", "account", "mno"]
    first_day: date
    last_day: date
    added_up_until: Moment = Field(description="What was committed before then is in.")
    data: list[MarginObject]
    truncated: bool = Field(description="There are more lines: ask for a shorter time.")
