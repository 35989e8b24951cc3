"""Bodies and answers about agents and their customers."""

from typing import Annotated, Literal
from uuid import UUID

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from sema_common.values.public_url import UnsafeUrl, check_public_url
from sema_main_api.http.bodies import Body, Query
from sema_main_api.http.paging import PageQuery
from sema_main_api.http.schemas import Answer, Instant, ListAnswer, Moment, MoneyBody, MoneyObject

Name = Annotated[str, Field(min_length=1, max_length=200)]
Email = Annotated[
    str,
    Field(pattern=r"^[^@\s,;<>()\"]{1,64}@[^@\s,;<>()\"]{1,189}\.[A-Za-z0-9-]{2,63}$"),
    AfterValidator(str.lower),
]
Status = Literal["active", "suspended"]
Month = Annotated[str, Field(pattern=r"^20[0-9]{2}-(0[1-9]|1[0-2])$", examples=["2026-11"])]


def _https(value: str) -> str:
    try:
        check_public_url(value)
    except UnsafeUrl as exc:
        raise PydanticCustomError(
            "invalid_url", "This is no public https address: {why}.", {"why": exc.reason}
        ) from None
    return value


Url = Annotated[str, Field(max_length=500), AfterValidator(_https)]


class CreateCustomer(Body):
    """`email`: an owner who is invited; without one the agent's customer cannot log in yet."""

    name: Name
    email: Email | None = None
    monthly_limit: MoneyBody | None = Field(
        default=None,
        description="What he may spend in a calendar month (UTC) at his own rate; null: no limit.",
    )


class ChangeCustomer(Body):
    """Only what is given changes; a limit of null is none."""

    name: Name | None = None
    monthly_limit: MoneyBody | None = None


class Customer(Answer):
    """`spent_this_month` is at the customer's own rate, refunds taken off."""

    id: UUID
    name: str
    status: Status
    suspended_by: Literal["agent", "staff"] | None
    monthly_limit: MoneyObject | None
    spent_this_month: MoneyObject
    created_at: Moment


class CustomerQuery(PageQuery):
    status: Status | None = None


class CustomerList(ListAnswer):
    data: list[Customer]


class CreateRate(Body):
    """What a segment costs the customer from `valid_from` on; now, unless it is said."""

    country: Annotated[str, Field(pattern="^[A-Z]{2}$", description="ISO 3166.")]
    mno: Annotated[str, Field(min_length=1, max_length=100, description="* is every other network.")] = "*"
    price: MoneyBody
    valid_from: Instant | None = None


class AgentRate(Answer):
    id: str
    customer_id: UUID | None = Field(description="Null: all customers who have no rate of their own.")
    country: str
    mno: str
    price: MoneyObject
    wholesale: MoneyObject | None = Field(
        description="What the agent pays for it now; null: cannot be sent to."
    )
    valid_from: Moment
    valid_to: Moment | None


class AgentRates(Answer):
    data: list[AgentRate]


class CommissionQuery(Query):
    month: Month | None = Field(default=None, description="This month (UTC), unless it is said.")


class SoldObject(Answer):
    """What was sold in a month, refunds of that month taken off. margin = retail - wholesale."""

    messages: int
    segments: int
    retail: MoneyObject
    wholesale: MoneyObject
    margin: MoneyObject
    commission: MoneyObject


class CustomerSold(SoldObject):
    customer_id: UUID
    name: str


class Commissions(Answer):
    """`paid`: what was credited for the months up to this one; null before the month is over."""

    month: str
    commission_rate: str
    total: SoldObject
    paid: MoneyObject | None
    paid_at: Moment | None
    data: list[CustomerSold]


class SoldQuery(PageQuery):
    customer_id: UUID | None = None
    created_after: Instant | None = None
    created_before: Instant | None = None


class SoldMessage(Answer):
    """A charged message of a customer, without its text: that is the customer's. Null: no longer kept."""

    id: UUID
    customer_id: UUID
    status: str | None
    to: str | None
    sender: Annotated[str | None, Field(alias="from")]
    country: str | None
    mno: str | None
    segments: int
    retail: MoneyObject
    wholesale: MoneyObject
    margin: MoneyObject
    commission: MoneyObject
    refunded: bool
    created_at: Moment


class SoldMessages(ListAnswer):
    data: list[SoldMessage]


class PutBranding(Body):
    """All of it: what is left out is empty."""

    name: Annotated[str, Field(min_length=1, max_length=100)]
    logo_url: Url | None = None
    colour: Annotated[str | None, Field(pattern="^#[0-9a-f]{6}$", examples=["#0a7d4f"])] = None
    support_email: Email | None = None
    support_phone: Annotated[str | None, Field(pattern=r"^\+[1-9][0-9]{6,14}$")] = None
    support_url: Url | None = None


class Branding(Answer):
    """In whose name the account is served."""

    name: str
    logo_url: str | None
    colour: str | None
    support_email: str | None
    support_phone: str | None
    support_url: str | None
