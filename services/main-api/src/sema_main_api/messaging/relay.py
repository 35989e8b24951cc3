"""From the commit to the queue: what was accepted is published with confirms and marked `queued`.

The relay holds what this process committed and publishes it at once, in bundles; it never waits for company.
Whatever it could not hand over (broker away, process died, memory full) is still `submitted` in Postgres,
and the sweep publishes it. A message may so be published twice; its claim in sms-worker makes that harmless.
"""

import asyncio
import time
from collections import deque
from collections.abc import Sequence
from datetime import datetime, timedelta
from types import TracebackType
from typing import Final, Protocol, Self
from uuid import UUID

from sema_common.messages.store import publishing
from sema_common.platform.bus import Bus, Outgoing
from sema_common.platform.cancelling import is_asked
from sema_common.platform.db import Database, Tx
from sema_common.platform.faults import fault
from sema_common.platform.logs import get_logger
from sema_common.values.clock import now
from sema_common.values.errors import RetryLater
from sema_common.values.ids import id_time
from sema_common.wire.queues import LANE_QUEUES, Lane
from sema_common.wire.sms import MAX_JOBS, SmsJob, SmsJobs, jobs_id
from sema_main_api.messaging import metrics

log = get_logger()

MAX_HELD: Final = 50_000
"""Messages in memory at some 2 kB each; what comes on top waits in Postgres for the sweep."""

PUBLISH_AT_ONCE: Final = 200
"""Messages in one round of publishes and one mark: ten full bundles."""

ROUNDS: Final = 2
"""Rounds in flight: one is marked while the next is published."""

MAX_WAIT_SECONDS: Final = 5.0

SWEEP_AFTER: Final = timedelta(seconds=20)
"""Older than anything that the relay may still be busy with: accept 3 s, wait 5 s, publish 5 s, mark 5 s."""

SWEEP_AT_ONCE: Final = 500


class Publishable(Protocol):
    """A new message, or a stored one that the sweep found."""

    @property
    def message_id(self) -> UUID: ...
    @property
    def tenant_id(self) -> UUID: ...
    @property
    def lane(self) -> Lane: ...
    @property
    def traceparent(self) -> str | None: ...
    def job(self, queued_at: datetime) -> SmsJob: ...


class Relay:
    """Publishes committed messages; `async with`: leaving it makes one last pass."""

    def __init__(self, db: Database, bus: Bus) -> None:
        self._db = db
        self._bus = bus
        # Lane by lane, the priority lane first: an OTP waits for no campaign that was committed before it.
        self._held: dict[Lane, deque[tuple[float, Publishable]]] = {lane: deque() for lane in LANE_QUEUES}
        self._arrived = asyncio.Event()
        self._closing = False
        self._tasks: list[asyncio.Task[None]] = []

    def __len__(self) -> int:
        return sum(map(len, self._held.values()))

    def offer(self, messages: Sequence[Publishable]) -> None:
        """Take over committed messages; never waits, never fails."""
        left = MAX_HELD - len(self)
        if len(messages) > left:
            metrics.RELAY_LEFT.inc(len(messages) - left)
            messages = messages[:left]
        at = time.monotonic()
        for message in messages:
            self._held[message.lane].append((at, message))
        self._arrived.set()

    async def __aenter__(self) -> Self:
        self._tasks = [asyncio.create_task(self._work(), name=f"relay-{n}") for n in range(ROUNDS)]
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        self._closing = True
        self._arrived.set()
        await asyncio.gather(*self._tasks)

    async def _work(self) -> None:
        while len(self) or not self._closing:
            if not len(self):
                self._arrived.clear()
                await self._arrived.wait()
                continue
            round_ = self._next_round()
            try:
                fault("relay.after_claim")
                await publish(self._db, self._bus, round_)
            except RetryLater as exc:
                metrics.RELAY_LEFT.inc(len(round_))
                log.warning("relay_left_to_sweep", messages=len(round_), error=str(exc))
            except (Exception, asyncio.CancelledError) as exc:
                if is_asked(exc):
                    raise
                metrics.RELAY_LEFT.inc(len(round_))
                log.exception("relay_failed", messages=len(round_))

    def _next_round(self) -> list[Publishable]:
        """What to publish next; what has waited too long is the sweep's, which may be at it already."""
        oldest = time.monotonic() - MAX_WAIT_SECONDS
        round_: list[Publishable] = []
        late = 0
        for held in self._held.values():
            while held and len(round_) < PUBLISH_AT_ONCE:
                since, message = held.popleft()
                if since < oldest:
                    late += 1
                else:
                    round_.append(message)
        if late:
            metrics.RELAY_LEFT.inc(late)
        return round_

    async def sweep(self) -> bool:
        """Publish what is still `submitted` though it is older than any relay's patience; True: there is more.

        The rows stay locked until they are marked, so that two sweeps never publish the same ones.
        """
        async with self._db.transaction(timeout=30.0) as tx:
            left = await publishing.find_unpublished(tx, now(), SWEEP_AFTER, SWEEP_AT_ONCE)
            if not left:
                return False
            fault("sweeper.after_find")
            confirmed, failure = await _publish_confirmed(self._bus, left)
            fault("sweeper.after_publish")
            await _mark(tx, confirmed)
        metrics.SWEPT.inc(len(confirmed))
        log.info("sweep_published", messages=len(confirmed), left=len(left) - len(confirmed))
        if failure is not None:
            raise failure
        return len(left) == SWEEP_AT_ONCE


async def publish(db: Database, bus: Bus, messages: Sequence[Publishable]) -> None:
    """Publish and mark; RetryLater when some were not confirmed (the others are marked all the same)."""
    confirmed, failure = await _publish_confirmed(bus, messages)
    fault("relay.after_confirm")
    if confirmed:
        await _mark(db, confirmed)
        fault("relay.after_mark")
    if failure is not None:
        raise failure


async def _publish_confirmed(
    bus: Bus, messages: Sequence[Publishable]
) -> tuple[list[tuple[Publishable, datetime]], RetryLater | None]:
    """Publish in bundles of one lane; answers what RabbitMQ confirmed, and the first failure."""
    groups = [bundle for lane in LANE_QUEUES for bundle in bundles(messages, lane)]
    published_at = now()
    results = await bus.publish_many([_outgoing(group, published_at) for group in groups])
    confirmed_at = now()
    confirmed: list[tuple[Publishable, datetime]] = []
    failure: RetryLater | None = None
    for group, result in zip(groups, results, strict=True):
        if result is None:
            confirmed.extend((message, confirmed_at) for message in group)
        elif isinstance(result, RetryLater):
            failure = failure or result
        else:
            raise result
    return confirmed, failure


def bundles(messages: Sequence[Publishable], lane: Lane) -> list[Sequence[Publishable]]:
    """The messages of a lane in groups for one AMQP message each; on the priority lane always one."""
    of_lane = [message for message in messages if message.lane == lane]
    size = 1 if lane == "priority" else MAX_JOBS
    return [of_lane[start : start + size] for start in range(0, len(of_lane), size)]


def _outgoing(group: Sequence[Publishable], at: datetime) -> Outgoing:
    first = group[0]
    jobs = tuple(message.job(at) for message in group)
    bundle = SmsJobs.model_construct(jobs=jobs)
    return Outgoing(LANE_QUEUES[first.lane], bundle, jobs_id(jobs), first.traceparent)


async def _mark(tx: Tx | Database, confirmed: Sequence[tuple[Publishable, datetime]]) -> None:
    if not confirmed:
        return
    ordered = sorted(confirmed, key=lambda item: item[0].message_id)
    await publishing.mark_queued(
        tx,
        [message.message_id for message, _ in ordered],
        [id_time(message.message_id) for message, _ in ordered],
        [message.tenant_id for message, _ in ordered],
        [at for _, at in ordered],
    )
