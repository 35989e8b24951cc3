"""Accounts as staff ask for them, change them and see them."""

from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from sema_main_api.http.bodies import Body
from sema_main_api.http.paging import PageQuery
from sema_main_api.http.schemas import Answer, ListAnswer, Moment, MoneyBody, MoneyObject

Kind = Literal["direct", "agent", "agent_customer"]
Tier = Literal["starter", "growth", "enterprise"]
Status = Literal["active", "suspended"]
Reason = Annotated[str, Field(min_length=1, max_length=500, description="Why; it goes into the audit log.")]
PerSecond = Annotated[int, Field(ge=1, le=100_000)]


class AccountQuery(PageQuery):
    """Filters are joined by *and*."""

    name: str | None = Field(default=None, min_length=1, max_length=200, description="A part of its name.")
    email: str | None = Field(
        default=None, min_length=3, max_length=254, description="The whole address of one of its users."
    )
    type: Kind | None = None
    tier: Tier | None = None
    status: Status | None = None
    agent_id: UUID | None = Field(default=None, description="Customers of this agent.")


class ChangeAccount(Body):
    """Only what is given changes; a rate or guard that is null is the tier's again."""

    name: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    tier: Tier | None = None
    rate_per_second: PerSecond | None = Field(default=None, description="Messages a second, normal lane.")
    rate_burst: Annotated[int, Field(ge=1, le=1_000_000)] | None = Field(
        default=None, description="Messages at once; null: the tier's, or five seconds of its own rate."
    )
    priority_per_second: PerSecond | None = Field(
        default=None, description="Messages a second on the priority lane; null: as on the normal lane."
    )
    recipient_per_10_minutes: Annotated[int, Field(ge=1, le=1_000_000)] | None = Field(
        default=None, description="Guard: messages to one number in ten minutes; null: the tier's."
    )
    prefix_per_10_minutes: Annotated[int, Field(ge=1, le=1_000_000)] | None = Field(
        default=None, description="Guard: the same, to numbers that differ in their last four digits only."
    )
    spend_per_hour: MoneyBody | None = Field(
        default=None, description="Guard: what sends and batches may cost in an hour; null: the tier's."
    )
    refund_undelivered: bool | None = Field(
        default=None, description="Whether what the network did not deliver is refunded, from now on."
    )
    credit_limit: MoneyBody | None = Field(
        default=None, description="How far below zero the balance may go. Not for agents' customers."
    )
    reason: Reason

    @model_validator(mode="after")
    def _says_something(self) -> "ChangeAccount":
        if self.model_fields_set <= {"reason"}:
            raise PydanticCustomError("required", "Say what is to change.")
        if self.credit_limit is not None and self.credit_limit.money.amount < 0:
            raise PydanticCustomError("out_of_range", "A credit limit is zero or more.")
        if self.spend_per_hour is not None and self.spend_per_hour.money.amount <= 0:
            raise PydanticCustomError("out_of_range", "What may be spent in an hour is more than zero.")
        return self


class Because(Body):
    reason: Reason


class AccountRate(Answer):
    """Messages a second, and at once."""

    per_second: float
    burst: int


class AccountGuards(Answer):
    """What may go to one recipient and to one range of numbers in ten minutes, and be spent in an hour; null: all."""

    recipient: int | None
    prefix: int | None
    spend: MoneyObject | None


class StaffAccount(Answer):
    """An account with all that staff decide about it; the rates and guards that are null are its tier's."""

    id: UUID
    name: str
    type: Kind
    tier: Tier
    status: Status
    suspended_by: Literal["agent", "staff"] | None = Field(description="Who may let it in again.")
    agent_id: UUID | None = Field(description="Whose customer it is; the agent pays.")
    currency: str
    rate_per_second: int | None
    rate_burst: int | None
    priority_per_second: int | None
    normal_rate: AccountRate | None = Field(description="What holds on the normal lane; null: no limit.")
    priority_rate: AccountRate | None = Field(description="What holds on the priority lane; null: no limit.")
    recipient_per_10_minutes: int | None
    prefix_per_10_minutes: int | None
    spend_per_hour: MoneyObject | None
    guards: AccountGuards = Field(description="What holds, of its own or by its tier.")
    refund_undelivered: bool
    balance: MoneyObject | None = Field(description="Null where the agent pays.")
    credit_limit: MoneyObject | None
    created_at: Moment


class StaffAccountList(ListAnswer):
    data: list[StaffAccount]
