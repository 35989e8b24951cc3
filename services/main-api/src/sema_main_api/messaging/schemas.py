"""Bodies of the messaging endpoints. Unknown members are refused: a typo must not be swallowed."""

from typing import Annotated, Any, Final, Literal
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from sema_main_api.http.schemas import Answer, ListAnswer, Moment, MoneyObject

MAX_BATCH: Final = 1000
MAX_BODY_CHARACTERS: Final = 1600
"""More than 10 segments can hold (1,530 GSM-7 units): a longer text is refused before it is measured."""

MAX_METADATA: Final = 20

Metadata = Annotated[
    dict[
        Annotated[str, Field(min_length=1, max_length=64)],
        Annotated[str, Field(max_length=500)],
    ],
    Field(max_length=MAX_METADATA),
]


class SendRequest(BaseModel):
    """One message to send."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, title="SendMessage")

    to: Annotated[str, Field(min_length=1, max_length=64, description="Recipient, E.164 with +.")]
    sender: Annotated[
        str, Field(alias="from", min_length=1, max_length=64, description="An approved sender ID.")
    ]
    body: Annotated[str, Field(min_length=1, max_length=MAX_BODY_CHARACTERS, description="The text.")]
    lane: Annotated[
        Literal["normal", "priority"], Field(description="priority: OTP and transactional texts.")
    ] = "normal"
    type: Literal["SMS", "FLASH_SMS"] = "SMS"
    callback_url: Annotated[
        str | None, Field(max_length=2000, description="Gets this message's own events.")
    ] = None
    metadata: Annotated[Metadata | None, Field(description="Up to 20 strings of yours.")] = None
    validity_seconds: Annotated[
        int | None,
        Field(ge=60, le=259_200, description="Not submitted after that; default 86,400, priority 300."),
    ] = None


class BatchRequest(BaseModel):
    """1–1000 messages; each stands alone, so an item is looked at only when its turn comes."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, title="SendBatch")

    messages: Annotated[list[Any], Field(min_length=1, max_length=MAX_BATCH)]


# ---- answers, for the OpenAPI document


Status = Literal["submitted", "queued", "sent", "delivered", "failed", "expired"]


class MessageError(Answer):
    """Why a message was not delivered."""

    code: str
    detail: str


class Message(Answer):
    """A message as it stands."""

    id: UUID
    status: Status
    to: str
    sender: Annotated[str, Field(alias="from")]
    body: str
    lane: Literal["normal", "priority"]
    type: Literal["SMS", "FLASH_SMS"]
    encoding: Literal["GSM-7", "UCS-2"]
    segments: int
    cost: MoneyObject
    country: str
    mno: str | None
    campaign_id: UUID | None
    aggregator: str | None
    metadata: dict[str, str]
    callback_url: str | None
    error: MessageError | None
    created_at: AwareDatetime
    queued_at: AwareDatetime | None
    sent_at: AwareDatetime | None
    delivered_at: AwareDatetime | None


class BatchItem(Answer):
    """What became of one item: a message, or a problem document."""

    index: int
    message: Message | None = None
    error: dict[str, Any] | None = None


class BatchResult(Answer):
    """Per item a message or an error."""

    data: list[BatchItem]
    accepted: int
    rejected: int


class CharacterAdvice(Answer):
    """A character that makes the text UCS-2, and what to write instead."""

    character: str
    replacement: str | None
    detail: str


class Estimate(Answer):
    """How a text would be cut and what it would cost."""

    encoding: Literal["GSM-7", "UCS-2"]
    units: int
    segments: int
    cost: MoneyObject
    mno: str
    country: str
    advice: list[CharacterAdvice]


class Event(Answer):
    """One step of the journey. `status` is a message status, or in_doubt, retry, resend and the like."""

    status: str
    occurred_at: AwareDatetime
    source: str
    detail: dict[str, Any]


class EventList(Answer):
    """Oldest first."""

    data: list[Event]


class MessageEvent(Answer):
    """What a webhook brings: `data` is the message as it stood when that happened."""

    type: Literal["message.sent", "message.delivered", "message.failed", "message.expired"]
    timestamp: AwareDatetime
    data: Message


class MessageList(ListAnswer):
    """Newest first."""

    data: list[Message]


class ByStatus(Answer):
    """How many messages stand where."""

    submitted: int = 0
    queued: int = 0
    sent: int = 0
    delivered: int = 0
    failed: int = 0
    expired: int = 0


class MessageGroup(Answer):
    """`cost` is what the messages were charged at, `refunded` what of it was given back."""

    key: str | None = Field(
        description="The day, MNO, country, sender or campaign; null: an unknown MNO, no campaign."
    )
    country: str | None = Field(description="Of the MNO; null for other groups.")
    messages: int
    segments: int
    by_status: ByStatus
    cost: MoneyObject
    refunded: MoneyObject


class Analytics(Answer):
    """Messages accepted from `created_after` on and before `created_before`, by group; days in their order, else the
    largest group first.
    """

    group_by: Literal["day", "mno", "country", "sender", "campaign"]
    created_after: Moment
    created_before: Moment
    data: list[MessageGroup]
    truncated: bool = Field(description="There are more groups: ask for a shorter time.")
