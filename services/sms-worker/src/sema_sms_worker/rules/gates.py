"""When an aggregator, or one network behind it, is left alone, and how it is tried again.

    open ──(its window or a row of failures; it asks us to wait; our account is at fault)──→ shut ──(rest over)──→ trial
     ↑                                                                                        ↑                      │
     └──────────────────── so many trials in a row go well ───────────────────────────────────┼──────────────────────┤
                                                                                              └── a trial fails ─────┘

On trial one message at a time is let through, of all workers together. Each rest is twice the one before, up to a
longest; only a calm minute in the open makes them begin again, so that a route that flaps rests ever longer.
Times are Unix seconds: workers share their gates. The higher `version` is the truth.
"""

from dataclasses import dataclass, replace
from typing import Final, Literal

from sema_common.messages.routes import gate_state

State = Literal["open", "trial", "shut"]
Why = Literal["failing", "asked_to_wait", "account", "undelivered", "slow"]

CALM_SECONDS: Final = 60.0
"""In the open for so long, a gate has forgotten that it was ever shut."""


@dataclass(frozen=True, slots=True)
class Rest:
    """How long a route is left alone: `first` seconds, doubled each time up to `longest`."""

    first: float
    longest: float


@dataclass(frozen=True, slots=True)
class Gate:
    """`why` and `code` tell what shut it last; `opened_at`: what was counted before is forgotten."""

    version: int = 0
    shut_at: float | None = None
    until: float = 0.0
    why: Why = "failing"
    code: str = ""
    rests: int = 0
    passed: int = 0
    opened_at: float = 0.0

    def state(self, now: float) -> State:
        return gate_state(self.shut_at, self.until, now)

    def shut(self, now: float, rest: Rest, why: Why, code: str, at_least: float = 0.0) -> "Gate":
        """Let nothing through for the next rest, and not before `at_least` seconds are over."""
        state = self.state(now)
        if state == "shut":  # calls that were under way say what is known already, or ask for more time
            until = max(self.until, now + at_least)
            return self if until == self.until else replace(self, version=self.version + 1, until=until)
        calm = state == "open" and now - self.opened_at >= CALM_SECONDS
        rests = 0 if calm else self.rests
        seconds = min(rest.first * 2.0 ** min(rests, 30), rest.longest)
        return Gate(
            version=self.version + 1,
            shut_at=now if self.shut_at is None else self.shut_at,
            until=now + max(seconds, at_least),
            why=why,
            code=code,
            rests=rests + 1,
            opened_at=self.opened_at,
        )

    def trial_went_well(self, now: float, needed: int) -> "Gate":
        """After `needed` of them in a row it is open."""
        if self.state(now) != "trial":
            return self
        if self.passed + 1 < needed:
            return replace(self, version=self.version + 1, passed=self.passed + 1)
        return Gate(version=self.version + 1, why=self.why, code=self.code, rests=self.rests, opened_at=now)


OPEN: Final = Gate()
