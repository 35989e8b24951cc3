"""The ways to an aggregator: Celcom over HTTP, and test mode, which is played in this process.

A way submits one bulk and answers one outcome per message, whatever happens; its gate says whether the
aggregator is worth asking now. What must never happen here: a retry, or a text, a number or a key in a line.
"""

import time
from collections.abc import Mapping, Sequence
from itertools import count
from typing import Final, Protocol

from sema_aggregators import (
    Aggregator,
    Capabilities,
    Credentials,
    HttpAnswer,
    Outcome,
    SubmitOutcome,
    TestMode,
    TransportFailure,
    read_transport_failure,
)
from sema_common.platform.http import Http, TransportError
from sema_common.platform.logs import get_logger
from sema_common.wire.sms import Lane, SmsJob
from sema_sms_worker import metrics
from sema_sms_worker.rules.breaker import Breaker, Rest
from sema_sms_worker.rules.jobs import submit_of

log = get_logger()

CLIENT_IDS: Final = 2**31 - 1
"""Celcom's samples are small numbers; 31 bits are safe for whatever stores them there."""

OPENNESS: Final = {"closed": 1.0, "half_open": 0.5, "open": 0.0}
CALL_FAILED: Final = frozenset({Outcome.NO_WAY, Outcome.IN_DOUBT})


class Gate:
    """The breaker of one aggregator, shared by both lanes, with a clock, a log and a metric."""

    def __init__(self, name: str, breaker: Breaker, pause: Rest, rest: Rest) -> None:
        self._name = name
        self._breaker = breaker
        self._pause = pause
        self._rest = rest
        self._state = "closed"
        metrics.WAY.labels(name).set_function(lambda: OPENNESS[breaker.state(time.monotonic())])

    def admit(self) -> float:
        """0: submit, and say what came of it by `note` or `abandoned`. Otherwise seconds to wait."""
        return self._breaker.admit(time.monotonic())

    def abandoned(self) -> None:
        self._breaker.abandoned()

    def note(self, outcomes: Sequence[SubmitOutcome]) -> None:
        """Learn from the outcomes of one call."""
        now = time.monotonic()
        worst = next((o for o in outcomes if o.outcome is Outcome.ACCOUNT), outcomes[0])
        if worst.outcome is Outcome.ACCOUNT:
            self._breaker.shut(now, self._pause)
        elif worst.outcome is Outcome.NO_WAY and worst.wait_seconds is not None:
            self._breaker.shut(now, self._rest, worst.wait_seconds)
        elif worst.code == "http_429":
            self._breaker.shut(now, self._rest)
        elif all(o.outcome in CALL_FAILED for o in outcomes):
            self._breaker.failed(now)
        else:
            self._breaker.succeeded(now)
        self._tell(worst, now)

    def _tell(self, worst: SubmitOutcome, now: float) -> None:
        state = self._breaker.state(now)
        if state == "open" and self._state != "open":
            metrics.SHUT.labels(self._name, worst.code).inc()
            tell = log.error if worst.outcome is Outcome.ACCOUNT else log.warning
            tell("way_shut", aggregator=self._name, code=worst.code, detail=worst.detail)
        elif state == "closed" and self._state != "closed":
            log.info("way_open", aggregator=self._name)
        self._state = state


class Way(Protocol):
    """How messages get to one aggregator."""

    name: str
    gate: Gate
    capabilities: Capabilities

    async def submit(self, lane: Lane, jobs: Sequence[SmsJob]) -> list[SubmitOutcome]:
        """Submit 1 to `capabilities.max_bulk` jobs in one call; an outcome for each, in their order."""


class HttpWay:
    """An aggregator behind HTTP, with connections of its own for each lane."""

    def __init__(
        self, adapter: Aggregator, credentials: Credentials, clients: Mapping[Lane, Http], gate: Gate
    ) -> None:
        self.name = adapter.name
        self.capabilities = adapter.capabilities
        self.gate = gate
        self._adapter = adapter
        self._credentials = credentials
        self._clients = clients
        # Not from 1: whether an aggregator takes a number that it has seen before for a repeat is unknown.
        self._client_ids = count(time.time_ns() // 1_000_000)

    async def submit(self, lane: Lane, jobs: Sequence[SmsJob]) -> list[SubmitOutcome]:
        submits = [submit_of(job, next(self._client_ids) % CLIENT_IDS + 1) for job in jobs]
        call = self._adapter.submit(self._credentials, submits)
        started = time.perf_counter()
        try:
            answer = await self._clients[lane].request(
                call.method, call.path, content=call.body, headers=call.headers
            )
        except TransportError as exc:
            outcomes = [read_transport_failure(TransportFailure(exc.failure.value))] * len(jobs)
        else:
            outcomes = self._adapter.read_submit(
                HttpAnswer(answer.status, answer.headers, answer.body), submits
            )
        metrics.SUBMIT.labels(self.name, lane).observe(time.perf_counter() - started)
        self.gate.note(outcomes)
        return outcomes


class TestWay:
    """Test mode: the adapter's own counterpart answers. Its reports are the handler's business."""

    __test__ = False

    def __init__(self, adapter: TestMode, gate: Gate) -> None:
        self.name: str = adapter.name
        self.capabilities = adapter.capabilities
        self.gate = gate
        self._adapter = adapter

    async def submit(self, lane: Lane, jobs: Sequence[SmsJob]) -> list[SubmitOutcome]:
        submits = [submit_of(job, 1) for job in jobs]
        answer = self._adapter.answer(self._adapter.submit(NOBODY, submits)).answer
        if isinstance(answer, TransportFailure):
            return [read_transport_failure(answer)]
        return self._adapter.read_submit(answer, submits)


NOBODY: Final = Credentials("", "")


def reports_of_test(job: SmsJob, *, early: bool) -> tuple[bytes, ...]:
    """The reports of a job of test mode: those that come before its submit is recorded, or after.

    They are computed from the job alone, so a repeat tells the same.
    """
    adapter = TestMode()
    played = adapter.answer(adapter.submit(NOBODY, [submit_of(job, 1)]))
    return played.early if early else played.reports
