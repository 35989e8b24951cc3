"""From a claimed delivery to its written outcome.

A claim is worth LEASE: what has not begun after MAX_WAIT is dropped from memory and becomes due by itself, so
a row is never in two hands, and a process that is killed costs one repeated attempt at most. Outcomes are
written in batches; an attempt whose outcome cannot be written is made again, with the same webhook-id.

What must never happen here: a wait for one customer inside another's turn, an attempt without a claim.
"""

import asyncio
import contextlib
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import TracebackType
from typing import Final, Self
from uuid import UUID

from sema_common.platform import telemetry
from sema_common.platform.batching import GroupCommit, each_alone
from sema_common.platform.db import Database
from sema_common.platform.faults import fault
from sema_common.platform.logs import get_logger
from sema_common.values.clock import now
from sema_common.values.errors import RetryLater
from sema_webhook_delivery import metrics, rules, store
from sema_webhook_delivery.clients import Answer, WebhookClient
from sema_webhook_delivery.rules import Attempt, Outcome, Owed, Subscriber, Verdict
from sema_webhook_delivery.subscribers import Subscribers
from sema_webhook_delivery.turns import Turns

log = get_logger()

RECORD_BATCH: Final = 500
RECORD_QUEUE: Final = 10_000
RECORD_LINGER: Final = 0.05
"""Seconds that outcomes wait for company: nobody waits for them, and fewer transactions are cheaper ones."""

RECORD_BEHIND: Final = 4 * RECORD_BATCH
RECORD_SECONDS: Final = 8.0
"""How long the outcome of an attempt is kept for a database that is away: what is left of its lease, less a
margin. Then the row belongs to whoever claims it next."""

RECORD_PAUSE: Final = 0.5
KEYS_PAUSE: Final = timedelta(minutes=10)
CANCEL_BATCH: Final = 1000


@dataclass(frozen=True, slots=True)
class Task:
    """A delivery in this process's hands until `start_before` (monotonic seconds)."""

    owed: Owed
    url: str
    keys: tuple[bytes, ...]
    start_before: float

    @property
    def id(self) -> UUID:
        return self.owed.id

    @property
    def target(self) -> str:
        return self.owed.target


class Dispatcher:
    """Attempts what it is offered, in the order that `Turns` decides, and records it."""

    def __init__(
        self,
        db: Database,
        client: WebhookClient,
        subscribers: Subscribers,
        turns: Turns[Task],
        *,
        scale: float = 1.0,
    ) -> None:
        self._db = db
        self._client = client
        self._subscribers = subscribers
        self._turns = turns
        self._scale = scale
        self._records: GroupCommit[Outcome, None] = GroupCommit(
            each_alone(self._write), max_batch=RECORD_BATCH, max_queue=RECORD_QUEUE, linger=RECORD_LINGER
        )
        self._stack = contextlib.AsyncExitStack()
        self._working: set[asyncio.Task[None]] = set()
        self._in_hand: set[UUID] = set()
        self._stopping = False

    async def __aenter__(self) -> Self:
        await self._stack.enter_async_context(self._records)
        metrics.IN_FLIGHT.set_function(lambda: self._turns.in_flight)
        metrics.WAITING.set_function(lambda: self._turns.waiting)
        metrics.OPEN_BREAKERS.set_function(lambda: self._turns.closed(time.monotonic()))
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        """Begin nothing more, give back what waits, finish and record what is in flight."""
        self._stopping = True
        waiting = [task.id for task in self._turns.drain()]
        if waiting:
            with contextlib.suppress(RetryLater):  # then their claims run out by themselves
                async with self._db.transaction() as tx:
                    await store.release(tx, waiting, now())
        while self._working:
            await asyncio.wait(self._working)
        await self._stack.aclose()

    @property
    def has_space(self) -> bool:
        """Whether it is worth claiming more."""
        return not self._stopping and self._turns.has_space and len(self._records) < RECORD_BEHIND

    def due_at(self, target: str, at: datetime) -> datetime | None:
        """When a new delivery to `target` should be due in Postgres; None: it can be taken here and now."""
        if self._stopping:
            return at
        wait = self._turns.refused_for(target, time.monotonic(), random.random())
        return None if wait is None else at + timedelta(seconds=wait)

    def take(self, claimed: Sequence[Owed], subscribers: dict[UUID, Subscriber], claimed_at: float) -> None:
        """Take over deliveries claimed at `claimed_at` (monotonic): attempt, defer or cancel each of them.

        What is being attempted or written down is left to that: its outcome settles the row for both claims.
        """
        at = now()
        outcomes = []
        for owed in claimed:
            if owed.id in self._in_hand:
                continue
            subscriber = subscribers.get(owed.account_id)
            where = rules.address(owed, subscriber) if subscriber is not None else None
            if where is None:
                outcomes.append(Outcome(owed, "cancelled", at))
                continue
            url, keys = where
            if not keys:
                outcomes.append(self._deferral(owed, at + KEYS_PAUSE * self._scale, at))
                continue
            due = self.due_at(owed.target, at)
            if due is None:
                task = Task(owed, url, keys, claimed_at + rules.MAX_WAIT)
                self._turns.offer(task, time.monotonic())
            elif self._turns.is_closed(owed.target, time.monotonic()):
                outcomes.append(self._deferral(owed, due, at))
            else:
                outcomes.append(Outcome(owed, "pending", at, due))
        for outcome in outcomes:
            self._spawn(self._record(outcome))
        self._pump()

    def _pump(self) -> None:
        while not self._stopping and (task := self._turns.next(time.monotonic())) is not None:
            self._in_hand.add(task.id)
            self._spawn(self._attempt(task))

    def _spawn(self, work: "asyncio._CoroutineLike[None]") -> None:
        task = asyncio.create_task(work)
        self._working.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: "asyncio.Task[None]") -> None:
        self._working.discard(task)
        if not task.cancelled() and (exc := task.exception()) is not None:
            log.error("delivery_failed_by_a_bug", exc_info=exc)

    async def _attempt(self, task: Task) -> None:
        try:
            await self._record(await self._attempted(task))
        finally:
            self._in_hand.discard(task.id)

    async def _attempted(self, task: Task) -> Outcome:
        owed, started_at = task.owed, now()
        verdict, asked = Verdict.FAILED, None
        try:
            with telemetry.span("deliver webhook", "client", parent=owed.traceparent) as span:
                fault("hook.before_send")
                answer = await self._post(task, started_at)
                fault("hook.after_send")
                verdict, asked = rules.judge(answer.status), rules.retry_after(answer.retry_after, now())
                attempt = _attempt(owed, answer, started_at, verdict)
                span.set("account_id", str(owed.account_id))
                span.set("event_id", str(owed.event_id))
                span.set("attempt", attempt.number)
                span.set("outcome", verdict.value)
                _tell(owed, attempt, answer)
        finally:  # whatever a customer answers, its slot comes back
            closed_out = self._turns.finished(task, verdict, time.monotonic(), asked)
            self._pump()
            for other in closed_out:
                self._spawn(self._record(self._postponed(other.owed)))
        factor = random.uniform(1 - rules.JITTER, 1 + rules.JITTER)
        return rules.outcome(owed, attempt, now(), factor, asked, self._scale)

    async def _post(self, task: Task, at: datetime) -> Answer:
        try:
            headers = rules.headers(task.owed, task.keys, at)
            return await self._client.post(task.url, task.owed.payload.encode(), headers)
        except Exception:  # a bug of ours: it must use up an attempt, or it would come back for ever
            log.exception("webhook_attempt_broken", delivery_id=str(task.id))
            return Answer(None, "internal_error", None, None, 0.0)

    def _postponed(self, owed: Owed) -> Outcome:
        """Its target has just closed."""
        at = now()
        return self._deferral(owed, self.due_at(owed.target, at) or at, at)

    def _deferral(self, owed: Owed, until: datetime, at: datetime) -> Outcome:
        due = rules.deferred_until(until, owed.created_at, self._scale)
        return Outcome(owed, "pending" if due is not None else "failed", at, due)

    async def _record(self, outcome: Outcome) -> None:
        give_up = time.monotonic() + RECORD_SECONDS
        while True:
            try:
                await self._records.submit(outcome)
                return
            except RetryLater as exc:
                if time.monotonic() > give_up:
                    metrics.UNRECORDED.inc()
                    log.error(
                        "webhook_outcome_unrecorded", delivery_id=str(outcome.owed.id), detail=exc.detail
                    )
                    return
            await asyncio.sleep(RECORD_PAUSE * random.uniform(0.5, 1.5))

    async def _write(self, outcomes: list[Outcome]) -> list[None]:
        outcomes = sorted(outcomes, key=lambda outcome: outcome.owed.id)
        health, at = rules.health(outcomes), now()
        unwell = sorted((*health.failing, *health.gone))
        disabled: list[tuple[UUID, UUID, str]] = []
        fault("hook.before_record")
        async with self._db.transaction() as tx:
            await store.settle(tx, outcomes)
            if any(outcome.attempt for outcome in outcomes):
                await store.insert_attempts(tx, outcomes)
            if health.well:
                await store.mark_well(tx, health.well)
            if unwell:
                await store.mark_failing(tx, unwell, at)
                for ids, reason, since in rules.to_disable(health, at):
                    disabled += [
                        (*found, reason) for found in await store.disable(tx, ids, at, reason, since)
                    ]
        fault("hook.after_record")
        for outcome in outcomes:
            metrics.DELIVERIES.labels(_became(outcome)).inc()
        for endpoint_id, account_id, reason in disabled:
            self._subscribers.forget(account_id)
            metrics.DISABLED.labels(reason).inc()
            log.warning(
                "webhook_endpoint_disabled",
                endpoint_id=str(endpoint_id),
                account_id=str(account_id),
                reason=reason,
            )
        if disabled:
            self._spawn(self._cancel([endpoint_id for endpoint_id, _, _ in disabled]))
        return [None] * len(outcomes)

    async def _cancel(self, endpoint_ids: list[UUID]) -> None:
        """Cancel what is still owed to disabled endpoints. Whatever this misses is cancelled when it is due."""
        for endpoint_id in endpoint_ids:
            self._turns.forget(str(endpoint_id))
        cancelled = CANCEL_BATCH
        with contextlib.suppress(RetryLater):
            while cancelled == CANCEL_BATCH:
                async with self._db.transaction() as tx:
                    cancelled = await store.cancel(tx, endpoint_ids, now(), CANCEL_BATCH)
                metrics.DELIVERIES.labels("cancelled").inc(cancelled)


def _attempt(owed: Owed, answer: Answer, started_at: datetime, verdict: Verdict) -> Attempt:
    return Attempt(
        number=owed.attempts + 1,
        started_at=started_at,
        duration_ms=round(answer.seconds * 1000),
        status_code=answer.status,
        error=answer.error,
        response=answer.response,
        verdict=verdict,
    )


def _tell(owed: Owed, attempt: Attempt, answer: Answer) -> None:
    """The attempt in metrics and in the log."""
    cause = answer.error or f"{(answer.status or 0) // 100}xx"
    metrics.ATTEMPTS.labels(attempt.verdict.value, cause).inc()
    metrics.ATTEMPT_SECONDS.observe(answer.seconds)
    if attempt.verdict is Verdict.DELIVERED and attempt.number == 1:
        metrics.LATENCY.observe((now() - owed.created_at).total_seconds())
    log.info(
        f"webhook_{attempt.verdict.value}",
        delivery_id=str(owed.id),
        event_id=str(owed.event_id),
        account_id=str(owed.account_id),
        message_id=str(owed.message_id) if owed.message_id else None,
        type=owed.type,
        attempt=attempt.number,
        status=answer.status,
        cause=answer.error,
        milliseconds=attempt.duration_ms,
    )


def _became(outcome: Outcome) -> str:
    if outcome.state != "pending":
        return outcome.state
    return "retried" if outcome.attempt is not None else "deferred"
