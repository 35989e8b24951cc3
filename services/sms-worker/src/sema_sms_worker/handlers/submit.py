"""The story of a job until its attempt: judge its validity, choose its way, wait for it, or put it off.

From its claim on (`attempts`) a job is carried through even when the handler is cancelled.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Sequence
from datetime import datetime
from typing import Final, TypeVar

from sema_common.messages.store.outcomes import Waiting
from sema_common.values import clock
from sema_common.values.errors import RetryLater
from sema_common.wire.sms import Lane, SmsJob, SmsJobs
from sema_sms_worker import metrics
from sema_sms_worker.clients.ways import Way
from sema_sms_worker.handlers.attempts import EARLY_REPORT_LOST, Attempts, log_job
from sema_sms_worker.handlers.gathering import Gathering, Noted
from sema_sms_worker.handlers.hands import Hands
from sema_sms_worker.handlers.routing import Going, PutOff, Router
from sema_sms_worker.rules import jobs as rules
from sema_sms_worker.rules.jobs import TEST
from sema_sms_worker.rules.outcomes import (
    ask_again,
    booked,
    expired,
    unroutable,
)
from sema_sms_worker.rules.routing import Choice, NoRoute, bonded

T = TypeVar("T")

PLAYED: Final = Choice(TEST, "test")
PATIENCE_SECONDS: Final = 1.0
"""So long a batch of which nothing goes waits for a connection, while other routes could go in its place."""


class SubmitJobs:
    """The handler of one lane's jobs."""

    def __init__(
        self,
        lane: Lane,
        router: Router,
        test: Way,
        attempts: Attempts,
        gathering: Gathering,
        hands: Hands,
    ) -> None:
        self._lane: Lane = lane
        self._router = router
        self._test = test
        self._attempts = attempts
        self._gathering = gathering
        self._hands = hands

    async def handle(self, bundles: Sequence[SmsJobs]) -> None:
        """RetryLater while something is in the way; what is done by then is only told again next time.

        Jobs of test keys never reach a real aggregator, and wait for none.
        """
        jobs = rules.distinct(bundles)
        metrics.JOBS.labels(self._lane).inc(len(jobs))
        await all_of(
            self._play([job for job in jobs.values() if job.test]),
            self._route([job for job in jobs.values() if not job.test]),
        )

    async def _play(self, jobs: Sequence[SmsJob]) -> None:
        """Test mode."""
        jobs, late = rules.by_validity(jobs, clock.now())
        if late:
            await self._hands.carry(self._expire(late))
        if jobs:
            going = Going(self._test, list(jobs), [PLAYED] * len(jobs))
            if await self._hands.carry(self._attempts.make(going)):
                raise RetryLater(EARLY_REPORT_LOST.detail)

    async def _route(self, jobs: Sequence[SmsJob]) -> None:
        """Send each job its way; what no aggregator would look at is offered to another one at once."""
        since = went = time.monotonic()
        failed: frozenset[str] = frozenset()
        while True:
            jobs, late = rules.by_validity(jobs, clock.now())
            if late:
                await self._hands.carry(self._expire(late))
            if not jobs:
                return
            patient = time.monotonic() - went < PATIENCE_SECONDS
            plan = await self._router.plan(self._lane, jobs, failed, patient=patient)
            held = await all_of(
                *(self._go(going) for going in plan.going),
                *([self._hands.carry(self._put_off(plan.waiting))] if plan.waiting else []),
                *([self._hands.carry(self._give_up(plan.never))] if plan.never else []),
            )
            jobs = [*plan.later, *(job for some in held for job in some)]
            if plan.going:
                went = time.monotonic()
                failed |= {g.way.name for g, some in zip(plan.going, held, strict=False) if some}
            elif jobs:
                failed = frozenset()
                await self._hands.wait(plan.wait, since)

    async def _go(self, going: Going) -> list[SmsJob]:
        """Submit at the route's pace; the jobs that nobody has looked at."""
        try:
            await self._router.pace(going, self._lane)
            live, late = rules.by_validity(going.jobs, clock.now())
            if late:
                going.part(live)
                await self._hands.carry(self._expire(late))
                if not live:
                    return []
            if not self._router.still_open(going):
                return going.jobs
            return await self._hands.carry(self._attempts.make(going))
        finally:
            if going.trial is not None:
                await self._hands.carry(self._router.health.tried(going.trial))

    async def _put_off(self, waiting: Sequence[PutOff]) -> list[SmsJob]:
        """Let jobs wait by themselves for the route that is theirs: others must not wait with them."""
        at = clock.now()
        await self._gathering.note(
            Noted(
                waiting=[
                    Waiting(
                        each.job.message_id,
                        each.job.attempt,
                        each.job.tenant_id,
                        each.job.lane,
                        each.why.passed_over[0][0],
                        bonded(each.job, each.why.told),
                        at,
                        self._when(each, at),
                    )
                    for each in waiting
                ]
            )
        )
        for each in waiting:
            metrics.WAITING.labels(each.why.passed_over[0][0]).inc()
            log_job("message_waits", each.job, each.job.traceparent, passed_over=dict(each.why.passed_over))
        return []

    def _when(self, each: PutOff, at: datetime) -> datetime:
        if each.seconds is not None:
            return booked(each.job, at, each.seconds)
        return ask_again(each.job, at, self._router.shut_for(each.why), random.random())

    async def _give_up(self, never: Sequence[tuple[SmsJob, NoRoute]]) -> list[SmsJob]:
        """End jobs that nothing will ever carry."""
        told_of = {job.message_id: why.told for job, why in never}
        await self._attempts.end([job for job, _ in never], unroutable, told_of)
        return []

    async def _expire(self, jobs: Sequence[SmsJob]) -> None:
        """End jobs whose validity is over."""
        await self._attempts.end(jobs, expired, {})


async def all_of(*work: Awaitable[T]) -> list[T]:
    """All of it is carried through before a failure is raised: a bug first, since it splits the batch."""
    results = await asyncio.gather(*work, return_exceptions=True)
    failures = [each for each in results if isinstance(each, BaseException)]
    if failures:
        raise min(failures, key=lambda failure: isinstance(failure, RetryLater))
    return [each for each in results if not isinstance(each, BaseException)]
