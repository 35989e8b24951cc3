"""What customers are told of a message, from the job in hand or from what is stored."""

from datetime import datetime

from sema_common.messages.status import Status
from sema_common.messages.store.attempts import Attempt
from sema_common.messages.store.outcomes import Ended, Sent
from sema_common.messages.store.rows import MessageRow
from sema_common.messages.view import message_object, status_fact
from sema_common.wire.sms import SmsJob
from sema_common.wire.webhook import Fact
from sema_sms_worker.rules.doubt import RESENT


def sent(job: SmsJob, record: Sent, traceparent: str | None = None) -> Fact:
    """`message.sent`."""
    data = message_object(
        job,
        status="sent",
        aggregator=record.aggregator,
        created_at=job.created_at,
        queued_at=job.queued_at,
        sent_at=record.at,
    )
    return _fact(job, "sent", data, record.at, traceparent)


def ended(message: SmsJob | MessageRow, record: Ended, traceparent: str | None = None) -> Fact:
    """`message.failed` or `message.expired`."""
    data = message_object(
        message,
        status=record.status,
        aggregator=record.aggregator,
        error=record.error,
        created_at=message.created_at,
        queued_at=message.queued_at,
    )
    return _fact(message, record.status, data, record.at, traceparent)


def _fact(
    message: SmsJob | MessageRow,
    status: Status,
    data: dict[str, object],
    at: datetime,
    traceparent: str | None,
) -> Fact:
    return status_fact(
        data,
        message_id=message.message_id,
        account_id=message.account_id,
        status=status,
        occurred_at=at,
        callback_url=message.callback_url,
        traceparent=traceparent or message.traceparent,
    )


def retold(message: SmsJob | MessageRow, attempt: Attempt, status: Status) -> Fact | None:
    """The fact that this attempt brought about, exactly as it was told before; None if it brought about none.

    A claim without outcome tells nothing: another worker may be in the middle of it.
    """
    if attempt.finished_at is None:
        return None
    key = (attempt.message_id, attempt.attempt, attempt.tenant_id)
    if isinstance(message, SmsJob) and attempt.state == "accepted" and attempt.aggregator_id is not None:
        return sent(
            message,
            Sent(*key, attempt.aggregator, attempt.aggregator_id, message.queued_at, attempt.finished_at),
        )
    if attempt.state == "settled" and attempt.code == RESENT[0]:
        return None  # the message went on with its next attempt
    if attempt.state in ("refused", "settled") and (status == "failed" or status == "expired"):
        aggregator = (attempt.aggregator or None) if status == "failed" else None
        return ended(
            message,
            Ended(*key, status, attempt.code or "", attempt.detail or "", attempt.finished_at, aggregator),
        )
    return None
