"""The ways to the aggregators: over HTTP, and test mode, which is played in this process.

A way submits one bulk and answers one outcome per message, whatever happens. What must never happen here: a
retry, or a text, a number or a key in a line.
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
    SubmitOutcome,
    TestMode,
    TransportFailure,
    read_transport_failure,
)
from sema_common.platform.http import Http, TransportError
from sema_common.wire.sms import MAX_JOBS, Lane, SmsJob
from sema_sms_worker import metrics
from sema_sms_worker.rules.jobs import submit_of

CLIENT_IDS: Final = 2**31 - 1
"""Celcom's samples are small numbers; 31 bits are safe for whatever stores them there."""


class Way(Protocol):
    """How messages get to one aggregator."""

    name: str
    capabilities: Capabilities

    def free(self, lane: Lane) -> int:
        """Calls of this lane that may leave without waiting for a connection."""

    async def submit(self, lane: Lane, jobs: Sequence[SmsJob]) -> list[SubmitOutcome]:
        """Submit 1 to `capabilities.max_bulk` jobs in one call; an outcome for each, in their order."""


class HttpWay:
    """An aggregator behind HTTP, with connections of its own for each lane."""

    def __init__(
        self,
        adapter: Aggregator,
        credentials: Credentials,
        clients: Mapping[Lane, Http],
        connections: Mapping[Lane, int],
    ) -> None:
        self.name = adapter.name
        self.capabilities = adapter.capabilities
        self._free = dict(connections)
        self._adapter = adapter
        self._credentials = credentials
        self._clients = clients
        # Not from 1: whether an aggregator takes a number that it has seen before for a repeat is unknown.
        self._client_ids = count(time.time_ns() // 1_000_000)

    def free(self, lane: Lane) -> int:
        return self._free[lane]

    async def submit(self, lane: Lane, jobs: Sequence[SmsJob]) -> list[SubmitOutcome]:
        self._free[lane] -= 1
        try:
            return await self._submit(lane, jobs)
        finally:
            self._free[lane] += 1

    async def _submit(self, lane: Lane, jobs: Sequence[SmsJob]) -> list[SubmitOutcome]:
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
        return outcomes


class TestWay:
    """Test mode: the adapter's own counterpart answers. Its reports are the handler's business."""

    __test__ = False

    def __init__(self, adapter: TestMode) -> None:
        self.name: str = adapter.name
        self.capabilities = adapter.capabilities
        self._adapter = adapter

    def free(self, lane: Lane) -> int:
        return MAX_JOBS

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
