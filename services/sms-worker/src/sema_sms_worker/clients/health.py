"""How the aggregators do, of all workers together.

Each process counts in memory and decides in memory, a few times a second it exchanges with the others through
Redis: the window of counts, the rows of failures, the gates. A gate that moves is told at once. Without Redis each
worker goes by what it sees itself. What must never happen here: a round trip to Redis for each message, or a
message that waits for Redis.
"""

import contextlib
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from sema_aggregators import Outcome, SubmitOutcome
from sema_common.messages.routes import (
    WINDOW,
    WINDOW_SECONDS,
    Tally,
    count_key,
    route_key,
    routes_in,
    tally,
)
from sema_common.platform.cache import Cache
from sema_common.platform.logs import get_logger
from sema_common.platform.rolling import Rolling
from sema_common.values.errors import CacheUnavailable
from sema_sms_worker import metrics
from sema_sms_worker.clients.board import Board
from sema_sms_worker.rules import health as rules
from sema_sms_worker.rules.gates import OPEN, Gate, Rest, Why
from sema_sms_worker.rules.health import Call, Calls, Limits
from sema_sms_worker.rules.routing import FINE, Standing

log = get_logger()

OPENNESS: Final = {"open": 1.0, "trial": 0.5, "shut": 0.0}


@dataclass(frozen=True, slots=True)
class Policy:
    """When a route is shut, for how long, and after how many good trials it is open again."""

    limits: Limits
    failing: Rest
    account: Rest
    network: Rest
    trials: int
    trial_seconds: float
    """A trial that nobody has heard of for so long is given up: its worker died."""


class Health:
    """The health of every route. `wake` is called when the others should hear of something at once."""

    def __init__(self, cache: Cache, policy: Policy, clock: Callable[[], float] = time.time) -> None:
        self._cache = cache
        self._board = Board(cache)
        self._policy = policy
        self._clock = clock
        self._window = Rolling(cache, WINDOW, WINDOW_SECONDS)
        self._gates: dict[str, Gate] = {}
        self._calls: defaultdict[str, Calls] = defaultdict(lambda: Calls(policy.limits))
        self._rows: dict[str, tuple[bool, int]] = {}
        self._moved: set[str] = set()
        self._trying: set[str] = set()
        self.wake: Callable[[], None] = lambda: None

    # What is asked for each message

    def standing(self, aggregator: str, mno: str | None) -> Standing:
        """How the gates of an aggregator and of this network behind it stand."""
        now = self._clock()
        standing = self._standing_of(aggregator, now, soft=False)
        if standing.state != "open" or mno is None:
            return standing
        return self._standing_of(route_key(aggregator, mno), now, soft=True)

    def _standing_of(self, key: str, now: float, *, soft: bool) -> Standing:
        gate = self._gates.get(key)
        if gate is None or (state := gate.state(now)) == "open":
            return FINE
        if state == "trial":
            return (
                Standing("shut", "being_tried", soft=soft)
                if key in self._trying
                else Standing("trial", None, key)
            )
        return Standing("shut", gate.why, soft=soft)

    def room(self, aggregator: str) -> int:
        """How many calls may leave for it now."""
        return self._calls[aggregator].room(self._clock())

    def seconds_until_trial(self, aggregator: str) -> float:
        """How long its gate stays shut; 0 when it is not."""
        gate = self._gates.get(aggregator, OPEN)
        return 0.0 if gate.shut_at is None else max(0.0, gate.until - self._clock())

    async def may_try(self, key: str) -> bool:
        """Whether one message of ours may try this gate: one at a time, of all workers."""
        if key in self._trying:
            return False
        self._trying.add(key)
        lease = int(self._policy.trial_seconds * 1000)
        try:
            got = await self._cache.call(lambda r: r.set(_trial_key(key), "1", nx=True, px=lease))
        except CacheUnavailable:
            return True
        if not got:
            self._trying.discard(key)
        return bool(got)

    async def tried(self, key: str) -> None:
        """The trial is over, or was never made."""
        self._trying.discard(key)
        with contextlib.suppress(CacheUnavailable):  # it ends by itself
            await self._cache.delete(_trial_key(key))

    # What is told of each call

    def began(self, aggregator: str, networks: frozenset[str], trial: str | None) -> int:
        """A call leaves; whoever says so says how it `ended`."""
        return self._calls[aggregator].began(Call(self._clock(), networks, trial))

    def ended(self, aggregator: str, number: int, outcomes: Sequence[SubmitOutcome]) -> None:
        """Learn from what came of a call."""
        now = self._clock()
        calls = self._calls[aggregator]
        failed = rules.call_failed(outcomes)
        call = calls.ended(number, now, failed)
        if not (failed and call.stalled):  # a stalled failure was counted when it stalled
            self._count(aggregator, call, now, failed)
        account = next((o for o in outcomes if o.outcome is Outcome.ACCOUNT), None)
        asked = rules.asked_to_wait(outcomes)
        if account is not None:
            self._shut(aggregator, now, "account", account.code, self._policy.account)
        elif asked is not None:
            wait = asked.wait_seconds or 0.0
            self._shut(aggregator, now, "asked_to_wait", asked.code, self._policy.failing, wait)
        elif call.trial is not None:
            self._judge_trial(call.trial, now, outcomes[0].code if failed else None)
        elif failed:
            self._judge(aggregator, call.networks, now, outcomes[0].code)

    def _count(self, aggregator: str, call: Call, now: float, failed: bool) -> None:
        counts = Counter({count_key(aggregator, "calls"): 1})
        for mno in call.networks:
            counts[count_key(route_key(aggregator, mno), "calls")] = 1
        if failed:
            counts += Counter({name.replace("#calls", "#failed"): number for name, number in counts.items()})
            reset, row = self._rows.get(aggregator, (False, 0))
            self._rows[aggregator] = (reset, row + 1)
            self.wake()
        elif self._rows.get(aggregator) != (True, 0):
            self._rows[aggregator] = (True, 0)
        self._window.note(counts, now)

    def _judge_trial(self, key: str, now: float, code: str | None) -> None:
        gate = self._gates.get(key, OPEN)
        if code is None:
            self._move(key, gate.trial_went_well(now, self._policy.trials), now)
        elif gate.state(now) == "trial":
            self._shut(
                key, now, "failing", code, self._policy.network if "|" in key else self._policy.failing
            )

    def _judge(self, aggregator: str, networks: frozenset[str], now: float, code: str) -> None:
        """Whether that was one failure too many."""
        row = self._calls[aggregator].row >= self._policy.limits.row
        gate = self._gates.get(aggregator, OPEN)
        if gate.state(now) != "open":
            return
        if row or rules.verdict(self._tally(aggregator, now), self._policy.limits) == "failing":
            self._shut(aggregator, now, "failing", code, self._policy.failing)
            return
        for mno in networks:
            self._judge_network(route_key(aggregator, mno), now, code)

    def _judge_network(self, key: str, now: float, code: str) -> None:
        if self._gates.get(key, OPEN).state(now) == "open":
            why = rules.verdict(self._tally(key, now), self._policy.limits)
            if why is not None:
                self._shut(key, now, why, code if why == "failing" else why, self._policy.network)

    def _tally(self, key: str, now: float) -> Tally:
        return tally(self._window.total(now, self._gates.get(key, OPEN).opened_at), key)

    # Gates

    def _shut(self, key: str, now: float, why: Why, code: str, rest: Rest, at_least: float = 0.0) -> None:
        self._move(key, self._gates.get(key, OPEN).shut(now, rest, why, code, at_least), now)

    def _move(self, key: str, gate: Gate, now: float) -> None:
        """Take a newer gate, ours or another worker's, and say so where it matters."""
        before = self._gates.get(key, OPEN)
        if gate == before:
            return
        self._gates[key] = gate
        self._moved.add(key)
        aggregator, _, mno = key.partition("|")
        if (
            gate.shut_at is not None
            and gate.rests
            and before.state(now) != "shut"
            and gate.state(now) == "shut"
        ):
            metrics.SHUT.labels(aggregator, gate.code).inc()
            tell = log.error if gate.why == "account" else log.warning
            tell("route_shut", aggregator=aggregator, mno=mno or None, why=gate.why, code=gate.code,
                 seconds=round(gate.until - now, 1))  # fmt: skip
        elif gate.shut_at is None and before.shut_at is not None:
            self._calls[key].forget()
            log.info("route_open", aggregator=aggregator, mno=mno or None)
        self.wake()

    # The exchange

    async def exchange(self) -> None:
        """Tell the others and hear from them; notice what has stalled, and what networks report."""
        now = self._clock()
        for aggregator, calls in list(self._calls.items()):
            for call in calls.stalled(now):
                self._count(aggregator, call, now, failed=True)
                if call.trial is not None:
                    self._judge_trial(call.trial, now, "stalled")
                else:
                    self._judge(aggregator, call.networks, now, "stalled")
        try:
            await self._window.exchange(now)
            await self._share(now)
        except CacheUnavailable:
            metrics.ALONE.set(1)
            for calls in self._calls.values():
                calls.workers = 1
        else:
            metrics.ALONE.set(0)
        now = self._clock()
        window = self._window.total(now)
        for key in routes_in(window):
            if "|" in key:
                self._judge_network(key, now, "")
        self._show(window, now)

    async def _share(self, now: float) -> None:
        rows, self._rows = self._rows, {}
        moved, self._moved = self._moved, set()
        try:
            heard = await self._board.tell(rows, {key: self._gates[key] for key in moved})
        except CacheUnavailable:
            self._moved |= moved
            raise
        for key, gate in heard.gates.items():
            if gate.version > self._gates.get(key, OPEN).version:
                self._move(key, gate, now)
                self._moved.discard(key)
        # A Redis that came back empty is told again.
        self._moved |= {
            key for key, gate in self._gates.items() if gate.version > heard.gates.get(key, OPEN).version
        }
        for calls in self._calls.values():
            calls.workers = heard.workers
        for aggregator, row in heard.rows.items():
            self._calls[aggregator].hear(row)
            if row >= self._policy.limits.row and self._gates.get(aggregator, OPEN).state(now) == "open":
                self._shut(aggregator, now, "failing", "row_of_all_workers", self._policy.failing)

    def _show(self, window: Mapping[str, int], now: float) -> None:
        for key in {*self._gates, *routes_in(window)}:
            aggregator, _, mno = key.partition("|")
            openness = OPENNESS[self._gates.get(key, OPEN).state(now)]
            paused = float(self._gates.get(key, OPEN).why == "account" and openness < 1)
            lately = tally(window, key)
            share = lately.failed / lately.calls if lately.calls else 0.0
            if mno:
                metrics.NETWORK.labels(aggregator, mno).set(openness)
            else:
                metrics.WAY.labels(aggregator).set(openness)
                metrics.PAUSED.labels(aggregator).set(paused)
                metrics.ERROR_SHARE.labels(aggregator).set(share)


def _trial_key(key: str) -> str:
    return f"sema:routes:trial:{key}"
