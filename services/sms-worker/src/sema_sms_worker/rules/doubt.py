"""What is done about a submit of which nobody knows whether it arrived.

    lane       first doubt                          second doubt of the same message
    priority   resent once, to the same aggregator  held, then failed with refund
    normal     held, then failed with refund        (there is none: it is never resent)

A lost one-time password is worse than two; a bulk text twice is worse than a refund. Today's aggregators give
no evidence to settle a doubt by. A resend happens only while the message is valid.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal

from sema_common.messages.status import RANK, Status
from sema_common.messages.store.attempts import Attempt
from sema_common.wire.sms import Lane

UNCONFIRMED: Final = ("submission_unconfirmed", "nobody could say whether the aggregator took it")
WORKER_LOST: Final = ("worker_lost", "the worker ended between its claim and the outcome")
RESENT: Final = ("resent", "in doubt: submitted once more to the same aggregator")

LOOK_AGAIN: Final = timedelta(seconds=30)
"""An attempt that is being looked at is found again after this, should whoever looks at it die."""


def first_look(lane: Lane, doubted_at: datetime, hold: timedelta) -> datetime:
    """When the sweep shall first look at a doubt."""
    return doubted_at if lane == "priority" else doubted_at + hold


@dataclass(frozen=True, slots=True)
class Step:
    """What to do about one attempt. `until`: when to look again (`wait`, `doubt`).

    `done`: nothing is open, whatever facts it brought about are told again.
    """

    what: Literal["wait", "doubt", "resend", "fail", "done"]
    until: datetime | None = None


DONE: Final = Step("done")


def settle(
    attempts: Sequence[Attempt],
    number: int,
    status: Status,
    valid_until: datetime,
    now: datetime,
    lease: timedelta,
    hold: timedelta,
) -> Step:
    """The next step for attempt `number` of a message with these attempts."""
    attempt = next((a for a in attempts if a.attempt == number), None)
    if attempt is None or RANK[status] > RANK["queued"]:
        return DONE
    if attempt.state == "claimed":
        over = attempt.claimed_at + lease
        if now < over:
            return Step("wait", over)
        return Step("doubt", first_look(attempt.lane, now, hold))
    if attempt.state == "settled":
        return Step("resend")  # decided before; the job may not have been published
    if attempt.state != "in_doubt":
        return DONE
    resent = any(a.state == "settled" for a in attempts if a.attempt < number)
    if attempt.lane == "priority" and not resent and now < valid_until:
        return Step("resend")
    over = (attempt.finished_at or attempt.claimed_at) + hold
    return Step("wait", over) if now < over else Step("fail")
