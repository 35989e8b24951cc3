"""Deliveries of one queue, gathered into batches, by a consumer that stays attached whatever happens.

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

from sema_common.platform.bus.delivery import delivery_count
from sema_common.platform.bus.link import Link, why
from sema_common.platform.bus.outcome import Item, Outcomes
from sema_common.platform.bus.publisher import Publisher
from sema_common.platform.cancelling import is_asked
from sema_common.platform.logs import get_logger
from sema_common.values.errors import Park

log = get_logger()

V = TypeVar("V")

PULSE_SECONDS: Final = 5.0
"""How often a consumer asks the broker about its queue: half-open connections, lost consumers and a silent
stop of deliveries show within two of these."""

RPC_SECONDS: Final = 5.0

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
        self._arrived = asyncio.Event()
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
            except Exception as exc:  # whatever the library raises, the consumer must not end
                log.warning("bus_consumer_lost", queue=self.queue, why=why(exc))
            except asyncio.CancelledError as exc:
                if is_asked(exc):
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
            with contextlib.suppress(Exception):
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
            self._spawn(self._outcomes.park(item, exc.reason), slot=False)
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
            self._spawn(self._outcomes.settle(batch), slot=True)

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
