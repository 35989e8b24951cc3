"""When an aggregator is left alone, and when it is tried again.

    closed ──(threshold failed calls in a row, or it asks us to wait)──→ open ──(rest over)──→ half open
       ↑                                                                   ↑                        │
       └────────────────────── one call succeeds ──────────────────────────┼────────────────────────┤
                                                                           └─── that call fails ────┘

Half open, one call at a time is let through. Each rest is twice the one before, up to a longest, until a call
succeeds. Times are seconds of any steady clock.
"""

from dataclasses import dataclass
from typing import Literal

State = Literal["closed", "open", "half_open"]


@dataclass(frozen=True, slots=True)
class Rest:
    """How long an aggregator is left alone: `first` seconds, doubled each time up to `longest`."""

    first: float
    longest: float


class Breaker:
    """The state of one aggregator's way; every method is told the time."""

    def __init__(self, threshold: int, rest: Rest, probe_seconds: float) -> None:
        """`probe_seconds`: how long a call may stay unanswered before another one is let through."""
        self._threshold = threshold
        self._rest = rest
        self._probe_seconds = probe_seconds
        self._failures = 0
        self._rests = 0
        self._shut_until: float | None = None
        self._probe_until: float | None = None

    def state(self, now: float) -> State:
        if self._shut_until is None:
            return "closed"
        return "open" if now < self._shut_until else "half_open"

    def admit(self, now: float) -> float:
        """0: go ahead, and report what came of it. Otherwise seconds until it is worth asking again."""
        if self._shut_until is None:
            return 0.0
        if now < self._shut_until:
            return self._shut_until - now
        if self._probe_until is not None and now < self._probe_until:
            return self._probe_until - now
        self._probe_until = now + self._probe_seconds
        return 0.0

    def succeeded(self, now: float) -> None:
        """A call was answered. One that left before the way was shut proves nothing."""
        self._failures = 0
        if self.state(now) == "half_open":
            self._shut_until = self._probe_until = None
            self._rests = 0

    def failed(self, now: float) -> None:
        """A call got no usable answer."""
        self._failures += 1
        state = self.state(now)
        if state == "half_open" or (state == "closed" and self._failures >= self._threshold):
            self.shut(now, self._rest)

    def shut(self, now: float, rest: Rest, at_least: float = 0.0) -> None:
        """Let nothing through for a rest of this kind, and not before `at_least` seconds are over."""
        if self.state(now) == "open":  # the calls that were under way say what is known already
            self._shut_until = max(self._shut_until or now, now + at_least)
            return
        seconds = min(rest.first * 2.0 ** min(self._rests, 30), rest.longest)
        self._rests += 1
        self._failures = 0
        self._shut_until = now + max(seconds, at_least)
        self._probe_until = None

    def abandoned(self) -> None:
        """The call that was let through was not made after all."""
        self._probe_until = None
