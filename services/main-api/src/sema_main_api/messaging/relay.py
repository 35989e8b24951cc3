"""From the commit to the queue: what was accepted is published with confirms and marked `queued`.

The relay holds what this process committed and publishes it at once, in bundles; it never waits for company. Only
its marks do: nobody waits for them, and one of 200 messages costs half of what six of 32 do.
Whatever it could not hand over (broker away, process died, memory full) is still `submitted` in Postgres,
and the sweep publishes it. A message may so be published twice; its claim in sms-worker makes that harmless.
"""

import asyncio
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
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
"""Messages in one round of publishes: ten full bundles."""

ROUNDS: Final = 2
"""Rounds in flight: one is put together while the other waits for its confirms."""

MARK_AT_ONCE: Final = 500
MARK_SECONDS: Final = 0.05
"""How long fewer wait for company: a `queued` that is seen so much later disturbs nobody."""

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


Confirmed = tuple[Publishable, datetime]
"""A message, and when RabbitMQ had confirmed it."""


class Relay:
    """Publishes committed messages; `async with`: leaving it makes one last pass."""

    def __init__(self, db: Database, bus: Bus) -> None:
        self._db = db
        self._bus = bus
        # Lane by lane, the priority lane first: an OTP waits for no campaign that was committed before it.
        self._held: dict[Lane, deque[tuple[float, Publishable]]] = {lane: deque() for lane in LANE_QUEUES}
        self._arrived = asyncio.Event()
        self._confirmed: deque[Confirmed] = deque()
        self._to_mark = asyncio.Event()
        self._closing = False
        self._published_all = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._marking: asyncio.Task[None]

    def __len__(self) -> int:
        return sum(map(len, self._held.values()))

    def offer(self, messages: Sequence[Publishable]) -> None:
        """Take over committed messages; never waits, never fails."""
        left = max(0, MAX_HELD - len(self) - len(self._confirmed))
        if len(messages) > left:
            metrics.RELAY_LEFT.inc(len(messages) - left)
            messages = messages[:left]
        at = time.monotonic()
        for message in messages:
            self._held[message.lane].append((at, message))
        self._arrived.set()

    async def __aenter__(self) -> Self:
        self._tasks = [asyncio.create_task(self._work(), name=f"relay-{n}") for n in range(ROUNDS)]
        self._marking = asyncio.create_task(self._mark(), name="relay-mark")
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        self._closing = True
        self._arrived.set()
        await asyncio.gather(*self._tasks)
        self._published_all.set()
        self._to_mark.set()
        await self._marking

    async def _work(self) -> None:
        while len(self) or not self._closing:
            if not len(self):
                self._arrived.clear()
                await self._arrived.wait()
                continue
            round_ = self._next_round()
            with _left_to_sweep(len(round_)):
                fault("relay.after_claim")
                confirmed, failure = await _publish_confirmed(self._bus, round_)
                fault("relay.after_confirm")
                self._confirmed.extend(confirmed)
                self._to_mark.set()
                if failure is not None:
                    raise failure

    async def _mark(self) -> None:
        while self._confirmed or not self._published_all.is_set():
            if not self._confirmed:
                self._to_mark.clear()
                await self._to_mark.wait()
                continue
            if len(self._confirmed) < MARK_AT_ONCE:
                with suppress(TimeoutError):
                    async with asyncio.timeout(MARK_SECONDS):
                        await self._published_all.wait()
            taken = [self._confirmed.popleft() for _ in range(min(MARK_AT_ONCE, len(self._confirmed)))]
            with _left_to_sweep(len(taken)):
                await mark(self._db, taken)
                fault("relay.after_mark")

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
            await mark(tx, confirmed)
        metrics.SWEPT.inc(len(confirmed))
        log.info("sweep_published", messages=len(confirmed), left=len(left) - len(confirmed))
        if failure is not None:
            raise failure
        return len(left) == SWEEP_AT_ONCE


@contextmanager
def _left_to_sweep(messages: int) -> Iterator[None]:
    """Whatever fails inside, these messages are still `submitted`: the relay goes on, the sweep finds them."""
    try:
        yield
    except RetryLater as exc:
        metrics.RELAY_LEFT.inc(messages)
        log.warning("relay_left_to_sweep", messages=messages, error=str(exc))
    except (Exception, asyncio.CancelledError) as exc:
        if is_asked(exc):
            raise
        metrics.RELAY_LEFT.inc(messages)
        log.exception("relay_failed", messages=messages)


async def _publish_confirmed(
    bus: Bus, messages: Sequence[Publishable]
) -> tuple[list[Confirmed], RetryLater | None]:
    """Publish in bundles of one lane; answers what RabbitMQ confirmed, and the first failure."""
    groups = [bundle for lane in LANE_QUEUES for bundle in bundles(messages, lane)]
    published_at = now()
    results = await bus.publish_many([_outgoing(group, published_at) for group in groups])
    confirmed_at = now()
    confirmed: list[Confirmed] = []
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


async def mark(tx: Tx | Database, confirmed: Sequence[Confirmed]) -> None:
    """Write `queued`, in the order of the ids; to be repeated at will."""
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
