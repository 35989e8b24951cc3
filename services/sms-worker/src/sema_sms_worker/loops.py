"""The sweep: finds attempts that are due and enqueues them. It decides and changes nothing else.

What it finds is put `LOOK_AGAIN` ahead in the same transaction, so it is found again until whoever handles it
is done, whatever dies in between.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Final

from sema_common.messages.status import FINAL
from sema_common.messages.store import attempts as orch
from sema_common.messages.store.attempts import Attempt, AttemptKey
from sema_common.messages.store.reading import read_messages
from sema_common.messages.store.rows import MessageRow
from sema_common.platform.bus import Bus, Outgoing
from sema_common.platform.db import Database
from sema_common.platform.faults import fault
from sema_common.values import clock
from sema_common.values.ids import event_id
from sema_common.wire.queues import LANE_QUEUES
from sema_common.wire.sms import MAX_JOBS, Lane, SettleAttempt, SettleAttempts, SmsJob, SmsJobs, jobs_id
from sema_sms_worker import metrics
from sema_sms_worker.rules.doubt import LOOK_AGAIN
from sema_sms_worker.rules.jobs import bulks
from sema_sms_worker.rules.outcomes import ELSEWHERE
from sema_sms_worker.rules.routing import refused_before

AT_ONCE: Final = 200
"""Attempts found in one go; more are found at once after them."""

AGAIN: Final = frozenset({"not_sent", "waiting"})
"""States of attempts after which a job is published again."""

Found = tuple[Attempt, MessageRow]


class Sweep:
    def __init__(self, db: Database, bus: Bus) -> None:
        self._db = db
        self._bus = bus

    async def __call__(self) -> bool:
        """One run; True when there may be more to find at once."""
        now = clock.now()
        async with self._db.transaction() as tx:
            due = await orch.find_due(tx, now, AT_ONCE)
            if due:
                await orch.set_due(tx, [(_key(attempt), now + LOOK_AGAIN) for attempt in due])
                messages = await read_messages(tx, [attempt.message_id for attempt in due])
        if due:
            fault("sweeper.due_found")
        oldest = min((attempt.due_at or now for attempt in due), default=now)
        metrics.OLDEST_DUE.set((now - oldest).total_seconds())
        if not due:
            return False
        for state, number in Counter(attempt.state for attempt in due).items():
            metrics.DUE.labels(state).inc(number)
        found = [(a, messages[a.message_id]) for a in due if a.message_id in messages]
        over = [(_key(a), None) for a, message in found if a.state in AGAIN and message.status in FINAL]
        retries = [f for f in found if f[0].state in AGAIN and f[1].status not in FINAL]
        done: list[tuple[AttemptKey, datetime | None]] = [*over, *await self._retry(retries)]
        await self._settle([f for f in found if f[0].state not in AGAIN])
        fault("sweeper.due_published")
        if done:
            async with self._db.transaction() as tx:
                await orch.set_due(tx, done)
        return len(due) == AT_ONCE

    async def _retry(self, found: Sequence[Found]) -> list[tuple[AttemptKey, datetime | None]]:
        """Publish the next attempt of each; those that RabbitMQ has confirmed, and when to look at them again.

        What waits for its route is only looked at again at its end: until then it is on its queue.
        """
        published: list[list[tuple[AttemptKey, datetime | None]]] = []
        outgoing: list[Outgoing] = []
        for lane, some in _bundles(found):
            jobs = tuple(_next_job(attempt, row) for attempt, row in some)
            outgoing.append(
                Outgoing(LANE_QUEUES[lane], SmsJobs(jobs=jobs), jobs_id(jobs), some[0][1].traceparent)
            )
            published.append(
                [(_key(a), row.valid_until if a.state == "waiting" else None) for a, row in some]
            )
        failures = await self._bus.publish_many(outgoing)
        return [
            key for keys, failed in zip(published, failures, strict=True) if failed is None for key in keys
        ]

    async def _settle(self, found: Sequence[Found]) -> None:
        """Enqueue what must be settled; what is not confirmed is found again."""
        outgoing: list[Outgoing] = []
        for lane, some in _bundles(found):
            message = SettleAttempts(
                attempts=tuple(
                    SettleAttempt(message_id=a.message_id, attempt=a.attempt, traceparent=row.traceparent)
                    for a, row in some
                )
            )
            keys = (f"{a.message_id}:{a.attempt}" for a, _ in some)
            outgoing.append(
                Outgoing(LANE_QUEUES[lane], message, event_id("sms.settle", *keys), some[0][1].traceparent)
            )
        await self._bus.publish_many(outgoing)


def _key(attempt: Attempt) -> AttemptKey:
    return (attempt.message_id, attempt.attempt)


def _next_job(attempt: Attempt, row: MessageRow) -> SmsJob:
    """The job that goes on with this message, by what its last attempt has learned."""
    number = attempt.attempt if attempt.state == "waiting" else attempt.attempt + 1
    job = row.job(row.queued_at or row.created_at, number)
    not_via = refused_before(attempt.choice)
    if attempt.code in ELSEWHERE:
        not_via += (attempt.aggregator,)
    # Once in doubt a message stays with its aggregator, whatever comes after.
    bound = (attempt.choice or {}).get("reason") == "resend"
    if not not_via and not bound:
        return job
    return job.model_copy(update={"not_via": not_via, "only_via": attempt.aggregator if bound else None})


def _bundles(found: Iterable[Found]) -> Iterator[tuple[Lane, Sequence[Found]]]:
    """By lane; the priority lane takes one at a time."""
    by_lane: dict[Lane, list[Found]] = {}
    for each in found:
        by_lane.setdefault(each[0].lane, []).append(each)
    for lane, some in by_lane.items():
        for bulk in bulks(some, 1 if lane == "priority" else MAX_JOBS):
            yield lane, bulk
