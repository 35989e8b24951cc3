"""Bodies and answers about accounts, keys and senders."""

from ipaddress import ip_network
from typing import Annotated, Final, Literal
from uuid import UUID

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from sema_common.values.senders import is_sender_id
from sema_main_api.http.bodies import Body
from sema_main_api.http.paging import PageQuery
from sema_main_api.http.routing import SCOPES
from sema_main_api.http.schemas import Answer, Instant, ListAnswer, Moment


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


def _network(value: str) -> str:
    try:
        found = ip_network(value)
    except ValueError:
        found = None
    # A zone (RFC 4007) is a link of whoever writes it, not of ours, and no cidr column holds one.
    if found is None or "%" in value or getattr(found.network_address, "ipv4_mapped", None) is not None:
        raise PydanticCustomError(
            "invalid_network",
            "A network is an address or a CIDR range without host bits, such as 203.0.113.0/24.",
        )
    return str(found)


Networks = Annotated[list[Annotated[str, AfterValidator(_network)]], Field(max_length=50)]
PerSecond = Annotated[int, Field(ge=1, le=100_000)]
NETWORKS: Final = "Addresses and CIDR ranges that the key works from; none: it works from anywhere."
RATE: Final = "Messages a second and lane for this key alone; null: as fast as the account."


class CreateKey(Body):
    name: str = Field(default="", max_length=100)
    mode: Literal["live", "test"] = "live"
    scopes: Annotated[
        list[Annotated[str, AfterValidator(_scope)]], Field(min_length=1, max_length=len(SCOPES))
    ] = Field(default=list(SCOPES), description="What the key may do; everything, unless it is said.")
    allowed_networks: Networks = Field(default=[], description=NETWORKS)
    rate_per_second: PerSecond | None = Field(default=None, description=RATE)
    expires_at: Instant | None = None


class ChangeKey(Body):
    """What is left out stays as it is."""

    name: str = Field(default="", max_length=100)
    allowed_networks: Networks = Field(default=[], description=NETWORKS)
    rate_per_second: PerSecond | None = Field(default=None, description=RATE)


class RotateKey(Body):
    keep_seconds: int = Field(
        default=86_400, ge=0, le=604_800, description="How long the old key goes on beside the new one."
    )


class Key(Answer):
    """A key as it may be shown again: never whole."""

    id: UUID
    name: str
    mode: str
    prefix: str
    last4: str
    scopes: list[str]
    allowed_networks: list[str]
    rate_per_second: int | None
    created_at: Moment
    last_used_at: Moment | None
    expires_at: Moment | None
    revoked_at: Moment | None


class NewKey(Key):
    """`secret` is the key itself. This is the only time that it is shown."""

    secret: str = Field(
        default="", repr=False, description="Missing where an Idempotency-Key replays the answer."
    )


class KeyList(ListAnswer):
    data: list[Key]


Country = Annotated[str, Field(pattern="^[A-Z]{2}$", examples=["KE"])]


class RequestSender(Body):
    sender: Annotated[str, AfterValidator(_sender)] = Field(min_length=1, max_length=15)
    countries: list[Country] = Field(
        default=[],
        max_length=60,
        description="Where it shall be used; none: wherever we can have it registered.",
    )
    purpose: str | None = Field(
        default=None, min_length=1, max_length=500, description="What it is for, and whose name it is."
    )


class Sender(Answer):
    id: UUID
    sender: str
    status: Literal["pending", "approved", "rejected"]
    countries: list[str] = Field(
        description="Where it is registered; while it is pending, where it is wanted."
    )
    purpose: str | None
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
