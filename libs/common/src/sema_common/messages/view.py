"""The message object of the HTTP contract: what `GET` answers and what a webhook's `data` holds. Pure."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sema_common.messages.status import Status
from sema_common.messages.store.accepting import NewMessage
from sema_common.messages.store.rows import MessageRow
from sema_common.values.clock import wire_time
from sema_common.values.ids import event_id
from sema_common.values.money import wire
from sema_common.wire.sms import SmsJob
from sema_common.wire.webhook import Fact


def _time(at: datetime | None) -> str | None:
    return None if at is None else wire_time(at)


def message_object(
    message: NewMessage | MessageRow | SmsJob,
    *,
    status: Status,
    aggregator: str | None = None,
    error: dict[str, Any] | None = None,
    created_at: datetime,
    queued_at: datetime | None = None,
    sent_at: datetime | None = None,
    delivered_at: datetime | None = None,
) -> dict[str, Any]:
    """The object, with exactly the members of the contract, in its order."""
    return {
        "id": str(message.message_id),
        "status": status,
        "to": message.to,
        "from": message.sender,
        "body": message.body,
        "lane": message.lane,
        "type": message.kind,
        "encoding": message.encoding,
        "segments": message.segments,
        "cost": {"amount": wire(message.cost), "currency": message.currency},
        "country": message.country,
        "mno": message.mno,
        "campaign_id": None if message.campaign_id is None else str(message.campaign_id),
        "aggregator": aggregator,
        "metadata": message.metadata or {},
        "callback_url": message.callback_url,
        "error": error,
        "created_at": wire_time(created_at),
        "queued_at": _time(queued_at),
        "sent_at": _time(sent_at),
        "delivered_at": _time(delivered_at),
    }


def of_row(row: MessageRow) -> dict[str, Any]:
    """The object of a stored message."""
    return message_object(
        row,
        status=row.status,
        aggregator=row.route,
        error=row.last_error,
        created_at=row.created_at,
        queued_at=row.queued_at,
        sent_at=row.sent_at,
        delivered_at=row.delivered_at,
    )


def status_fact(
    data: dict[str, Any],
    *,
    message_id: UUID,
    account_id: UUID,
    status: Status,
    occurred_at: datetime,
    callback_url: str | None,
    traceparent: str | None,
) -> Fact:
    """`message.<status>`, with an id that is the same however often it is told."""
    return Fact.model_construct(
        event_id=event_id("message", message_id, status),
        type=f"message.{status}",
        account_id=account_id,
        occurred_at=occurred_at,
        data=data,
        message_id=message_id,
        callback_url=callback_url,
        endpoint_id=None,
        traceparent=traceparent,
    )
