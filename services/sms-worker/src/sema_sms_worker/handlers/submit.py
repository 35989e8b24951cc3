"""The story of a job: wait for a way, claim, submit, record, tell.

Every step may be repeated: a job whose attempt was claimed before is not submitted again, but what its attempt
brought about is told again. Past its claim a job is carried through even when the handler is cancelled.
"""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import chain
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
from sema_common.values.errors import BrokerUnavailable, RetryLater
from sema_common.wire.sms import Lane, SmsJob, SmsJobs
from sema_common.wire.webhook import Fact
from sema_sms_worker import metrics
from sema_sms_worker.clients import Way
from sema_sms_worker.handlers.gathering import Gathering, Noted
from sema_sms_worker.handlers.hands import Hands
from sema_sms_worker.handlers.reports import TestReports
from sema_sms_worker.rules import facts as told
from sema_sms_worker.rules import jobs as rules
from sema_sms_worker.rules.outcomes import HELD, RetryPolicy, conclude, expired

log = get_logger()

EARLY_REPORT_LOST = SubmitOutcome(Outcome.NO_WAY, "broker_unavailable", "test mode could not report early")


@dataclass(frozen=True, slots=True)
class _Attempted:
    """An attempt of ours: what the way said of it, and what to record; None: that it was never made."""

    job: SmsJob
    span: telemetry.Span
    outcome: SubmitOutcome
    record: Sent | Ended | Unfinished | None


class SubmitJobs:
    """The handler of one lane's jobs."""

    def __init__(
        self,
        lane: Lane,
        ways: Mapping[str, Way],
        db: Database,
        gathering: Gathering,
        reports: TestReports,
        hands: Hands,
        policy: RetryPolicy,
    ) -> None:
        self._lane: Lane = lane
        self._ways = ways
        self._db = db
        self._gathering = gathering
        self._reports = reports
        self._hands = hands
        self._policy = policy

    async def handle(self, bundles: Sequence[SmsJobs]) -> None:
        """RetryLater while something is in the way; what is done by then is only told again next time."""
        jobs = rules.distinct(bundles)
        metrics.JOBS.labels(self._lane).inc(len(jobs))
        for route, theirs in rules.by_route(jobs.values()).items():
            await self._take(self._ways[route], theirs)

    async def _take(self, way: Way, jobs: Sequence[SmsJob]) -> None:
        since = time.monotonic()
        while True:
            jobs, late = rules.by_validity(jobs, clock.now())
            if late:
                await self._hands.carry(self._expire(way, late))
            if not jobs:
                return
            wait = way.gate.admit()
            if not wait:
                break
            await self._hands.wait(way.name, wait, since)
        await self._hands.carry(self._submit(way, jobs))

    async def _expire(self, way: Way, jobs: Sequence[SmsJob]) -> None:
        """End jobs whose validity is over. The claim tells that no attempt was made with them."""
        mine, taken = await self._claim(way, jobs)
        at = clock.now()
        endings = [Ending(expired(job, at), job.billing_account_id) for job in mine]
        ended = await self._gathering.end(endings) if endings else set()
        facts = [
            told.ended(job, ending.record)
            for job, ending in zip(mine, endings, strict=True)
            if job.message_id in ended
        ]
        for job in mine:
            _log("message_expired", job, job.traceparent)
        await self._gathering.tell(facts + await self._retell(way, taken))

    async def _submit(self, way: Way, jobs: Sequence[SmsJob]) -> None:
        try:
            fault("sender.before_claim")
            mine, taken = await self._claim(way, jobs)
        except BaseException:
            way.gate.abandoned()
            raise
        held: SubmitOutcome | None = None
        facts: list[Fact] = []
        if mine:
            facts, held = await self._make_attempts(way, mine)
        else:
            way.gate.abandoned()
        if taken:
            facts += await self._retell(way, taken)
        await self._gathering.tell(facts)
        fault("sender.before_ack")
        if held is not None:
            raise RetryLater(f"no way to {way.name}: {held.code}")

    async def _claim(self, way: Way, jobs: Sequence[SmsJob]) -> tuple[list[SmsJob], list[SmsJob]]:
        """(ours to submit, claimed by somebody before)."""
        won = await self._gathering.claim(
            [Claim(job.message_id, job.attempt, job.tenant_id, self._lane, way.name) for job in jobs]
        )
        mine: list[SmsJob] = []
        taken: list[SmsJob] = []
        for job in jobs:
            (mine if (job.message_id, job.attempt) in won else taken).append(job)
        return mine, taken

    async def _make_attempts(
        self, way: Way, jobs: Sequence[SmsJob]
    ) -> tuple[list[Fact], SubmitOutcome | None]:
        """Submit claimed jobs and record what came of it: the facts, and why jobs are held if some are."""
        with self._hands.holding((job.message_id, job.attempt) for job in jobs), ExitStack() as stack:
            spans = [
                stack.enter_context(telemetry.span("sms.submit", "client", parent=job.traceparent))
                for job in jobs
            ]
            fault("sender.before_submit")
            outcomes = await self._call(way, jobs)
            fault("sender.after_response")
            at = clock.now()
            made = [
                _Attempted(
                    job, span, outcome, conclude(job, way.name, outcome, at, self._policy, random.random())
                )
                for job, span, outcome in zip(jobs, spans, outcomes, strict=True)
            ]
            ended = await self._record(made)
            fault("sender.after_commit")
            for each in made:
                each.span.set("aggregator", way.name)
                each.span.set("outcome", each.outcome.code)
        facts = await self._tell(way, made, ended)
        return facts, next((each.outcome for each in made if each.outcome.outcome in HELD), None)

    async def _call(self, way: Way, jobs: Sequence[SmsJob]) -> list[SubmitOutcome]:
        """One outcome per job. Bulks go out together: a lease is cut for one call, not for one after the other."""
        refused = [rules.refusal(way.capabilities, job) for job in jobs]
        going = [job for job, no in zip(jobs, refused, strict=True) if no is None]
        if not going:
            way.gate.abandoned()
        elif way.name == rules.TEST:
            try:
                await self._reports.publish(going, early=True)
            except BrokerUnavailable:
                return [no or EARLY_REPORT_LOST for no in refused]
        answers = chain.from_iterable(
            await asyncio.gather(
                *(way.submit(self._lane, bulk) for bulk in rules.bulks(going, way.capabilities.max_bulk))
            )
        )
        return [no or next(answers) for no in refused]

    async def _record(self, made: Sequence[_Attempted]) -> set[UUID]:
        """Write the outcomes; the ids of the messages that ended."""
        noted = Noted(
            [each.record for each in made if isinstance(each.record, Sent)],
            [each.record for each in made if isinstance(each.record, Unfinished)],
            [(each.job.message_id, each.job.attempt) for each in made if each.record is None],
        )
        if noted.sent or noted.unfinished or noted.unclaimed:
            await self._gathering.note(noted)
        endings = [
            Ending(each.record, each.job.billing_account_id)
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
                _log("message_sent", job, traceparent, aggregator=way.name)
            elif isinstance(record, Ended):
                if job.message_id in ended:
                    facts.append(told.ended(job, record, traceparent))
                _log("message_failed", job, traceparent, aggregator=way.name, code=record.code)
            elif record is not None:
                _log(f"message_{record.state}", job, traceparent, aggregator=way.name, code=record.code)
        self._count(way, made)
        if way.name == rules.TEST and accepted:
            await self._reports.publish(accepted, early=False)
        return facts

    async def _retell(self, way: Way, jobs: Sequence[SmsJob]) -> list[Fact]:
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
            if made.state == "accepted":
                accepted.append(job)
        if way.name == rules.TEST and accepted:
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


def _log(event: str, job: SmsJob, traceparent: str | None, **more: object) -> None:
    log.info(
        event,
        message_id=str(job.message_id),
        account_id=str(job.account_id),
        attempt=job.attempt,
        lane=job.lane,
        trace_id=None if traceparent is None else traceparent[3:35],
        **more,
    )
