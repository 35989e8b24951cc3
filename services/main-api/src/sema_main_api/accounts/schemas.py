"""Bodies and answers about accounts, keys and senders."""

from typing import Annotated, Literal
from uuid import UUID

from pydantic import AfterValidator, AwareDatetime, Field
from pydantic_core import PydanticCustomError

from sema_common.values.senders import is_sender_id
from sema_main_api.http.bodies import Body
from sema_main_api.http.paging import PageQuery
from sema_main_api.http.routing import SCOPES
from sema_main_api.http.schemas import Answer, ListAnswer, Moment


def _scope(value: str) -> str:
    if value not in SCOPES:
        raise PydanticCustomError(
            "invalid_choice", "A scope is one of {known}.", {"known": ", ".join(SCOPES)}
        )
    return value


def _sender(value: str) -> str:
    if not is_sender_id(value):
        raise PydanticCustomError(
            "invalid_sender_id",
            "A sender ID is 1 to 11 plain letters, digits and . _ & - or spaces inside, or a number of 3 to 15 digits.",
        )
    return value


class CreateKey(Body):
    name: str = Field(default="", max_length=100)
    mode: Literal["live", "test"] = "live"
    scopes: Annotated[
        list[Annotated[str, AfterValidator(_scope)]], Field(min_length=1, max_length=len(SCOPES))
    ] = Field(default=list(SCOPES), description="What the key may do; everything, unless it is said.")
    expires_at: AwareDatetime | None = None


class Key(Answer):
    """A key as it may be shown again: never whole."""

    id: UUID
    name: str
    mode: str
    prefix: str
    last4: str
    scopes: list[str]
    created_at: Moment
    last_used_at: Moment | None
    expires_at: Moment | None
    revoked_at: Moment | None


class NewKey(Key):
    """`secret` is the key itself. This is the only time that it is shown."""

    secret: str = Field(repr=False)


class KeyList(ListAnswer):
    data: list[Key]


class RequestSender(Body):
    sender: Annotated[str, AfterValidator(_sender)] = Field(min_length=1, max_length=15)


class Sender(Answer):
    id: UUID
    sender: str
    status: Literal["pending", "approved", "rejected"]
    reason: str | None
    created_at: Moment
    decided_at: Moment | None


class SenderList(ListAnswer):
    data: list[Sender]


class SenderQuery(PageQuery):
    status: Literal["pending", "approved", "rejected"] | None = None


class Account(Answer):
    id: UUID
    name: str
    type: str
    tier: str
    status: str
    currency: str
    created_at: Moment


class User(Answer):
    id: UUID
    email: str
    name: str
    role: str
    created_at: Moment


class Me(Answer):
    """Who is calling: `key` or `user` is set."""

    account: Account
    key: Key | None
    user: User | None
