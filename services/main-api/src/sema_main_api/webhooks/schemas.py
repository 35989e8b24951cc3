"""Bodies and answers about webhooks."""

from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field

from sema_common.values.public_url import MAX_URL_LENGTH
from sema_main_api.http.bodies import Body
from sema_main_api.http.paging import PageQuery
from sema_main_api.http.schemas import Answer, ListAnswer, Moment

Event = Literal[
    "message.sent",
    "message.delivered",
    "message.failed",
    "message.expired",
    "campaign.completed",
    "campaign.rejected",
    "balance.low",
]
Events = Annotated[list[Event], Field(min_length=1, max_length=7)]
State = Literal["pending", "succeeded", "failed", "cancelled"]
Url = Annotated[
    str,
    Field(
        min_length=1,
        max_length=MAX_URL_LENGTH,
        description="https, port 443 or 8443, on the public internet; redirects are not followed.",
        examples=["https://example.com/hooks/sms"],
    ),
]


class CreateWebhook(Body):
    url: Url
    events: Events


class ChangeWebhook(Body):
    """Only what is given (and is not null) changes. `enabled: true` revives an endpoint disabled for failing."""

    url: Url | None = None
    events: Events | None = None
    enabled: bool | None = None


class Webhook(Answer):
    id: UUID
    url: str
    events: list[str]
    enabled: bool
    created_at: Moment
    failing_since: Moment | None
    disabled_at: Moment | None
    disabled_reason: str | None


class NewWebhook(Webhook):
    """`secret` verifies signatures (Standard Webhooks). This is the only time that it is shown."""

    secret: str = Field(
        default="", repr=False, description="Missing where an Idempotency-Key replays the answer."
    )


class WebhookList(ListAnswer):
    data: list[Webhook]


class RotatedSecret(Answer):
    """The old secret signs as well until `old_secret_until`."""

    id: UUID
    secret: str = Field(repr=False)
    old_secret_until: Moment


class DefaultSecret(Answer):
    """What a message's own `callback_url` is signed with."""

    secret: str = Field(repr=False)


class TestSent(Answer):
    """The id that the test's `webhook-id` header will bear."""

    event_id: UUID


class DeliveryQuery(PageQuery):
    status: State | None = None


class Delivery(Answer):
    """One event owed to one URL. `attempts` is how many were made."""

    id: UUID
    webhook_id: UUID | None
    event_id: UUID
    type: str
    message_id: UUID | None
    url: str
    status: State
    attempts: int
    next_attempt_at: Moment | None
    created_at: Moment
    completed_at: Moment | None


class DeliveryList(ListAnswer):
    data: list[Delivery]


class Attempt(Answer):
    """One try: the answer's status and first bytes, or what went wrong."""

    attempt: int
    started_at: Moment
    duration_ms: int
    status_code: int | None
    error: str | None
    response: str | None


class DeliveryDetail(Delivery):
    """`payload` is the exact text that is signed and sent."""

    payload: str
    history: list[Attempt]
