"""Deliveries of one queue, gathered into batches, by a consumer that stays attached whatever happens.

A crash counts for every message that was in hand, so that a process which dies of one message six times would
take all its neighbours into the dead-letter queue. Therefore messages that come again are suspects: they are
handled after everything else that is in hand, one at a time, with nothing prefetched behind them. A consumer
begins like that, one message at a time, and opens its prefetch with the first message that is new.

A handler never runs in a task of the client library, which cancels its tasks when a connection dies. It may
therefore outlive its connection: then its message comes again, and two handlers of one message may overlap.
"""

import asyncio
import contextlib
import random
import time
from collections import deque
from collections.abc import Awaitable, Callable
from datetime import datetime
from types import TracebackType
from typing import Any, Final, Generic, Self, TypeVar

import aiormq
from aiormq.abc import DeliveredMessage
from prometheus_client import Gauge

from sema_common.platform import topology
from sema_common.platform.bus.delivery import delivery_count
from sema_common.platform.bus.link import Link, why
from sema_common.platform.bus.outcome import Item, Outcomes
from sema_common.platform.bus.publisher import Publisher, declare
from sema_common.platform.cancelling import is_asked
from sema_common.platform.logs import get_logger
from sema_common.values.errors import Park

log = get_logger()

V = TypeVar("V")

PULSE_SECONDS: Final = 5.0
"""How often a consumer asks the broker about its queue: half-open connections, lost consumers and a silent
stop of deliveries show within two of these."""

RPC_SECONDS: Final = 5.0

CAREFUL_SECONDS: Final = 5.0
"""A message that has been handled for so long has not killed its process: the others need not wait for it."""

_AGE = Gauge("sema_bus_queue_age_seconds", "Age of the message delivered last", ["queue"])
_DEPTH = Gauge("sema_bus_queue_messages", "Messages ready in the queue", ["queue"])


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
        self._decode = decode
        self._prefetch = prefetch
        self._max_items = max_items
        self._linger = linger
        self._slots = asyncio.Semaphore(batches)
        self._inbox: deque[Item[V]] = deque()
        self._suspects: deque[Item[V]] = deque()
        self._arrived = asyncio.Event()
        self._taken = asyncio.Event()
        self._turning = asyncio.Event()
        self._leaving = asyncio.Event()
        self._wide = False
        self._began = 0.0
        self._stopping = asyncio.Event()
        self._outcomes = Outcomes(queue, handler, publisher, self._stopping, patient=patient)
        self._working: set[asyncio.Task[None]] = set()
        self._last_delivery = 0.0
        self._raw: aiormq.Channel | None = None
        self._tag = ""
        self._tasks: list[asyncio.Task[None]] = []
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
                with contextlib.suppress(Exception):
                    await raw.basic_cancel(tag, timeout=RPC_SECONDS)
            self._stopping.set()
            self._taken.set()
            self._arrived.set()
            await collect
            while self._working:
                await asyncio.wait(self._working)
            self._leaving.set()
            self._turning.set()
            if self._raw is not None:  # by itself: an RPC that is cut short may swallow the cancellation
                await asyncio.wait({attach}, timeout=2 * RPC_SECONDS)
        finally:
            for task in (collect, *self._working):
                task.cancel()
            attach.cancel()  # closes the channel, after the acknowledgements that were written before
            with contextlib.suppress(asyncio.CancelledError):
                await attach

    # --- staying attached

    async def _stay_attached(self) -> None:
        delay = 0.1
        while not self._leaving.is_set():
            started = time.monotonic()
            try:
                await self._attach_once()
            except Exception as exc:  # whatever the library raises, the consumer must not end
                log.warning("bus_consumer_lost", queue=self.queue, why=why(exc))
            except asyncio.CancelledError as exc:
                if is_asked(exc):
                    raise
            if self._leaving.is_set():
                return
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
            self._turning.clear()
            self._tag = ""
            self._wide = False
            await self._bind(raw)
            await self._consume(raw, 1)
            self._raw, self._last_delivery = raw, time.monotonic()
            log.info("bus_consuming", queue=self.queue, prefetch=self._prefetch)
            await self._watch(raw)
        except aiormq.exceptions.ChannelNotFoundEntity as exc:
            # Somebody has deleted a queue or an exchange, and perhaps nobody publishes there for hours.
            log.error("bus_topology_missing", queue=self.queue, why=why(exc))
            await declare(connection)
        finally:
            self._raw = None
            with contextlib.suppress(Exception):
                async with asyncio.timeout(RPC_SECONDS):
                    await channel.close()

    async def _bind(self, raw: aiormq.Channel) -> None:
        """Dead letters come by a binding, whose absence no publish would notice: RabbitMQ keeps them back."""
        if self.queue in topology.DEAD_LETTER_QUEUES:
            await raw.queue_bind(
                self.queue, topology.DEAD_LETTER_EXCHANGE, routing_key=self.queue, timeout=RPC_SECONDS
            )

    async def _consume(self, raw: aiormq.Channel, prefetch: int) -> None:
        """Be delivered to with this prefetch, and no longer with the one before."""
        old, tag = self._tag, f"{self.queue}-{random.getrandbits(64):x}"

        async def deliver(message: DeliveredMessage) -> None:
            self._take(message, raw)

        await raw.basic_qos(prefetch_count=prefetch, timeout=RPC_SECONDS)
        await raw.basic_consume(self.queue, deliver, consumer_tag=tag, timeout=RPC_SECONDS)
        self._tag = tag
        if old:
            await raw.basic_cancel(old, timeout=RPC_SECONDS)

    async def _turn(self, raw: aiormq.Channel) -> None:
        """Open the prefetch; or, when a suspect has come, take no more until it has been seen to, and go on one
        message at a time."""
        self._turning.clear()
        if not self._wide:
            self._wide = True
            await self._consume(raw, self._prefetch)
            return
        self._taken.clear()
        tag, self._tag = self._tag, ""
        await raw.basic_cancel(tag, timeout=RPC_SECONDS)
        self._arrived.set()
        await self._one_of(raw.closing, self._taken)
        if not raw.is_closed and not self._stopping.is_set():
            self._wide = False
            await self._consume(raw, 1)

    @staticmethod
    async def _one_of(
        future: "asyncio.Future[Any]", event: asyncio.Event, timeout: float | None = None
    ) -> None:
        waiting = asyncio.create_task(event.wait())
        try:
            await asyncio.wait({future, waiting}, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        finally:
            waiting.cancel()

    async def _watch(self, raw: aiormq.Channel) -> None:
        closing = raw.closing
        idle_before = False
        while True:
            await self._one_of(closing, self._turning, PULSE_SECONDS)
            if raw.is_closed:
                return
            if self._leaving.is_set():
                return
            if self._stopping.is_set():
                await self._one_of(closing, self._leaving, PULSE_SECONDS)
                continue
            if self._turning.is_set():
                await self._turn(raw)
                continue
            try:
                await self._bind(raw)
                found = await raw.queue_declare(self.queue, passive=True, timeout=RPC_SECONDS)
            except TimeoutError:
                self._link.suspect(f"no answer about {self.queue}")
                return
            if self._tag not in raw.consumers or not found.consumer_count:
                log.warning("bus_consumer_cancelled", queue=self.queue)
                return
            ready = found.message_count or 0
            self._depth.set(ready)
            quiet = time.monotonic() - self._last_delivery > PULSE_SECONDS
            idle = ready > 0 and quiet and not (self._working or self._inbox or self._suspects)
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
            self._spawn(self._outcomes.park(item, exc.reason), slot=False)
            return
        size = len(getattr(value, "message", (None,)))
        (self._suspects if alone else self._inbox).append(
            Item(value, size, alone, message, channel, self._last_delivery)
        )
        self._taken.clear()
        self._arrived.set()
        if alone == self._wide and self._prefetch > 1:
            self._turning.set()

    async def _collect(self) -> None:
        while True:
            await self._slots.acquire()
            batch = await self._next_batch()
            if not batch:
                return
            self._began = time.monotonic()
            task = self._spawn(self._outcomes.settle(batch), slot=True)
            if batch[0].alone:
                await asyncio.wait({task}, timeout=CAREFUL_SECONDS)
                if not task.done() and not self._wide and self._prefetch > 1:
                    self._turning.set()

    async def _next_batch(self) -> list[Item[V]]:
        """The next deliveries that may go together; none only when the consumer has stopped and all is taken."""
        batch: list[Item[V]] = []
        size = 0
        while True:
            while self._inbox:
                item = self._inbox[0]
                if item.lost:
                    self._inbox.popleft()
                elif batch and size + item.size > self._max_items:
                    return batch
                else:
                    batch.append(self._inbox.popleft())
                    size += item.size
                    if size >= self._max_items:
                        return batch
            while self._suspects and self._suspects[0].lost:
                self._suspects.popleft()
            if self._stopping.is_set() and batch:
                return batch
            wait = None
            if batch:
                wait = batch[0].arrived + self._linger - time.monotonic()
                if wait <= 0:
                    return batch
            elif self._suspects:
                wait = self._began + CAREFUL_SECONDS - time.monotonic() if self._working else 0.0
                if wait <= 0:
                    return [self._suspects.popleft()]
            elif self._stopping.is_set():
                return batch
            else:
                self._taken.set()
            self._arrived.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._arrived.wait()

    def _spawn(self, work: Awaitable[None], *, slot: bool) -> "asyncio.Task[None]":
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
        task.add_done_callback(self._finished)
        return task

    def _finished(self, task: "asyncio.Task[None]") -> None:
        self._working.discard(task)
        if self._suspects:
            self._arrived.set()
