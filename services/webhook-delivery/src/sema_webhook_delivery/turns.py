"""Whose turn it is: fairness between customers, in memory and pure (the caller brings time and chance).

Every target has a line with its own queue, window and breaker. A line is *proven* while its last attempt went
well and no attempt of it has been open for longer than a second. Proven lines have a full window and go first,
in turn; all others (new, slow, failing) have one request open at a time and, together, half of all slots at
most. So endpoints that hang can never take what the healthy ones need, however many they are.

A line closes after five failures in a row, or when its receiver asks for a rest; what waits in it goes back
to Postgres without having used an attempt, and one delivery probes it when the time is over.
"""

from collections import OrderedDict, deque
from dataclasses import dataclass, field
from typing import Final, Generic, Protocol, TypeVar
from uuid import UUID

from sema_webhook_delivery.rules import Verdict

FAILURES_TO_OPEN: Final = 5
PAUSE_FIRST: Final = 30.0
PAUSE_LAST: Final = 900.0
"""Seconds: the breaker's pause doubles with every failed probe up to a quarter of an hour."""

THROTTLE_PAUSE: Final = 10.0
"""Seconds of rest for a target that said 429, 502 or 504 without a Retry-After."""

SLOW_SECONDS: Final = 1.0
"""A receiver should answer before it works; one that takes longer shares the slots of the slow."""

LINE_MAX: Final = 500
"""Deliveries of one target in memory: a healthy receiver takes that many within a few seconds."""

LINES_REMEMBERED: Final = 20_000
SPILL_PROVEN: Final = 1.0
SPILL_OTHER: Final = 15.0
"""Seconds that a delivery waits in Postgres when its line is full; by chance up to twice that."""


class Waiting(Protocol):
    """What lines hold: `start_before` is the moment (monotonic) from which its claim is too old to be used."""

    @property
    def id(self) -> UUID: ...
    @property
    def target(self) -> str: ...
    @property
    def start_before(self) -> float: ...


W = TypeVar("W", bound=Waiting)


@dataclass(slots=True, eq=False)
class Line(Generic[W]):
    """One target. `open` maps each request in flight to (started, counted as suspect), oldest first."""

    waiting: "OrderedDict[UUID, W]" = field(default_factory=OrderedDict)
    open: "OrderedDict[UUID, tuple[float, bool]]" = field(default_factory=OrderedDict)
    well: bool = False
    failures: int = 0
    closed_until: float = 0.0
    listed: bool = False

    def proven(self, now: float) -> bool:
        if not self.well:
            return False
        return not self.open or now - next(iter(self.open.values()))[0] < SLOW_SECONDS


class Turns(Generic[W]):
    """All targets. `next` hands out deliveries while slots are free, `finished` gives a slot back."""

    def __init__(self, *, slots: int, window: int, max_waiting: int, scale: float = 1.0) -> None:
        self._slots = slots
        self._window = window
        self._max_waiting = max_waiting
        self._scale = scale
        self._lines: OrderedDict[str, Line[W]] = OrderedDict()
        self._proven: deque[Line[W]] = deque()
        self._suspect: deque[Line[W]] = deque()
        self._suspects_open = 0
        self.in_flight = 0
        self.waiting = 0

    def refused_for(self, target: str, now: float, chance: float) -> float | None:
        """Seconds that a delivery to `target` should wait in Postgres; None: there is space for it here.

        `chance` (0 to 1, another one for each delivery) spreads what is refused together, so that it does not
        come back together.
        """
        line = self._lines.get(target)
        if line is not None and line.closed_until > now:
            return line.closed_until - now + PAUSE_FIRST * self._scale * chance
        if self.waiting < self._max_waiting and (line is None or len(line.waiting) < LINE_MAX):
            return None
        spill = SPILL_PROVEN if line is not None and line.proven(now) else SPILL_OTHER
        return spill * (1 + chance)

    @property
    def has_space(self) -> bool:
        """Whether more may wait here."""
        return self.waiting < self._max_waiting

    def is_closed(self, target: str, now: float) -> bool:
        line = self._lines.get(target)
        return line is not None and line.closed_until > now

    def closed(self, now: float) -> int:
        """Targets that are not called for the moment."""
        return sum(line.closed_until > now for line in self._lines.values())

    def offer(self, item: W, now: float) -> None:
        """Take in a delivery; ask `refused_for` first, the bounds are its business.

        An id is here once. If it waits already, the newer claim takes the older one's place; if it is in
        flight, the offer is ignored, or two attempts would share one slot and only one could give it back.
        """
        line = self._lines.get(item.target)
        if line is None:
            self._forget_idle()
            line = self._lines[item.target] = Line()
        self._lines.move_to_end(item.target)
        if item.id in line.open:
            return
        self.waiting += item.id not in line.waiting
        line.waiting[item.id] = item
        self._enlist(line, now)

    def next(self, now: float) -> W | None:
        """The next delivery to be attempted, now in flight; None while there is no slot or nothing to do."""
        while self._proven and self.in_flight < self._slots:
            line = self._proven.popleft()
            line.listed = False
            if not line.proven(now):
                self._enlist(line, now)
            elif (item := self._start(line, now, suspect=False)) is not None:
                return item
        while self._suspect and self.in_flight < self._slots and self._suspects_open < self._slots // 2:
            line = self._suspect.popleft()
            line.listed = False
            if (item := self._start(line, now, suspect=not line.proven(now))) is not None:
                return item
        return None

    def finished(self, item: W, verdict: Verdict, now: float, asked: float | None = None) -> list[W]:
        """An attempt is over. What is returned must go back to Postgres: its line has closed."""
        line = self._lines[item.target]
        _, suspect = line.open.pop(item.id)
        self.in_flight -= 1
        self._suspects_open -= suspect
        line.well = verdict is Verdict.DELIVERED
        rest = 0.0
        if line.well:
            line.failures = 0
        elif (
            line.closed_until <= now
        ):  # else the pause has begun already: what was in flight then adds nothing
            line.failures += 1
            if line.failures >= FAILURES_TO_OPEN:
                # a failed probe doubles the pause; 2^16 is far beyond its end
                doublings = min(line.failures - FAILURES_TO_OPEN, 16)
                rest = min(PAUSE_FIRST * 2**doublings, PAUSE_LAST) * self._scale
            if verdict is Verdict.THROTTLED:
                rest = max(rest, THROTTLE_PAUSE * self._scale if asked is None else asked)
        if verdict is Verdict.GONE or rest:
            line.closed_until = max(line.closed_until, now + rest)
            return self._empty(line)
        self._enlist(line, now)
        return []

    def forget(self, target: str) -> None:
        """Drop what waits for a target that is not to be called any more."""
        if (line := self._lines.get(target)) is not None:
            self._empty(line)

    def drain(self) -> list[W]:
        """Everything that has not begun; afterwards nothing waits."""
        return [item for line in self._lines.values() for item in self._empty(line)]

    def _enlist(self, line: Line[W], now: float) -> None:
        """Queue a line for its turn, unless it is queued, has nothing to do or has used up its window."""
        proven = line.proven(now)
        if line.listed or not line.waiting or len(line.open) >= (self._window if proven else 1):
            return
        line.listed = True
        (self._proven if proven else self._suspect).append(line)

    def _start(self, line: Line[W], now: float, *, suspect: bool) -> W | None:
        item = None
        if len(line.open) < (1 if suspect else self._window):
            while item is None and line.waiting:
                _, item = line.waiting.popitem(last=False)
                self.waiting -= 1
                if item.start_before < now:  # the claim is too old; whoever claims the row next has it
                    item = None
        if item is not None:
            line.open[item.id] = (now, suspect)
            self.in_flight += 1
            self._suspects_open += suspect
        self._enlist(line, now)
        return item

    def _empty(self, line: Line[W]) -> list[W]:
        items = list(line.waiting.values())
        line.waiting.clear()
        self.waiting -= len(items)
        return items

    def _forget_idle(self) -> None:
        """Bounds the memory of targets that have not been heard of for long: one may go for each that comes."""
        if len(self._lines) >= LINES_REMEMBERED:
            target, line = next(iter(self._lines.items()))
            if line.waiting or line.open:
                self._lines.move_to_end(target)
            else:
                del self._lines[target]
