"""Routes as staff change them and see them."""

from datetime import UTC, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BeforeValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from sema_main_api.http.bodies import Body, Query
from sema_main_api.http.paging import PageQuery
from sema_main_api.http.schemas import Answer, ListAnswer, Moment

Reason = Annotated[str, Field(min_length=1, max_length=500, description="Why; it goes into the audit log.")]
Network = Annotated[str, Field(pattern="^[A-Z]{2}:.{1,60}$", examples=["KE:Telkom"])]
Name = Annotated[str, Field(pattern="^[a-z]{2,40}$", examples=["celcom"])]
State = Literal["open", "trial", "shut", "unknown"]


def _from_unix(value: object) -> object:
    return datetime.fromtimestamp(value, UTC) if isinstance(value, int | float) else value


At = Annotated[Moment, BeforeValidator(_from_unix)]


class ChangeRoute(Body):
    """Only what is given changes."""

    enabled: bool | None = Field(default=None, description="The switch: off, no message goes there.")
    rank: int | None = Field(default=None, ge=1, le=100, description="Place in the order, the lowest first.")
    per_second: int | None = Field(
        default=None, ge=1, le=100_000, description="Messages a second, all workers together; null: no pace."
    )
    unserved: list[Network] | None = Field(
        default=None, max_length=500, description="Networks that it does not reach."
    )
    reason: Reason

    @model_validator(mode="after")
    def _says_something(self) -> "ChangeRoute":
        if self.model_fields_set <= {"reason"}:
            raise PydanticCustomError("required", "Say what is to change.")
        return self


class PutAccountRoute(Body):
    """An account's own rule, as a whole."""

    aggregator: Name | None = Field(default=None, description="The one that is preferred, or forced.")
    mode: Literal["preferred", "forced"] | None = Field(
        default=None,
        description="`preferred`: tried first. `forced`: nothing else; messages wait for it until their validity ends.",
    )
    switched_off: list[Name] = Field(default=[], max_length=10, description="Never used for this account.")
    reason: Reason

    @model_validator(mode="after")
    def _fits_together(self) -> "PutAccountRoute":
        if (self.aggregator is None) != (self.mode is None):
            raise PydanticCustomError("invalid_rule", "`aggregator` and `mode` go together.")
        if self.aggregator is None and not self.switched_off:
            raise PydanticCustomError("invalid_rule", "The rule says nothing: delete it instead.")
        if self.aggregator in self.switched_off:
            raise PydanticCustomError("invalid_rule", "An aggregator is either wanted or switched off.")
        return self


class RemoveQuery(Query):
    reason: Annotated[str | None, Field(min_length=1, max_length=500, description="Why.")] = None


class Window(Answer):
    """Calls of the last minute, of all workers. Only no answer, 5xx and 429 are failures."""

    seconds: int
    calls: int
    failed: int
    error_rate: float | None


class NetworkHealth(Window):
    """One network behind the aggregator: calls with a message to it, and what it reported."""

    mno: str
    state: State = Field(description="`shut`: another aggregator is preferred for this network.")
    why: str | None
    code: str | None
    shut_at: At | None
    until: At | None
    delivered: int
    undelivered: int
    delivery_rate: float | None
    delivery_seconds: float | None = Field(description="From sent to delivered, on average.")


class Route(Answer):
    """One aggregator: what staff have set, and how it is doing."""

    aggregator: str
    rank: int
    enabled: bool
    per_second: int | None
    unserved: list[str]
    changed_at: Moment
    state: State = Field(
        description="`shut`: it fails or our account there is at fault; `trial`: single messages try it; "
        "`unknown`: Redis is away."
    )
    why: str | None = Field(description="`failing`, `asked_to_wait`, `account`, `undelivered` or `slow`.")
    code: str | None
    shut_at: At | None
    until: At | None
    window: Window | None
    networks: list[NetworkHealth]


class Routing(Answer):
    """The routes in their order. `failover`: the first one does not carry what it should."""

    failover: bool
    accounts_with_rules: int
    data: list[Route]


class AccountRoute(Answer):
    account_id: UUID
    account_name: str
    aggregator: str | None
    mode: Literal["preferred", "forced"] | None
    switched_off: list[str]
    changed_at: Moment


class AccountRouteQuery(PageQuery):
    aggregator: Name | None = Field(default=None, description="Rules that name it.")


class AccountRouteList(ListAnswer):
    data: list[AccountRoute]


class ChoiceEvent(Answer):
    """A step of a message's way, with the choice as it was made."""

    status: str
    occurred_at: Moment
    attempt: int | None
    aggregator: str | None
    code: str | None
    reason: str | None
    passed_over: list[dict[str, Any]]


class MessageRoute(Answer):
    message_id: UUID
    account_id: UUID
    data: list[ChoiceEvent]
