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
    """Only what is given changes; a rate that is null is the tier's again."""

    name: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    tier: Tier | None = None
    rate_per_second: PerSecond | None = Field(default=None, description="Messages a second, normal lane.")
    rate_burst: Annotated[int, Field(ge=1, le=1_000_000)] | None = Field(
        default=None, description="Messages at once; null: the tier's, or five seconds of its own rate."
    )
    priority_per_second: PerSecond | None = Field(
        default=None, description="Messages a second on the priority lane; null: as on the normal lane."
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
        return self


class Because(Body):
    reason: Reason


class AccountRate(Answer):
    """Messages a second, and at once."""

    per_second: float
    burst: int


class StaffAccount(Answer):
    """An account with all that staff decide about it; the rates that are null are its tier's."""

    id: UUID
    name: str
    type: Kind
    tier: Tier
    status: Status
    agent_id: UUID | None = Field(description="Whose customer it is; the agent pays.")
    currency: str
    rate_per_second: int | None
    rate_burst: int | None
    priority_per_second: int | None
    normal_rate: AccountRate | None = Field(description="What holds on the normal lane; null: no limit.")
    priority_rate: AccountRate | None = Field(description="What holds on the priority lane; null: no limit.")
    refund_undelivered: bool
    balance: MoneyObject | None = Field(description="Null where the agent pays.")
    credit_limit: MoneyObject | None
    created_at: Moment


class StaffAccountList(ListAnswer):
    data: list[StaffAccount]
