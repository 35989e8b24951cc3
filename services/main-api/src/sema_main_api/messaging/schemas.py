"""Bodies of the messaging endpoints. Unknown members are refused: a typo must not be swallowed."""

from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

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
