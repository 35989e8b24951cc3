"""Sender IDs, countries' rules and protected names as staff see and decide them."""

from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from sema_main_api.http.bodies import Body, Query
from sema_main_api.http.paging import PageQuery
from sema_main_api.http.schemas import Answer, ListAnswer, Moment

Status = Literal["pending", "approved", "rejected"]
Country = Annotated[str, Field(pattern="^[A-Z]{2}$", examples=["KE"])]
Reason = Annotated[str, Field(min_length=1, max_length=500)]
Note = Annotated[str, Field(min_length=1, max_length=500, description="Why, for your colleagues.")]
WHY: str = "Why; it goes into the audit log."


class SenderQuery(PageQuery):
    """Filters are joined by *and*."""

    status: Status | None = None
    account_id: UUID | None = None
    sender: str | None = Field(
        default=None, min_length=1, max_length=15, description="Whatever looks like it."
    )


class LookAlike(Answer):
    """Whom a reader could take it for: another account's approved sender, or a protected name."""

    kind: Literal["approved", "protected"]
    name: str
    account_id: UUID | None
    account_name: str | None


class StaffSender(Answer):
    id: UUID
    account_id: UUID
    account_name: str
    sender: str
    status: Status
    countries: list[str] = Field(
        description="Where it is registered; while it is pending, where it is wanted."
    )
    purpose: str | None
    reason: str | None = Field(description="Why it was rejected, or approved in spite of what it looks like.")
    created_at: Moment
    decided_at: Moment | None
    decided_by: UUID | None


class StaffSenderDetail(StaffSender):
    look_alikes: list[LookAlike]


class StaffSenderList(ListAnswer):
    data: list[StaffSender]


class Approve(Body):
    countries: list[Country] | None = Field(
        default=None,
        max_length=60,
        description="Where it is registered; without: where it was wanted, or else every country that needs it today.",
    )
    despite_look_alikes: bool = Field(
        default=False, description="It looks like another and is theirs all the same; administrators only."
    )
    reason: Reason | None = Field(default=None, description=WHY + " Needed with `despite_look_alikes`.")


class Reject(Body):
    reason: Reason = Field(description="The customer reads it.")


class SenderRule(Answer):
    """What a country takes as a sender. A country without a rule takes any."""

    country: str
    needs_registration: bool
    allows_alphanumeric: bool
    allows_numeric: bool
    note: str | None
    changed_at: Moment


class SenderRuleList(Answer):
    data: list[SenderRule]


class PutSenderRule(Body):
    """A country's rule, as a whole."""

    needs_registration: bool
    allows_alphanumeric: bool = True
    allows_numeric: bool = True
    note: Note | None = None
    reason: Reason | None = Field(default=None, description=WHY)

    @model_validator(mode="after")
    def _allows_something(self) -> "PutSenderRule":
        if not (self.allows_alphanumeric or self.allows_numeric):
            raise PydanticCustomError("out_of_range", "A country takes names or numbers, or both.")
        return self


class RemoveQuery(Query):
    reason: Reason | None = Field(default=None, description=WHY)


class ProtectedName(Answer):
    name: str
    note: str | None
    created_at: Moment


class ProtectedNameList(Answer):
    data: list[ProtectedName]


class AddProtectedName(Body):
    name: str = Field(min_length=3, max_length=40, pattern=r"^\S(.*\S)?$", examples=["M-PESA"])
    note: Note | None = None
