"""From a message to the wire job that submits it; new or stored, it has the same fields."""

from datetime import datetime
from decimal import Decimal
from typing import Protocol
from uuid import UUID

from sema_common.wire.sms import Kind, Lane, SmsJob


class Submittable(Protocol):
    """What a job is made of."""

    @property
    def message_id(self) -> UUID: ...
    @property
    def account_id(self) -> UUID: ...
    @property
    def tenant_id(self) -> UUID: ...
    @property
    def billing_account_id(self) -> UUID: ...
    @property
    def to(self) -> str: ...
    @property
    def sender(self) -> str: ...
    @property
    def body(self) -> str: ...
    @property
    def kind(self) -> Kind: ...
    @property
    def lane(self) -> Lane: ...
    @property
    def encoding(self) -> str: ...
    @property
    def segments(self) -> int: ...
    @property
    def cost(self) -> Decimal: ...
    @property
    def currency(self) -> str: ...
    @property
    def country(self) -> str: ...
    @property
    def mno(self) -> str | None: ...
    @property
    def campaign_id(self) -> UUID | None: ...
    @property
    def callback_url(self) -> str | None: ...
    @property
    def metadata(self) -> dict[str, str] | None: ...
    @property
    def test(self) -> bool: ...
    @property
    def valid_until(self) -> datetime: ...
    @property
    def traceparent(self) -> str | None: ...


def job_of(message: Submittable, *, created_at: datetime, queued_at: datetime, attempt: int = 1) -> SmsJob:
    """The job, unvalidated: the fields were checked at the door or come from the table."""
    return SmsJob.of_checked(
        {
            "message_id": message.message_id,
            "account_id": message.account_id,
            "tenant_id": message.tenant_id,
            "billing_account_id": message.billing_account_id,
            "to": message.to,
            "sender": message.sender,
            "body": message.body,
            "kind": message.kind,
            "lane": message.lane,
            "encoding": message.encoding,
            "segments": message.segments,
            "cost": message.cost,
            "currency": message.currency,
            "country": message.country,
            "mno": message.mno,
            "campaign_id": message.campaign_id,
            "callback_url": message.callback_url,
            "metadata": message.metadata,
            "test": message.test,
            "attempt": attempt,
            "created_at": created_at,
            "queued_at": queued_at,
            "valid_until": message.valid_until,
            "traceparent": message.traceparent,
            "only_via": None,
            "not_via": (),
        }
    )
