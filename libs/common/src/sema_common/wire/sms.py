"""Jobs for sms-worker, on `sms.priority` and `sms.normal`.

A job carries all that a submit needs, so that the worker never reads the big table before the call.
"""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Annotated, ClassVar, Literal
from uuid import UUID

from pydantic import Field

from sema_common.values.ids import event_id
from sema_common.wire.envelope import WireItem, WireMessage
from sema_common.wire.queues import Lane as Lane

Kind = Literal["SMS", "FLASH_SMS"]

MAX_JOBS = 20
"""Jobs in one AMQP message: what one `sendbulk` call takes (Celcom's documented limit)."""


class SmsJob(WireItem):
    """One accepted message. `valid_until` ends its life unsent; `test` keeps it away from real aggregators.

    `only_via`: the one aggregator that may have it, because an earlier attempt there is in doubt; `not_via`:
    those that have said that they will never take it.
    """

    message_id: UUID
    account_id: UUID
    tenant_id: UUID
    billing_account_id: UUID
    to: str
    sender: str
    body: str
    kind: Kind = "SMS"
    lane: Lane
    encoding: str
    segments: int
    cost: Decimal
    currency: str
    country: str
    mno: str | None
    campaign_id: UUID | None = None
    callback_url: str | None = None
    metadata: dict[str, str] | None = None
    test: bool = False
    attempt: int = 1
    created_at: datetime
    queued_at: datetime
    valid_until: datetime
    traceparent: str | None = None
    only_via: str | None = None
    not_via: tuple[str, ...] = ()


class SettleAttempt(WireItem):
    """One attempt that the sweep found due: a claim nobody finished, or a doubt whose hold is over."""

    message_id: UUID
    attempt: int
    traceparent: str | None = None


class SettleAttempts(WireMessage):
    """The sweep only finds; the handler of the lane's queue decides, so that a crash repeats it whole."""

    TYPE: ClassVar[str] = "sms.settle"
    attempts: Annotated[tuple[SettleAttempt, ...], Field(min_length=1, max_length=100)]

    def __len__(self) -> int:
        return len(self.attempts)


class SmsJobs(WireMessage):
    """1–20 jobs of one lane; on the priority lane always one."""

    TYPE: ClassVar[str] = "sms.jobs"
    jobs: Annotated[tuple[SmsJob, ...], Field(min_length=1, max_length=MAX_JOBS)]

    def __len__(self) -> int:
        return len(self.jobs)


def jobs_id(jobs: Sequence[SmsJob]) -> UUID:
    """The event id of a bundle: the same however often the same attempts travel together."""
    return event_id("sms.jobs", *(f"{job.message_id}:{job.attempt}" for job in jobs))
