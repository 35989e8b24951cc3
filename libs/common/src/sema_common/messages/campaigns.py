"""A campaign as it is stored, and the campaign object of the HTTP contract, which webhooks bring too. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, LiteralString
from uuid import UUID

from sema_common.platform.db import Row
from sema_common.values.clock import wire_time
from sema_common.values.ids import event_id
from sema_common.values.money import wire
from sema_common.wire.webhook import Fact

COLUMNS: Final[
    LiteralString
] = """c.id, c.tenant_id, c.account_id, c.billing_account_id, c.contact_list_id, c.name, c.sender, c.message, c.status,
    c.test, c.send_at, c.quiet_hours, c.on_missing, c.currency, c.estimate, c.cost, c.reserved, c.contacts, c.expanded,
    c.refused, c.suppressed, c.duplicates, c.invalid, c.missing, c.totals, c.rejection_reasons, c.traceparent,
    c.created_at, c.screened_at, c.started_at, c.expanded_at, c.completed_at"""


@dataclass(frozen=True, slots=True)
class CampaignRow:
    """A row of `core.campaigns`, in the order of `COLUMNS`.

    `contacts` = `expanded` (messages made) + `refused` + those still to come; `estimate` is what all of them cost,
    `cost` what was charged, `reserved` what is still held. `totals` is kept once nothing moves any more.
    """

    id: UUID
    tenant_id: UUID
    account_id: UUID
    billing_account_id: UUID
    contact_list_id: UUID | None
    name: str
    sender: str
    message: str
    status: str
    test: bool
    send_at: datetime | None
    quiet_hours: bool
    on_missing: str
    currency: str
    estimate: Decimal
    cost: Decimal
    reserved: Decimal
    contacts: int
    expanded: int
    refused: int
    suppressed: int
    duplicates: int
    invalid: int
    missing: dict[str, int]
    totals: dict[str, int] | None
    rejection_reasons: Sequence[Mapping[str, str]] | None
    traceparent: str | None
    created_at: datetime
    screened_at: datetime | None
    started_at: datetime | None
    expanded_at: datetime | None
    completed_at: datetime | None

    @property
    def waiting(self) -> int:
        """Recipients that no message was made for yet and none was refused."""
        return self.contacts - self.expanded - self.refused


_WIDTH: Final = len(fields(CampaignRow))


def campaign_row(row: Row) -> CampaignRow:
    """A record whose first columns are `COLUMNS`."""
    return CampaignRow(*list(row.values())[:_WIDTH])


def campaign_object(campaign: CampaignRow, by_status: Mapping[str, int]) -> dict[str, Any]:
    """The object; `by_status` counts the campaign's messages by their status.

    `totals.contacts` is the sum of all other totals: who is not yet a message waits, or was refused.
    """

    def money(amount: Decimal) -> dict[str, str]:
        return {"amount": wire(amount), "currency": campaign.currency}

    def time(at: datetime | None) -> str | None:
        return None if at is None else wire_time(at)

    return {
        "id": str(campaign.id),
        "status": campaign.status,
        "name": campaign.name,
        "contact_list_id": None if campaign.contact_list_id is None else str(campaign.contact_list_id),
        "from": campaign.sender,
        "message": campaign.message,
        "totals": {
            "contacts": campaign.contacts,
            "waiting": campaign.waiting,
            "refused": campaign.refused,
            "queued": by_status.get("submitted", 0) + by_status.get("queued", 0),
            **{status: by_status.get(status, 0) for status in ("sent", "delivered", "failed", "expired")},
        },
        "skipped": {
            "suppressed": campaign.suppressed,
            "duplicates": campaign.duplicates,
            "invalid": campaign.invalid,
        },
        "missing_values": campaign.missing,
        "cost_estimate": money(campaign.estimate),
        "cost": money(campaign.cost),
        "rejection_reasons": campaign.rejection_reasons,
        "on_missing": campaign.on_missing,
        "quiet_hours": campaign.quiet_hours,
        "send_at": time(campaign.send_at),
        "created_at": wire_time(campaign.created_at),
        "started_at": time(campaign.started_at),
        "completed_at": time(campaign.completed_at),
    }


def campaign_fact(campaign: CampaignRow, by_status: Mapping[str, int], occurred_at: datetime) -> Fact:
    """`campaign.<status>`, with an id that is the same however often it is told."""
    return Fact.model_construct(
        event_id=event_id(campaign.id, campaign.status),
        type=f"campaign.{campaign.status}",
        account_id=campaign.account_id,
        occurred_at=occurred_at,
        data=campaign_object(campaign, by_status),
        message_id=None,
        callback_url=None,
        endpoint_id=None,
        traceparent=campaign.traceparent,
    )


def rejected_fact(campaign: CampaignRow) -> Fact:
    """`campaign.rejected`, the same whenever and by whomever it is told: nothing was sent, nothing is charged."""
    assert campaign.status == "rejected"
    assert campaign.screened_at is not None
    return campaign_fact(campaign, {}, campaign.screened_at)
