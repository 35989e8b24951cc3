"""Whose turn it is, and what becomes of one recipient."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final
from uuid import UUID

from sema_common.messages.campaigns import CampaignRow
from sema_common.messages.store.accepting import NewMessage
from sema_common.values.ids import id_time, new_id
from sema_common.values.money import quantize
from sema_common.values.segments import measure
from sema_common.values.templates import Template

VALIDITY: Final = timedelta(seconds=86_400)
"""From its own expansion on: a message of a long campaign lives as long as any other of the normal lane."""

WEIGHTS: Final[Mapping[str, int]] = {"starter": 1, "growth": 2, "enterprise": 4}
"""Messages of one account for each of another's, while both have campaigns that run."""


class Turns:
    """Stride scheduling: each account's virtual time grows by what it was given, divided by its weight; the account
    with the least is next. Who comes anew starts just below the least of those that run: next in line, with no debt."""

    def __init__(self) -> None:
        self._times: dict[UUID, float] = {}

    def keep(self, accounts: Sequence[UUID]) -> None:
        """These accounts have campaigns that run; the others are forgotten."""
        running = set(accounts)
        least = min((time for account, time in self._times.items() if account in running), default=0.0)
        self._times = {account: self._times.get(account, least - 1) for account in running}

    def next(self, among: Sequence[UUID]) -> UUID:
        """Whose turn it is among these."""
        return min(among, key=lambda account: (self._times[account], account))

    def gave(self, account: UUID, messages: int, tier: str) -> None:
        """The account had its turn; even an empty one costs a little, so that nobody keeps it."""
        self._times[account] += max(messages, 1) / WEIGHTS.get(tier, 1)


@dataclass(frozen=True, slots=True)
class Recipient:
    """One recipient of a chunk, with the prices of a segment as they were fixed; None: refused at submission.

    `wholesale` is what the agent of the account is charged; None where the account pays itself.
    """

    seq: int
    to: str
    country: str
    mno: str | None
    values: Mapping[str, str]
    price: Decimal | None
    wholesale: Decimal | None = None


Reasons = Callable[[str], Sequence[Mapping[str, str]]]
"""Why a text may not be sent (check and detail), as the content rules are now; empty when it may."""


def expand(
    campaign: CampaignRow, template: Template, recipient: Recipient, reasons: Reasons
) -> NewMessage | dict[str, str]:
    """The message of one recipient at the price that was fixed, or why there is none."""
    body = template.render(recipient.values)
    refused = reasons(body)
    if refused:
        return {"code": "content_rejected", "detail": "; ".join(reason["detail"] for reason in refused)}
    assert recipient.price is not None
    segments = measure(body)
    message_id = new_id()
    enqueued_at = id_time(message_id)
    return NewMessage(
        message_id=message_id,
        enqueued_at=enqueued_at,
        tenant_id=campaign.tenant_id,
        account_id=campaign.account_id,
        billing_account_id=campaign.billing_account_id,
        to=recipient.to,
        sender=campaign.sender,
        body=body,
        kind="SMS",
        lane="normal",
        test=campaign.test,
        encoding=segments.encoding,
        segments=segments.segments,
        cost=quantize(recipient.price * segments.segments),
        wholesale=None if recipient.wholesale is None else quantize(recipient.wholesale * segments.segments),
        currency=campaign.currency,
        country=recipient.country,
        mno=recipient.mno,
        idempotency_hash=None,
        metadata=None,
        callback_url=None,
        traceparent=campaign.traceparent,
        valid_until=enqueued_at + VALIDITY,
        campaign_id=campaign.id,
    )


STILL_AFTER: Final = timedelta(minutes=10)
MOVING: Final = ("submitted", "pending_content_check", "approved", "scheduled", "queued", "sending")


def is_stuck(
    status: str, expanded: bool, waits_until: datetime | None, still_for: timedelta, now: datetime
) -> bool:
    """Whether somebody should look at a campaign that has not moved for so long.

    One that is expanded waits for its last messages, which may live for a day; one that waits for its time, or for
    the end of quiet hours, is where it should be until some minutes after.
    """
    if waits_until is not None and now - waits_until < STILL_AFTER:
        return False
    return still_for > (VALIDITY + timedelta(hours=1) if status == "sending" and expanded else STILL_AFTER)


def completed(campaign: CampaignRow, at: datetime) -> CampaignRow:
    """The campaign as it is once its last message has been submitted."""
    return replace(campaign, status="completed", completed_at=at)
