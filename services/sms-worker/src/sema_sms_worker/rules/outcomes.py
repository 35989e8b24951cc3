"""What an aggregator's answer means for the message."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sema_aggregators import Outcome, SubmitOutcome
from sema_common.messages.store.optouts import OptOut
from sema_common.messages.store.outcomes import Ended, Sent, Unfinished
from sema_common.wire.sms import SmsJob
from sema_sms_worker.rules import doubt

HELD: Final = frozenset({Outcome.NO_WAY, Outcome.ACCOUNT})
"""Nobody looked at the message: no attempt was made, it waits for the way to open."""

SPREAD: Final = 0.2
"""Retries of one bad moment are spread over ± 20 %, so that they do not come back as one."""

ELSEWHERE: Final = frozenset({"network_not_allowed", "could_not_route", "rejected_by_gateway"})
"""Refusals that speak of the aggregator's own reach: another one may well take the message."""

EXPIRED: Final = ("validity_expired", "its validity ended before it could be submitted")


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """At most `retries` after the first attempt, `first` after it, then twice as long each time."""

    retries: int
    first: timedelta
    hold: timedelta


def retry_delay(
    policy: RetryPolicy, attempt: int, wait_seconds: float | None, chance: float
) -> timedelta | None:
    """How long until the attempt after `attempt` (from 1); None when there is none left.

    `wait_seconds` is the least that the aggregator asked for; `chance`, 0 to 1, places it in the spread.
    """
    if attempt > policy.retries:
        return None
    delay = policy.first * 2.0 ** (attempt - 1) * (1 + SPREAD * (2 * chance - 1))
    return max(delay, timedelta(seconds=wait_seconds or 0))


def conclude(
    job: SmsJob,
    route: str,
    outcome: SubmitOutcome,
    at: datetime,
    policy: RetryPolicy,
    chance: float,
    *,
    elsewhere: bool = False,
) -> Sent | Ended | Unfinished | None:
    """What to record of this attempt; None: that it was never made. `elsewhere`: another route may take it."""
    if outcome.outcome in HELD:
        return None
    if outcome.outcome is Outcome.ACCEPTED:
        assert outcome.aggregator_id is not None
        return Sent(
            job.message_id, job.attempt, job.tenant_id, route, outcome.aggregator_id, job.queued_at, at
        )
    if outcome.outcome is Outcome.IN_DOUBT:
        due = doubt.first_look(job.lane, at, policy.hold)
        return Unfinished(
            job.message_id, job.attempt, job.tenant_id, "in_doubt", outcome.code, outcome.detail, at, due
        )
    if elsewhere and outcome.outcome is Outcome.REFUSED and outcome.code in ELSEWHERE:
        return Unfinished(
            job.message_id, job.attempt, job.tenant_id, "not_sent", outcome.code, outcome.detail, at, at
        )
    if outcome.outcome is Outcome.NOT_SENT:
        delay = retry_delay(policy, job.attempt, outcome.wait_seconds, chance)
        if delay is not None:
            due = min(at + delay, max(job.valid_until, at))
            return Unfinished(
                job.message_id, job.attempt, job.tenant_id, "not_sent", outcome.code, outcome.detail, at, due
            )
        return _failed(job, route, "retries_exhausted", f"not taken {job.attempt} times: {outcome.code}", at)
    return _failed(job, route, outcome.code, outcome.detail, at)


def _failed(job: SmsJob, route: str, code: str, detail: str, at: datetime) -> Ended:
    return Ended(job.message_id, job.attempt, job.tenant_id, "failed", code, detail, at, route)


def opt_out(job: SmsJob, route: str, outcome: SubmitOutcome) -> OptOut | None:
    """What an aggregator has said of the recipient by refusing the message."""
    if not outcome.suppress:
        return None
    return OptOut(job.tenant_id, job.account_id, job.to, route, outcome.code)


UNSUPPORTED: Final = ("unsupported_type", "no route carries this message")


def unroutable(job: SmsJob, at: datetime) -> Ended:
    """The end of a job that nothing will ever carry. The door refuses such; settings may have changed since."""
    return Ended(job.message_id, job.attempt, job.tenant_id, "failed", *UNSUPPORTED, at)


WAIT_FIRST: Final = 5.0
WAIT_LONGEST: Final = 20.0


def ask_again(job: SmsJob, at: datetime, shut_for: float, chance: float) -> datetime:
    """When a message that waits for its only route asks again: soon after it may open, at its end at the latest."""
    seconds = min(max(shut_for, WAIT_FIRST), WAIT_LONGEST) * (1 + SPREAD * (2 * chance - 1))
    return min(at + timedelta(seconds=seconds), max(job.valid_until, at))


def booked(job: SmsJob, at: datetime, seconds: float) -> datetime:
    """When a message that did not fit into the line of its route comes back, at its end at the latest."""
    return min(at + timedelta(seconds=seconds), max(job.valid_until, at))


def expired(job: SmsJob, at: datetime) -> Ended:
    """The end of a job that came too late."""
    return Ended(job.message_id, job.attempt, job.tenant_id, "expired", *EXPIRED, at)
