"""Bodies and answers about campaigns."""

from datetime import datetime
from typing import Annotated, Any, Final, Literal
from uuid import UUID

from pydantic import BeforeValidator, Field

from sema_common.values.clock import parse_time
from sema_main_api.http.bodies import Body
from sema_main_api.http.paging import PageQuery
from sema_main_api.http.schemas import Answer, ListAnswer, MoneyObject

MAX_MESSAGE: Final = 1600
"""Characters of a template; what it is rendered to is measured per recipient."""


def _moment(value: Any) -> datetime:
    if not isinstance(value, str):
        raise ValueError("a time is RFC 3339 text with a zone, such as 2026-11-20T09:30:00+03:00")
    return parse_time(value)


Status = Literal[
    "submitted",
    "pending_content_check",
    "approved",
    "scheduled",
    "queued",
    "sending",
    "paused",
    "completed",
    "rejected",
    "cancelled",
]
OnMissing = Literal["empty", "skip"]


class CreateCampaign(Body):
    """A text to all valid contacts of a list."""

    name: Annotated[str, Field(min_length=1, max_length=200)]
    contact_list_id: UUID
    sender: Annotated[
        str, Field(alias="from", min_length=1, max_length=64, description="An approved sender ID.")
    ]
    message: Annotated[
        str,
        Field(
            min_length=1,
            max_length=MAX_MESSAGE,
            description="The text. {{name}}, {{phone}} and {{attribute}} stand for what a contact's row says.",
        ),
    ]
    send_at: Annotated[
        datetime | None,
        BeforeValidator(lambda value: None if value is None else _moment(value)),
        Field(description="With zone, at most 90 days ahead; at once without."),
    ] = None
    on_missing: Annotated[
        OnMissing,
        Field(
            description="Who lacks a merge field gets the text without it (empty), or no message at all (skip)."
        ),
    ] = "empty"
    quiet_hours: Annotated[
        bool,
        Field(
            description="Write only between 08:00 and 18:00 of the recipient's country; the rest waits for it."
        ),
    ] = False


class CampaignQuery(PageQuery):
    status: Status | None = None


class RecipientQuery(PageQuery):
    refused: Annotated[bool, Field(description="Only those who got no message, and why.")] = False
    missing: Annotated[
        str | None, Field(max_length=64, description="Only those who lack this merge field.")
    ] = None


# ---- answers, for the OpenAPI document


class Totals(Answer):
    """`contacts` is the sum of the others. `waiting`: no message yet; `refused`: none ever, and not charged."""

    contacts: int
    waiting: int
    refused: int
    queued: int
    sent: int
    delivered: int
    failed: int
    expired: int


class Skipped(Answer):
    """Rows of the list that are no recipients: opted out, the same number again, not valid."""

    suppressed: int
    duplicates: int
    invalid: int


class Campaign(Answer):
    id: UUID
    status: Status
    name: str
    contact_list_id: UUID | None
    sender: Annotated[str, Field(alias="from")]
    message: str
    totals: Totals
    skipped: Skipped
    missing_values: Annotated[
        dict[str, int], Field(description="Recipients that lack a merge field, by field.")
    ]
    cost_estimate: MoneyObject
    cost: MoneyObject
    rejection_reasons: list[dict[str, str]] | None
    on_missing: OnMissing
    quiet_hours: bool
    send_at: datetime | None
    created_at: datetime
    started_at: datetime | None
    completed_at: datetime | None


class CampaignList(ListAnswer):
    data: list[Campaign]


class CampaignEvent(Answer):
    """What a webhook brings: `data` is the campaign as it stood then."""

    type: Literal["campaign.completed", "campaign.rejected"]
    timestamp: datetime
    data: Campaign


class Refusal(Answer):
    """Why a recipient got no message."""

    code: str
    detail: str


class Recipient(Answer):
    phone: str
    country: str
    mno: str | None
    contact_id: UUID
    missing: Annotated[list[str], Field(description="Merge fields of the text that this contact lacks.")]
    refused: Refusal | None


class RecipientList(ListAnswer):
    """In the order of expansion."""

    data: list[Recipient]


class Sample(Answer):
    """The text as one recipient would get it."""

    phone: str
    text: str
    encoding: Literal["GSM-7", "UCS-2"]
    segments: int


class CampaignEstimate(Answer):
    """What a submission right now would answer; nothing is kept and nothing reserved."""

    contacts: int
    refused: int
    skipped: Skipped
    missing_values: dict[str, int]
    cost_estimate: MoneyObject
    samples: list[Sample]
