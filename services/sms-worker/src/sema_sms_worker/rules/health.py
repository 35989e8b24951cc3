"""How an aggregator, and each network behind it, has done lately: what counts, the window, and the verdict on it.

Only what says something about the aggregator counts: no answer, 5xx and 429. A refused number, sender or text
says something about the message. What networks report counts by its own: delivered or not, and how quickly.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sema_aggregators import Outcome, SubmitOutcome
from sema_common.messages.routes import Tally
from sema_sms_worker.rules.gates import Why

ANSWERED_AT_ONCE: Final = 0.5
"""Seconds of silence that are never worth a thought: our own machine may be busy for so long."""

USUAL_SHARE: Final = 0.1
"""How much the newest call moves what is taken for the usual time of an answer."""

UNUSUAL: Final = 4.0
"""An aggregator is silent when nothing came back for so many usual answers' time."""

TRUST_SECONDS: Final = 1.0
"""So long after its last answers an aggregator is trusted with more calls at once than may be lost."""


@dataclass(frozen=True, slots=True)
class Limits:
    """When a route has done too badly.

    `share` of at least `calls` calls, or `row` of them one after the other; of at least `reports` reports no
    more than `delivered` of them good, or `slow` seconds to the handset on average. `stalled`: an unanswered
    call counts against its aggregator from so many seconds on.
    """

    share: float = 0.2
    calls: int = 50
    row: int = 10
    reports: int = 50
    delivered: float = 0.5
    slow: float = 300.0
    stalled: float = 3.0


def counts_against(outcome: SubmitOutcome) -> bool:
    """Whether this outcome says that the aggregator is ill."""
    code = outcome.code
    return code.startswith(("transport_", "http_5")) or code in ("http_408", "http_429")


def call_failed(outcomes: Sequence[SubmitOutcome]) -> bool:
    """A call fails as a whole: by transport or status, which all of its messages share."""
    return all(counts_against(outcome) for outcome in outcomes)


def asked_to_wait(outcomes: Sequence[SubmitOutcome]) -> SubmitOutcome | None:
    """The outcome by which the aggregator told us to slow down, if one did."""
    return next(
        (o for o in outcomes if o.outcome is Outcome.NO_WAY and (o.wait_seconds or o.code == "http_429")),
        None,
    )


def verdict(tally: Tally, limits: Limits) -> Why | None:
    """What is wrong with a window; None: nothing, or too little is known."""
    if tally.calls >= limits.calls and tally.failed >= limits.share * tally.calls:
        return "failing"
    reports = tally.delivered + tally.undelivered
    if reports >= limits.reports and tally.delivered <= limits.delivered * reports:
        return "undelivered"
    if tally.delivered >= limits.reports and tally.latency_seconds > limits.slow:
        return "slow"
    return None


@dataclass(slots=True)
class Call:
    """One call under way: when it left, and for which networks."""

    began: float
    networks: frozenset[str]
    trial: str | None = None
    stalled: bool = False


class Calls:
    """The calls of this process to one aggregator; every method is told the time."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._out: dict[int, Call] = {}
        self._next = 0
        self._usual = 0.0
        self._answered = 0.0
        self._answered_at_once = 0
        self._peak_at = 0.0
        self.row = 0
        """Failures one after the other, of this process and of those it has heard of."""
        self._heard = 0
        self.workers = 1
        """How many share what may be lost before they hear of each other again."""

    def began(self, call: Call) -> int:
        self._next += 1
        self._out[self._next] = call
        return self._next

    def ended(self, number: int, now: float, failed: bool) -> Call:
        """The call, which is over. A success ends the row; a failure that stalled is in it already."""
        call = self._out.pop(number)
        if failed:
            self.row += not call.stalled
            return call
        self.forget()
        out = len(self._out) + 1
        if out >= self._answered_at_once or now - self._peak_at > TRUST_SECONDS:
            self._answered_at_once, self._peak_at = out, now
        self._answered = now
        took = now - call.began
        self._usual = took if not self._usual else self._usual + USUAL_SHARE * (took - self._usual)
        return call

    def forget(self) -> None:
        """The row has ended."""
        self.row = self._heard = 0

    def hear(self, row: int) -> None:
        """The row of all workers, ours told; a success of ours has ended it for us."""
        if self.row:
            self.row = self._heard = max(self.row, row)

    def stalled(self, now: float) -> list[Call]:
        """Calls that have just become failures by saying nothing."""
        late = [c for c in self._out.values() if not c.stalled and now - c.began >= self._limits.stalled]
        for call in late:
            call.stalled = True
        self.row += len(late)
        return late

    def room(self, now: float) -> int:
        """How many calls may leave now.

        All that may still be lost, and what is lost already, stay below the row that shuts it: of what is left
        of it each worker takes its share until it hears of the others. Until the first sign of trouble as many
        more are trusted to it as were out lately when an answer came.
        """
        waiting = sum(not call.stalled for call in self._out.values())
        left = self._limits.row - self._heard
        most = min(left, max(1, left // self.workers)) - (self.row - self._heard)
        if not self.row and now - self._answered <= TRUST_SECONDS and not self._silent(now):
            most += self._answered_at_once
        return max(0, most - waiting)

    def _silent(self, now: float) -> bool:
        if not self._out:
            return False
        since = max(self._answered, next(iter(self._out.values())).began)  # the dict keeps their order
        patience = min(max(ANSWERED_AT_ONCE, UNUSUAL * self._usual), self._limits.stalled)
        return now - since > patience
