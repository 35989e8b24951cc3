"""The attempts of one lane: claim, submit, record, tell; and the end of jobs that no way ever gets.

Every step may be repeated: an attempt that was claimed before is not made again, but what it brought about is told
again. What must never happen here: a submit without a claim, or a fact of something that is not recorded.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sema_aggregators import Outcome, SubmitOutcome
from sema_common.messages.ending import Ending
from sema_common.messages.store import attempts as orch
from sema_common.messages.store.attempts import Claim
from sema_common.messages.store.outcomes import Ended, Sent, Unfinished
from sema_common.messages.store.reading import read_status
from sema_common.platform import telemetry
from sema_common.platform.db import Database
from sema_common.platform.faults import fault
from sema_common.platform.logs import get_logger
from sema_common.values import clock
from sema_common.values.errors import BrokerUnavailable
from sema_common.wire.sms import Lane, SmsJob
from sema_common.wire.webhook import Fact
from sema_sms_worker import metrics
from sema_sms_worker.clients.ways import Way
from sema_sms_worker.handlers.gathering import Gathering, Noted
from sema_sms_worker.handlers.hands import Hands
from sema_sms_worker.handlers.reports import TestReports
from sema_sms_worker.handlers.routing import Going, Router
from sema_sms_worker.rules import facts as told
from sema_sms_worker.rules import jobs as rules
from sema_sms_worker.rules.jobs import TEST
from sema_sms_worker.rules.outcomes import ELSEWHERE, HELD, RetryPolicy, conclude, opt_out
from sema_sms_worker.rules.routing import bonded

log = get_logger()

EARLY_REPORT_LOST = SubmitOutcome(Outcome.NO_WAY, "broker_unavailable", "test mode could not report early")
FELL_OVER: Final = SubmitOutcome(Outcome.IN_DOUBT, "fell_over", "the call ended in a bug of ours")
"""What a call taught that answered nothing at all."""

NOWHERE: Final = "none"
"""The aggregator of a claim that nobody submits with."""


@dataclass(frozen=True, slots=True)
class _Attempted:
    """An attempt of ours: what the way said of it, and what to record; None: that it was never made."""

    job: SmsJob
    span: telemetry.Span
    outcome: SubmitOutcome
    record: Sent | Ended | Unfinished | None


class Attempts:
    """Makes them, for one lane."""

    def __init__(
        self,
        lane: Lane,
        router: Router,
        db: Database,
        gathering: Gathering,
        reports: TestReports,
        hands: Hands,
        policy: RetryPolicy,
    ) -> None:
        self._lane: Lane = lane
        self._router = router
        self._db = db
        self._gathering = gathering
        self._reports = reports
        self._hands = hands
        self._policy = policy

    async def end(
        self,
        jobs: Sequence[SmsJob],
        end: Callable[[SmsJob, datetime], Ended],
        told_of: Mapping[UUID, Mapping[str, Any]],
    ) -> None:
        """End jobs that no way ever gets, by `end(job, now)`. The claim tells that no attempt was made with them."""
        mine, taken = await self._claim(
            [(job, TEST if job.test else NOWHERE, told_of.get(job.message_id)) for job in jobs]
        )
        at = clock.now()
        endings = [Ending(end(job, at), job.billing_account_id) for job in mine]
        ended = await self._gathering.end(endings) if endings else set()
        facts = [
            told.ended(job, ending.record)
            for job, ending in zip(mine, endings, strict=True)
            if job.message_id in ended
        ]
        for job, ending in zip(mine, endings, strict=True):
            log_job(f"message_{ending.record.status}", job, job.traceparent, code=ending.record.code)
        await self._gathering.tell(facts + await self._retell(taken))

    async def make(self, going: Going) -> list[SmsJob]:
        """Claim, submit, record, tell; the jobs that nobody has looked at."""
        fault("sender.before_claim", going.jobs)
        way = going.way
        distinct = {id(choice): choice for choice in going.choices}  # a batch shares a few
        told_of = {key: choice.told for key, choice in distinct.items()}
        mine, taken = await self._claim(
            [
                (job, way.name, bonded(job, told_of[id(choice)]))
                for job, choice in zip(going.jobs, going.choices, strict=True)
            ]
        )
        for key, number in Counter(map(id, going.choices)).items():
            choice = distinct[key]
            metrics.CHOICES.labels(way.name, choice.reason).inc(number)
            for aggregator, why in choice.passed_over:
                metrics.PASSED_OVER.labels(aggregator, why).inc(number)
        facts: list[Fact] = []
        held: list[SmsJob] = []
        if mine:
            facts, held = await self._make_attempts(way, mine, going.trial)
        if taken:
            facts += await self._retell(taken)
        await self._gathering.tell(facts)
        fault("sender.before_ack")
        return held

    async def _claim(
        self, wanted: Sequence[tuple[SmsJob, str, Mapping[str, Any] | None]]
    ) -> tuple[list[SmsJob], list[SmsJob]]:
        """(ours to submit, claimed by somebody before), of jobs with their aggregator and why it is theirs."""
        won = await self._gathering.claim(
            [
                Claim(job.message_id, job.attempt, job.tenant_id, self._lane, aggregator, choice)
                for job, aggregator, choice in wanted
            ]
        )
        mine: list[SmsJob] = []
        taken: list[SmsJob] = []
        for job, _, _ in wanted:
            (mine if (job.message_id, job.attempt) in won else taken).append(job)
        return mine, taken

    async def _make_attempts(
        self, way: Way, jobs: Sequence[SmsJob], trial: str | None
    ) -> tuple[list[Fact], list[SmsJob]]:
        """Submit claimed jobs and record what came of it: the facts, and the jobs that nobody has looked at."""
        with self._hands.holding((job.message_id, job.attempt) for job in jobs), ExitStack() as stack:
            spans = [
                stack.enter_context(telemetry.span("sms.submit", "client", parent=job.traceparent))
                for job in jobs
            ]
            fault("sender.before_submit")
            outcomes = await self._call(way, jobs, trial)
            fault("sender.after_response")
            at = clock.now()
            made = [
                _Attempted(job, span, outcome, self._conclude(way, job, outcome, at))
                for job, span, outcome in zip(jobs, spans, outcomes, strict=True)
            ]
            ended = await self._record(way, made)
            fault("sender.after_commit")
            for each in made:
                each.span.set("aggregator", way.name)
                each.span.set("outcome", each.outcome.code)
        facts = await self._tell(way, made, ended)
        return facts, [each.job for each in made if each.outcome.outcome in HELD]

    def _conclude(
        self, way: Way, job: SmsJob, outcome: SubmitOutcome, at: datetime
    ) -> Sent | Ended | Unfinished | None:
        elsewhere = outcome.code in ELSEWHERE and self._router.another(job, way.name)
        return conclude(job, way.name, outcome, at, self._policy, random.random(), elsewhere=elsewhere)

    async def _call(self, way: Way, jobs: Sequence[SmsJob], trial: str | None) -> list[SubmitOutcome]:
        """One outcome per job. Bulks go out together: a lease is cut for one call, not for one after the other."""
        if way.name == rules.TEST:
            try:
                await self._reports.publish(jobs, early=True)
            except BrokerUnavailable:
                return [EARLY_REPORT_LOST] * len(jobs)
        calls = rules.calls(jobs, way.capabilities)
        answers = await asyncio.gather(*(self._call_one(way, bulk, trial) for bulk in calls))
        if len(calls) == 1:
            return answers[0]
        by_job = {
            (job.message_id, job.attempt): outcome
            for call, outcomes in zip(calls, answers, strict=True)
            for job, outcome in zip(call, outcomes, strict=True)
        }
        return [by_job[job.message_id, job.attempt] for job in jobs]

    async def _call_one(self, way: Way, jobs: Sequence[SmsJob], trial: str | None) -> list[SubmitOutcome]:
        if way.name == rules.TEST:
            return await way.submit(self._lane, jobs)
        health = self._router.health
        call = health.began(way.name, frozenset(job.mno for job in jobs if job.mno), trial)
        outcomes = [FELL_OVER]
        try:
            outcomes = await way.submit(self._lane, jobs)
            return outcomes
        finally:
            health.ended(way.name, call, outcomes)

    async def _record(self, way: Way, made: Sequence[_Attempted]) -> set[UUID]:
        """Write the outcomes; the ids of the messages that ended."""
        noted = Noted(
            [each.record for each in made if isinstance(each.record, Sent)],
            [each.record for each in made if isinstance(each.record, Unfinished)],
            [(each.job.message_id, each.job.attempt) for each in made if each.record is None],
        )
        if noted.sent or noted.unfinished or noted.unclaimed:
            await self._gathering.note(noted)
        endings = [
            Ending(each.record, each.job.billing_account_id, opt_out(each.job, way.name, each.outcome))
            for each in made
            if isinstance(each.record, Ended)
        ]
        return await self._gathering.end(endings) if endings else set()

    async def _tell(self, way: Way, made: Sequence[_Attempted], ended: set[UUID]) -> list[Fact]:
        """Log and count what is recorded, publish test mode's reports; the facts of what was sent or ended."""
        facts: list[Fact] = []
        accepted: list[SmsJob] = []
        for each in made:
            job, record, traceparent = each.job, each.record, each.span.traceparent
            if isinstance(record, Sent):
                accepted.append(job)
                facts.append(told.sent(job, record, traceparent))
                log_job("message_sent", job, traceparent, aggregator=way.name)
            elif isinstance(record, Ended):
                if job.message_id in ended:
                    facts.append(told.ended(job, record, traceparent))
                log_job("message_failed", job, traceparent, aggregator=way.name, code=record.code)
            elif record is not None:
                log_job(f"message_{record.state}", job, traceparent, aggregator=way.name, code=record.code)
        self._count(way, made)
        if way.name == rules.TEST and accepted:
            await self._reports.publish(accepted, early=False)
        return facts

    async def _retell(self, jobs: Sequence[SmsJob]) -> list[Fact]:
        """The facts of attempts that were made before, test mode's reports included.

        An attempt without outcome is left to the sweep: another worker may be in the middle of it.
        """
        if not jobs:
            return []
        metrics.REPEATED.labels(self._lane).inc(len(jobs))
        ids = [job.message_id for job in jobs]
        async with self._db.transaction() as tx:
            attempts = await orch.read_attempts(tx, ids)
            statuses = await read_status(tx, ids)
        facts: list[Fact] = []
        accepted: list[SmsJob] = []
        for job in jobs:
            made = next((a for a in attempts.get(job.message_id, ()) if a.attempt == job.attempt), None)
            if made is None or job.message_id not in statuses:
                continue
            fact = told.retold(job, made, statuses[job.message_id])
            if fact is not None:
                facts.append(fact)
            if made.state == "accepted" and job.test:
                accepted.append(job)
        if accepted:
            await self._reports.publish(accepted, early=False)
        return facts

    def _count(self, way: Way, made: Sequence[_Attempted]) -> None:
        metrics.BULK.labels(way.name, self._lane).observe(len(made))
        for (mno, outcome), number in Counter((each.job.mno, each.outcome.outcome) for each in made).items():
            metrics.OUTCOMES.labels(way.name, mno or "unknown", outcome.value).inc(number)
            if outcome is Outcome.IN_DOUBT:
                metrics.IN_DOUBT.labels(way.name, self._lane).inc(number)
        for each in made:
            if each.outcome.outcome is not Outcome.ACCEPTED:
                metrics.CODES.labels(way.name, each.outcome.code).inc()


def log_job(event: str, job: SmsJob, traceparent: str | None, **more: object) -> None:
    """One line of a message's journey."""
    log.info(
        event,
        message_id=str(job.message_id),
        account_id=str(job.account_id),
        attempt=job.attempt,
        lane=job.lane,
        trace_id=None if traceparent is None else traceparent[3:35],
        **more,
    )
