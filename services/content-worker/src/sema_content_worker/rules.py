"""What a campaign's status allows, and how its rejection is told. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sema_common.values.clock import wire_time
from sema_common.values.ids import event_id
from sema_common.wire.webhook import Fact
from sema_content_checker import Reason

WAITING: Final = frozenset({"submitted", "pending_content_check"})
"""The statuses in which a campaign has no verdict yet; in any other it is no longer ours to judge."""


@dataclass(frozen=True, slots=True)
class Campaign:
    """A campaign as its row is now; `rejection_reasons` and `screened_at` are the verdict's."""

    id: UUID
    account_id: UUID
    billing_account_id: UUID
    name: str
    message: str
    status: str
    currency: str
    rejection_reasons: Sequence[Mapping[str, str]] | None
    send_at: datetime | None
    created_at: datetime
    screened_at: datetime | None


def reasons_as_json(reasons: Sequence[Reason]) -> list[dict[str, str]]:
    """Reasons as customers read them, the same as in the answer that refuses a single send."""
    return [{"check": reason.check, "detail": reason.detail} for reason in reasons]


def rejected_fact(campaign: Campaign, traceparent: str | None) -> Fact:
    """`campaign.rejected`, complete and the same whenever it is told: nothing was sent and nothing is charged."""
    assert campaign.status == "rejected"
    assert campaign.screened_at is not None
    nothing: dict[str, Any] = {"amount": "0.0000", "currency": campaign.currency}
    return Fact(
        event_id=event_id(campaign.id, campaign.status),
        type="campaign.rejected",
        account_id=campaign.account_id,
        occurred_at=campaign.screened_at,
        data={
            "id": str(campaign.id),
            "status": campaign.status,
            "name": campaign.name,
            "cost": nothing,
            "rejection_reasons": campaign.rejection_reasons,
            "send_at": wire_time(campaign.send_at) if campaign.send_at else None,
            "created_at": wire_time(campaign.created_at),
            "completed_at": None,
        },
        traceparent=traceparent,
    )
