"""From a delivery to its outcome.

    handler returns          acknowledged
    RetryLater               tried again in place, with backoff; the delivery is held, so consumption slows
                             down by itself. After ten minutes it is published anew and acknowledged.
    Park, or unreadable      published to the dead-letter queue with its reason, then acknowledged
    anything else, a batch   split: each alone, so that one bad message fails by itself
    anything else, alone     rejected and requeued: after 6 deliveries RabbitMQ dead-letters it

A handler never runs in a task of the client library, which cancels its tasks when a connection dies. It may
therefore outlive its connection: then its message comes again, and two handlers of one message may overlap.
"""

import asyncio
import contextlib
import random
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType
from typing import Any, Final, Generic, Self, TypeVar

import aiormq
from aiormq.abc import DeliveredMessage
from prometheus_client import Counter, Gauge, Histogram

from sema_common.platform import topology
from sema_common.platform.bus.delivery import HEADER_DELIVERIES, delivery_count
from sema_common.platform.bus.link import BROKER_ERRORS, Link, why
from sema_common.platform.bus.publisher import Publisher, properties
from sema_common.platform.logs import get_logger
from sema_common.values.errors import BrokerUnavailable, Park, RetryLater
from sema_common.wire.envelope import (
    HEADER_ATTEMPT,
    HEADER_EVENT_ID,
    HEADER_REASON,
    HEADER_TRACEPARENT,
    HEADER_VERSION,
)

log = get_logger()

V = TypeVar("V")

HOLD_SECONDS: Final = 600.0
"""Longest a delivery is held for retries: well below RabbitMQ's acknowledgement timeout of 30 min."""

HOLD_FIRST: Final = 0.2
HOLD_LAST: Final = 15.0
REJECT_FIRST: Final = 0.1
REJECT_LAST: Final = 5.0
"""Pause before a message that failed by a bug goes back: 0 for the first delivery, then 0.1 s, tripling."""

PULSE_SECONDS: Final = 5.0
"""How often a consumer asks the broker about its queue: half-open connections, lost consumers and a silent
stop of deliveries show within two of these."""

RPC_SECONDS: Final = 5.0

_HANDLED = Counter("sema_bus_handled_total", "Deliveries by outcome", ["queue", "outcome"])
_SECONDS = Histogram("sema_bus_handler_seconds", "Time in a handler", ["queue"])
_BATCH = Histogram(
    "sema_bus_batch_items",
    "Items handed over together",
    ["queue"],
    buckets=(1, 2, 5, 10, 20, 50, 100, 200, 500),
)
_AGE = Gauge("sema_bus_queue_age_seconds", "Age of the message delivered last", ["queue"])
_DEPTH = Gauge("sema_bus_queue_messages", "Messages ready in the queue", ["queue"])


@dataclass(frozen=True, slots=True, eq=False)
class Item(Generic[V]):
    """One delivery inside the consumer."""

    value: V
    size: int
    alone: bool
    raw: DeliveredMessage
    channel: aiormq.Channel
    arrived: float

    @property
    def lost(self) -> bool:
        """Its channel is gone: the broker has given the message to somebody else."""
        return self.channel.is_closed


class Consumer(Generic[V]):
    """Consumes one queue while its context is open; leaving it finishes what has been delivered.

    At most `prefetch` deliveries are unacknowledged. A batch holds deliveries of at most `max_items` items,
    or one larger delivery; it waits at most `linger` seconds for company; `batches` run at a time.
    """

    def __init__(
        self,
        link: Link,
        publisher: Publisher,
        queue: str,
        decode: Callable[[DeliveredMessage], V],
        handler: Callable[[list[V]], Awaitable[None]],
        *,
        prefetch: int,
        max_items: int,
        linger: float,
        batches: int,
        patient: bool = False,
    ) -> None:
        self.queue = queue
        self._link = link
        self._publisher = publisher
        self._decode = decode
        self._handler = handler
        self._prefetch = prefetch
        self._max_items = max_items
        self._linger = linger
        self._slots = asyncio.Semaphore(batches)
        self._patient = patient  # no outcome but success: what is handled has nowhere else to go
        self._inbox: deque[Item[V]] = deque()
        self._arrived = asyncio.Event()
        self._stopping = asyncio.Event()
        self._working: set[asyncio.Task[None]] = set()
        self._last_delivery = 0.0
        self._raw: aiormq.Channel | None = None
        self._tag = ""
        self._tasks: list[asyncio.Task[None]] = []
        self._outcomes: dict[str, Counter] = {}
        self._seconds, self._batch_size = _SECONDS.labels(queue), _BATCH.labels(queue)
        self._age, self._depth = _AGE.labels(queue), _DEPTH.labels(queue)

    @property
    def attached(self) -> bool:
        """Whether the broker delivers to us."""
        return self._raw is not None and not self._raw.is_closed

    async def __aenter__(self) -> Self:
        self._tasks = [
            asyncio.create_task(self._stay_attached(), name=f"consume-{self.queue}"),
            asyncio.create_task(self._collect(), name=f"collect-{self.queue}"),
        ]
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        attach, collect = self._tasks
        try:
            raw, tag = self._raw, self._tag
            if raw is not None and not raw.is_closed:
                with contextlib.suppress(*BROKER_ERRORS):
                    await raw.basic_cancel(tag, timeout=RPC_SECONDS)
            self._stopping.set()
            self._arrived.set()
            await collect
            while self._working:
                await asyncio.wait(self._working)
        finally:
            for task in (collect, *self._working):
                task.cancel()
            attach.cancel()  # closes the channel, after the acknowledgements that were written before
            with contextlib.suppress(asyncio.CancelledError):
                await attach

    # --- staying attached

    async def _stay_attached(self) -> None:
        delay = 0.1
        while True:
            started = time.monotonic()
            try:
                await self._attach_once()
            except BROKER_ERRORS as exc:
                log.warning("bus_consumer_lost", queue=self.queue, why=why(exc))
            except asyncio.CancelledError:
                task = asyncio.current_task()
                if task is not None and task.cancelling():
                    raise
            delay = 0.1 if time.monotonic() - started > PULSE_SECONDS else min(delay * 2, 5.0)
            await asyncio.sleep(delay * random.uniform(0.5, 1.5))

    async def _attach_once(self) -> None:
        """One life of a channel with its consumer; returns when either is lost."""
        connection = await self._link.connection()
        channel = connection.channel(publisher_confirms=False)
        await channel.initialize(timeout=RPC_SECONDS)
        try:
            raw = await channel.get_underlay_channel()
            assert isinstance(raw, aiormq.Channel)
            await raw.basic_qos(prefetch_count=self._prefetch, timeout=RPC_SECONDS)
            tag = f"{self.queue}-{random.getrandbits(64):x}"

            async def deliver(message: DeliveredMessage) -> None:
                self._take(message, raw)

            await raw.basic_consume(self.queue, deliver, consumer_tag=tag, timeout=RPC_SECONDS)
            self._raw, self._tag, self._last_delivery = raw, tag, time.monotonic()
            log.info("bus_consuming", queue=self.queue, prefetch=self._prefetch)
            await self._watch(raw, tag)
        finally:
            self._raw = None
            with contextlib.suppress(*BROKER_ERRORS):
                async with asyncio.timeout(RPC_SECONDS):
                    await channel.close()

    async def _watch(self, raw: aiormq.Channel, tag: str) -> None:
        closing = raw.closing
        idle_before = False
        while True:
            await asyncio.wait({closing}, timeout=PULSE_SECONDS)
            if raw.is_closed:
                return
            if self._stopping.is_set():
                continue
            try:
                found = await raw.queue_declare(self.queue, passive=True, timeout=RPC_SECONDS)
            except TimeoutError:
                self._link.suspect(f"no answer about {self.queue}")
                return
            if tag not in raw.consumers or not found.consumer_count:
                log.warning("bus_consumer_cancelled", queue=self.queue)
                return
            ready = found.message_count or 0
            self._depth.set(ready)
            quiet = time.monotonic() - self._last_delivery > PULSE_SECONDS
            idle = ready > 0 and quiet and not self._working and not self._inbox
            if idle and idle_before:
                log.warning("bus_consumer_starved", queue=self.queue, ready=ready)
                return
            idle_before = idle

    # --- from deliveries to batches

    def _take(self, message: DeliveredMessage, channel: aiormq.Channel) -> None:
        self._last_delivery = time.monotonic()
        published = message.header.properties.timestamp
        if isinstance(published, datetime):
            self._age.set(max(0.0, time.time() - published.timestamp()))
        alone = delivery_count(message) > 0
        try:
            value = self._decode(message)
        except Park as exc:
            item: Item[Any] = Item(None, 1, True, message, channel, self._last_delivery)
            self._spawn(self._park(item, exc.reason), slot=False)
            return
        size = len(getattr(value, "message", (None,)))
        self._inbox.append(Item(value, size, alone, message, channel, self._last_delivery))
        self._arrived.set()

    async def _collect(self) -> None:
        while True:
            await self._slots.acquire()
            batch = await self._next_batch()
            if not batch:
                return
            self._spawn(self._settle(batch), slot=True)

    async def _next_batch(self) -> list[Item[V]]:
        """The next deliveries that may go together; none only when the consumer has stopped and all is taken."""
        batch: list[Item[V]] = []
        size = 0
        while True:
            while self._inbox:
                item = self._inbox[0]
                if item.lost:
                    self._inbox.popleft()
                elif batch and (item.alone or size + item.size > self._max_items):
                    return batch
                else:
                    batch.append(self._inbox.popleft())
                    size += item.size
                    if item.alone or size >= self._max_items:
                        return batch
            if self._stopping.is_set():
                return batch
            wait = None
            if batch:
                wait = batch[0].arrived + self._linger - time.monotonic()
                if wait <= 0:
                    return batch
            self._arrived.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._arrived.wait()

    def _spawn(self, work: Awaitable[None], *, slot: bool) -> None:
        async def run() -> None:
            try:
                await work
            except Exception:
                log.exception("bus_outcome_failed", queue=self.queue)
            finally:
                if slot:
                    self._slots.release()

        task = asyncio.create_task(run(), name=f"handle-{self.queue}")
        self._working.add(task)
        task.add_done_callback(self._working.discard)

    # --- outcomes

    async def _settle(self, batch: Sequence[Item[V]]) -> None:
        tries = 0
        deadline = time.monotonic() + HOLD_SECONDS
        while True:
            started = time.perf_counter()
            try:
                await self._handler([item.value for item in batch])
            except RetryLater as exc:
                self._count("retried", 1)
                if tries == 0:
                    log.warning(
                        "handler_retries", queue=self.queue, detail=exc.detail, kind=type(exc).__name__
                    )
                hint = exc.after or 0.0
            except Exception as exc:
                if len(batch) > 1:
                    log.warning("batch_split", queue=self.queue, size=len(batch), error=type(exc).__name__)
                    for item in batch:
                        await self._settle([item])
                    return
                if not self._patient:
                    if isinstance(exc, Park):
                        await self._park(batch[0], exc.reason)
                    else:
                        await self._reject(batch[0])
                    return
                log.exception("dead_letter_not_kept", queue=self.queue)
                hint = HOLD_LAST
            else:
                self._seconds.observe(time.perf_counter() - started)
                self._batch_size.observe(sum(item.size for item in batch))
                self._count("done", len(batch))
                for item in batch:
                    await self._ack(item)
                return
            tries += 1
            if not await self._hold(max(hint, _backoff(HOLD_FIRST, 2, tries, HOLD_LAST)), batch):
                return
            if time.monotonic() > deadline and not self._patient:
                await self._start_over(batch)
                return

    async def _hold(self, seconds: float, batch: Sequence[Item[V]]) -> bool:
        """Wait with the deliveries in hand; False when they were given back, or are nobody's any more."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds * random.uniform(0.8, 1.2)):
                await self._stopping.wait()
        if self._stopping.is_set():
            for item in batch:
                await self._give_back(item)
            return False
        return not all(item.lost for item in batch)

    async def _park(self, item: Item[Any], reason: str) -> None:
        log.warning("message_parked", queue=self.queue, reason=reason)
        if await self._forward(topology.DEAD(self.queue), item, reason):
            self._count("parked", 1)

    async def _start_over(self, batch: Sequence[Item[V]]) -> None:
        for item in batch:
            if await self._forward(self.queue, item, None):
                self._count("restarted", 1)

    async def _forward(self, queue: str, item: Item[Any], reason: str | None) -> bool:
        """Publish the delivery as it came, then acknowledge it; keeps trying while the broker is away."""
        props = item.raw.header.properties
        old = props.headers or {}
        traceparent = old.get(HEADER_TRACEPARENT)
        more: dict[str, str | int] = {}
        if reason is not None:
            more = {HEADER_REASON: reason[:250], HEADER_DELIVERIES: delivery_count(item.raw) + 1}
        version, attempt = old.get(HEADER_VERSION), old.get(HEADER_ATTEMPT)
        tries = 0
        while not item.lost:
            try:
                await self._publisher.send(
                    queue,
                    item.raw.body,
                    properties(
                        props.message_type or "",
                        version if isinstance(version, int) else 0,
                        str(old.get(HEADER_EVENT_ID)),
                        traceparent if isinstance(traceparent, str) else None,
                        attempt if isinstance(attempt, int) else 0,
                        **more,
                    ),
                )
            except BrokerUnavailable:
                tries += 1
                if not await self._hold(_backoff(HOLD_FIRST, 2, tries, HOLD_LAST), [item]):
                    return False
            else:
                await self._ack(item)
                return True
        return False

    async def _reject(self, item: Item[V]) -> None:
        count = delivery_count(item.raw)
        log.exception("handler_failed", queue=self.queue, deliveries=count + 1)
        self._count("rejected", 1)
        if count:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_backoff(REJECT_FIRST, 3, count, REJECT_LAST)):
                    await self._stopping.wait()
        # reject counts towards the delivery limit on every RabbitMQ; from 4.3 on nack does not
        with contextlib.suppress(*BROKER_ERRORS):
            await item.channel.basic_reject(_tag(item), requeue=True, wait=False)

    async def _give_back(self, item: Item[V]) -> None:
        # not a failure of the message: nack leaves the delivery limit alone where RabbitMQ tells them apart
        self._count("returned", 1)
        with contextlib.suppress(*BROKER_ERRORS):
            await item.channel.basic_nack(_tag(item), requeue=True, wait=False)

    async def _ack(self, item: Item[Any]) -> None:
        """A failed ack is normal after a lost connection: the message comes again and finds its work done."""
        with contextlib.suppress(*BROKER_ERRORS):
            await item.channel.basic_ack(_tag(item), wait=False)

    def _count(self, outcome: str, amount: int) -> None:
        counter = self._outcomes.get(outcome)
        if counter is None:
            counter = self._outcomes[outcome] = _HANDLED.labels(self.queue, outcome)
        counter.inc(amount)


def _tag(item: Item[Any]) -> int:
    tag = getattr(item.raw.delivery, "delivery_tag", None)
    assert isinstance(tag, int)
    return tag


def _backoff(first: float, factor: float, tries: int, last: float) -> float:
    return float(min(first * factor ** (tries - 1), last))
