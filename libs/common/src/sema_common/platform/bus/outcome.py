"""From a delivery to its outcome.

handler returns          acknowledged
RetryLater               tried again in place, with backoff; the delivery is held, so consumption slows
                         down by itself. After ten minutes it is published anew and acknowledged.
Park, or unreadable      published to the dead-letter queue with its reason, then acknowledged
anything else, a batch   split: each alone, so that one bad message fails by itself
anything else, alone     rejected and requeued: after 6 deliveries RabbitMQ dead-letters it
"""

import asyncio
import contextlib
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

import aiormq
from aiormq.abc import DeliveredMessage
from prometheus_client import Counter, Histogram

from sema_common.platform import topology
from sema_common.platform.bus.delivery import HEADER_DELIVERIES, delivery_count
from sema_common.platform.bus.link import BROKER_ERRORS
from sema_common.platform.bus.publisher import Publisher, properties
from sema_common.platform.cancelling import is_asked
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

_HANDLED = Counter("sema_bus_handled_total", "Deliveries by outcome", ["queue", "outcome"])
_SECONDS = Histogram("sema_bus_handler_seconds", "Time in a handler", ["queue"])
_BATCH = Histogram(
    "sema_bus_batch_items",
    "Items handed over together",
    ["queue"],
    buckets=(1, 2, 5, 10, 20, 50, 100, 200, 500),
)


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


class Outcomes(Generic[V]):
    """Runs the handler of one queue over a batch until each of its deliveries has an outcome.

    `stopping` is set when the consumer stops: what is being retried is then given back. `patient` knows no
    outcome but success: a dead letter has nowhere else to go.
    """

    def __init__(
        self,
        queue: str,
        handler: Callable[[list[V]], Awaitable[None]],
        publisher: Publisher,
        stopping: asyncio.Event,
        *,
        patient: bool,
    ) -> None:
        self.queue = queue
        self._handler = handler
        self._publisher = publisher
        self._stopping = stopping
        self._patient = patient
        self._counters: dict[str, Counter] = {}
        self._seconds, self._batch_size = _SECONDS.labels(queue), _BATCH.labels(queue)

    async def settle(self, batch: Sequence[Item[V]]) -> None:
        """Hand the batch over, again if need be, and see each delivery to its end."""
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
            except (Exception, asyncio.CancelledError) as exc:
                if is_asked(exc):
                    raise
                if len(batch) > 1:
                    log.warning("batch_split", queue=self.queue, size=len(batch), error=type(exc).__name__)
                    for item in batch:
                        await self.settle([item])
                    return
                if not self._patient:
                    if isinstance(exc, Park):
                        await self.park(batch[0], exc.reason)
                    else:
                        await self._reject(batch[0], exc)
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

    async def park(self, item: Item[Any], reason: str) -> None:
        """Set one delivery aside in the dead-letter queue."""
        log.warning("delivery_parked", queue=self.queue, reason=reason)
        if await self._forward(topology.dead_letter_queue(self.queue), item, reason):
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

    async def _reject(self, item: Item[V], exc: BaseException) -> None:
        count = delivery_count(item.raw)
        log.error("handler_failed", queue=self.queue, deliveries=count + 1, exc_info=exc)
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
        counter = self._counters.get(outcome)
        if counter is None:
            counter = self._counters[outcome] = _HANDLED.labels(self.queue, outcome)
        counter.inc(amount)


def _tag(item: Item[Any]) -> int:
    tag = getattr(item.raw.delivery, "delivery_tag", None)
    assert isinstance(tag, int)
    return tag


def _backoff(first: float, factor: float, tries: int, last: float) -> float:
    return float(min(first * factor ** (tries - 1), last))
