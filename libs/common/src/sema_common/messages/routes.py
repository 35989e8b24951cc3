"""What the rooms tell each other about routes through Redis, where it may be lost at any time.

sms-worker counts its calls, dlr-processor what networks report; both add to one rolling window, by which
sms-worker decides and which main-api shows. A route's gate lies beside it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

WINDOW: Final = "routes"
WINDOW_SECONDS: Final = 60
GATES_KEY: Final = "sema:routes:gates"
ROWS_KEY: Final = "sema:routes:rows"

Counted = Literal["calls", "failed", "delivered", "undelivered", "latency_ms"]


def route_key(aggregator: str, mno: str | None = None) -> str:
    """An aggregator, or one network behind it."""
    return aggregator if mno is None else f"{aggregator}|{mno}"


def count_key(key: str, what: Counted) -> str:
    """A count of `route_key`'s route."""
    return f"{key}#{what}"


@dataclass(frozen=True, slots=True)
class Tally:
    """A window of one route: calls (a network's are those with a message to it), and what networks reported."""

    calls: int = 0
    failed: int = 0
    delivered: int = 0
    undelivered: int = 0
    latency_ms: int = 0

    @property
    def latency_seconds(self) -> float:
        """From sent to delivered, on average; 0 when nothing was delivered."""
        return self.latency_ms / self.delivered / 1000 if self.delivered else 0.0


def tally(counts: Mapping[str, int], key: str) -> Tally:
    """A route's own, out of all that was counted."""
    return Tally(
        **{
            what: counts.get(f"{key}#{what}", 0)
            for what in ("calls", "failed", "delivered", "undelivered", "latency_ms")
        }
    )


def routes_in(counts: Mapping[str, int]) -> set[str]:
    """The `route_key`s that anything was counted of."""
    return {name.partition("#")[0] for name in counts}


def gate_state(shut_at: float | None, until: float, now: float) -> Literal["open", "trial", "shut"]:
    """How a gate stands: after its rest it is on trial, until enough messages went well."""
    if shut_at is None:
        return "open"
    return "shut" if now < until else "trial"
