"""One message as it is stored, and how a row is read."""

from dataclasses import dataclass, fields
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, LiteralString
from uuid import UUID

from sema_common.messages.jobs import job_of
from sema_common.messages.status import Status
from sema_common.platform.db import Row
from sema_common.wire.sms import Kind, Lane, SmsJob

COLUMNS: Final[
    LiteralString
] = """m.message_id, m.tenant_id, m.account_id, m.billing_account_id, m.campaign_id,
    m.to_msisdn, m.from_sender, m.body, m.message_type, m.lane, m.test, m.encoding, m.segment_count, m.cost,
    m.currency, m.country, m.operator_id, m.route_id, m.status, m.attempt_count, m.last_error, m.metadata,
    m.callback_url, m.traceparent, m.valid_until, m.enqueued_at, m.queued_at, m.sent_at, m.delivered_at,
    m.status_updated_at"""


@dataclass(frozen=True, slots=True)
class MessageRow:
    """A row of `orch.sms_messages`, in the order of `COLUMNS`."""

    message_id: UUID
    tenant_id: UUID
    account_id: UUID
    billing_account_id: UUID
    campaign_id: UUID | None
    to: str
    sender: str
    body: str
    kind: Kind
    lane: Lane
    test: bool
    encoding: str
    segments: int
    cost: Decimal
    currency: str
    country: str
    mno: str | None
    route: str | None
    status: Status
    attempts: int
    last_error: dict[str, Any] | None
    metadata: dict[str, str] | None
    callback_url: str | None
    traceparent: str | None
    valid_until: datetime
    created_at: datetime
    queued_at: datetime | None
    sent_at: datetime | None
    delivered_at: datetime | None
    status_at: datetime

    def job(self, queued_at: datetime, attempt: int = 1) -> SmsJob:
        """The wire job that submits this message (again)."""
        return job_of(self, created_at=self.created_at, queued_at=queued_at, attempt=attempt)


_WIDTH: Final = len(fields(MessageRow))


def message_row(row: Row) -> MessageRow:
    """A record whose first columns are `COLUMNS`."""
    return MessageRow(*list(row.values())[:_WIDTH])
