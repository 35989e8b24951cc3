"""What comes due: the sweep of attempts, questions about reports that stay away, attempts that are old.

The sweep finds attempts that are due and enqueues them. It decides and changes nothing else.

What it finds is put `LOOK_AGAIN` ahead in the same transaction, so it is found again until whoever handles it
is done, whatever dies in between.
"""

import asyncio
import time
from base64 import b64encode
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from sema_aggregators import PollState
from sema_common.messages.status import FINAL
from sema_common.messages.store import attempts as orch
from sema_common.messages.store import unreported
from sema_common.messages.store.attempts import Attempt, AttemptKey
from sema_common.messages.store.reading import read_messages, read_status
from sema_common.messages.store.rows import MessageRow
from sema_common.messages.store.unreported import Unreported
from sema_common.platform.bus import Bus, Outgoing
from sema_common.platform.db import Database
from sema_common.platform.faults import fault
from sema_common.platform.logs import get_logger
from sema_common.values import clock
from sema_common.values.ids import event_id
from sema_common.wire.dlr import MAX_REPORTS, RawDlr, RawDlrs
from sema_common.wire.queues import DLR_INBOUND, LANE_QUEUES
from sema_common.wire.sms import MAX_JOBS, Lane, SettleAttempt, SettleAttempts, SmsJob, SmsJobs, jobs_id
from sema_sms_worker import metrics
from sema_sms_worker.clients.enquiry import Enquiry, Said
from sema_sms_worker.rules import polling
from sema_sms_worker.rules.doubt import LOOK_AGAIN
from sema_sms_worker.rules.jobs import bulks
from sema_sms_worker.rules.outcomes import ELSEWHERE
from sema_sms_worker.rules.routing import is_bound, refused_before

AT_ONCE: Final = 200
"""Attempts found in one go; more are found at once after them."""

AGAIN: Final = frozenset({"not_sent", "waiting"})
"""States of attempts after which a job is published again."""

POLL_LEASE: Final = timedelta(seconds=60)
"""How long the marks of an aggregator are one worker's; a run is shorter, whatever it waits for."""

POLL_RUN_SECONDS: Final = 5.0
"""A run begins no call after this: it ends well within the drain."""

POLLS_AT_ONCE: Final = 50
"""Messages found for one age in a run."""

POLLS_AT_A_TIME: Final = 8
POLL_TIMEOUT: Final = 5.0
POLL_REST_SECONDS: Final = 30.0
"""How long an aggregator that answers nothing is not asked."""

NO_ANSWER: Final = frozenset({PollState.ACCOUNT, PollState.TRY_LATER})

PURGED_AT_ONCE: Final = 1000
FIRST: Final[AttemptKey] = (UUID(int=0), 0)

log = get_logger()

Found = tuple[Attempt, MessageRow]


class Sweep:
    def __init__(self, db: Database, bus: Bus) -> None:
        self._db = db
        self._bus = bus

    async def __call__(self) -> bool:
        """One run; True when there may be more to find at once."""
        now = clock.now()
        again = now + LOOK_AGAIN
        async with self._db.transaction() as tx:
            due = await orch.find_due(tx, now, AT_ONCE)
            if due:
                await orch.set_due(tx, [(_key(attempt), again) for attempt in due])
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
        done: list[tuple[AttemptKey, datetime | None]] = [*over, *await self._retry(retries, again)]
        await self._settle([f for f in found if f[0].state not in AGAIN])
        fault("sweeper.due_published")
        if done:
            async with self._db.transaction() as tx:
                # While RabbitMQ confirmed, a worker may have had the job already: its word is newer than ours.
                await orch.set_due_unless_moved(tx, done, again)
        return len(due) == AT_ONCE

    async def _retry(
        self, found: Sequence[Found], again: datetime
    ) -> list[tuple[AttemptKey, datetime | None]]:
        """Publish the next attempt of each; those that RabbitMQ has confirmed, and when to look at them again.

        What waits for its route is looked at again at its end, but not before `again`: until then it is on its queue.
        """
        published: list[list[tuple[AttemptKey, datetime | None]]] = []
        outgoing: list[Outgoing] = []
        for lane, some in _bundles(found):
            jobs = tuple(_next_job(attempt, row) for attempt, row in some)
            outgoing.append(
                Outgoing(LANE_QUEUES[lane], SmsJobs(jobs=jobs), jobs_id(jobs), some[0][1].traceparent)
            )
            published.append(
                [(_key(a), max(row.valid_until, again) if a.state == "waiting" else None) for a, row in some]
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
    bound = is_bound(attempt.choice)
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


class Polling:
    """Asks an aggregator about messages that it has reported nothing of; `dlr.inbound` gets what it says.

    One worker at a time: whoever takes the marks asks, in calls of AT_A_TIME, until RUN_SECONDS are over; the marks
    move when everything is published. A crash in between asks again, and a report told twice is one report.
    """

    def __init__(
        self, db: Database, bus: Bus, enquiry: Enquiry, first: float, longest: float, per_second: float
    ) -> None:
        self._db = db
        self._bus = bus
        self._enquiry = enquiry
        self._longest = longest
        self._ages = polling.ages(first, longest)
        self._per_second = per_second

    async def __call__(self) -> bool:
        """One run; True when there may be more to ask at once."""
        name, now = self._enquiry.name, clock.now()
        lease = now + POLL_LEASE
        async with self._db.transaction() as tx:
            taken = await unreported.take_polls(tx, name, self._ages, now, lease)
            if not taken:
                return False
            windows = polling.windows(taken, self._ages, self._longest, now)
            found = await unreported.find_unreported(tx, name, windows, POLLS_AT_ONCE)
        said, rest = await self._ask(found)
        await self._publish([(one, answer) for one, answer in said if answer.poll.state is PollState.READY])
        moved = polling.marks(windows, found, {(one.age, one.message_id) for one, _ in said}, POLLS_AT_ONCE)
        due_at = clock.now() + timedelta(seconds=rest)
        async with self._db.transaction() as tx:
            await unreported.mark_polls(tx, name, moved, lease, due_at)
        return not rest and len(found) >= POLLS_AT_ONCE

    async def _ask(self, found: Sequence[Unreported]) -> tuple[list[tuple[Unreported, Said]], float]:
        """Ask about each, at the pace agreed; the answers, and how long to leave the aggregator alone after them.

        A call of which nobody got an answer ends the run: the aggregator is away, or our account is at fault.
        What one message alone is refused counts as asked.
        """
        until = time.monotonic() + POLL_RUN_SECONDS
        said: list[tuple[Unreported, Said]] = []
        for some in bulks(found, POLLS_AT_A_TIME):
            started = time.monotonic()
            if started > until:
                break
            answers = await asyncio.gather(*(self._enquiry.ask(one.aggregator_id) for one in some))
            for one, answer in zip(some, answers, strict=True):
                metrics.POLLED.labels(self._enquiry.name, answer.poll.state.value).inc()
                if answer.poll.state is PollState.UNKNOWN_ID:
                    log.info("report_unknown", message_id=str(one.message_id), account_id=str(one.account_id))
            if all(answer.poll.state in NO_ANSWER for answer in answers):
                worst = next((a for a in answers if a.poll.state is PollState.ACCOUNT), answers[0])
                log.warning("polling_rests", aggregator=self._enquiry.name, state=worst.poll.state.value)
                wait = max(answer.poll.wait_seconds or 0.0 for answer in answers)
                return said, max(POLL_REST_SECONDS, wait)
            said += zip(some, answers, strict=True)
            await asyncio.sleep(max(0.0, len(some) / self._per_second - (time.monotonic() - started)))
        return said, 0.0

    async def _publish(self, ready: Sequence[tuple[Unreported, Said]]) -> None:
        """Hand what was said to `dlr.inbound`, as if it had been pushed; raises what was not confirmed."""
        now = clock.now()
        outgoing = [
            Outgoing(
                DLR_INBOUND,
                RawDlrs(
                    reports=tuple(
                        RawDlr(
                            aggregator=self._enquiry.name,
                            source="poll",
                            content_type="application/json",
                            body=b64encode(answer.body),
                            received_at=now,
                            traceparent=one.traceparent,
                        )
                        for one, answer in some
                    )
                ),
                event_id("dlr.poll", self._enquiry.name, *(f"{one.message_id}:{one.age}" for one, _ in some)),
                some[0][0].traceparent,
            )
            for some in bulks(ready, MAX_REPORTS)
        ]
        for failed in await self._bus.publish_many(outgoing):
            if failed is not None:
                raise failed


class Purge:
    """Deletes attempts that nobody needs any more: old, with nothing due, of messages that have ended.

    The ids are ordered by time, so the primary key finds the old ones; a run goes through them in pages.
    """

    def __init__(self, db: Database, kept: timedelta) -> None:
        self._db = db
        self._kept = kept
        self._after: AttemptKey = FIRST

    async def __call__(self) -> bool:
        """One page; True when there is another."""
        before = clock.now() - self._kept
        async with self._db.transaction() as tx:
            old = await orch.find_old(tx, self._after, before, PURGED_AT_ONCE)
            standing = await read_status(tx, [message_id for message_id, _ in old]) if old else {}
            gone = [key for key in old if standing.get(key[0]) is None or standing[key[0]] in FINAL]
            if gone:
                await orch.forget(tx, gone)
        metrics.PURGED.inc(len(gone))
        more = len(old) == PURGED_AT_ONCE
        self._after = old[-1] if more else FIRST
        return more
