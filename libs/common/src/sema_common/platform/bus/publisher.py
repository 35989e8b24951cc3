"""Confirmed, mandatory, persistent publishes to a queue by its name.

A publish that returns is on disk at the broker. One that raises may still arrive (a timeout proves nothing),
so whoever publishes again relies on the reader's de-duplication by `event_id`.
"""

import asyncio
import random
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

import aiormq
from aio_pika import ExchangeType
from aio_pika.abc import AbstractChannel, AbstractConnection
from pamqp.commands import Basic
from prometheus_client import Counter, Histogram

from sema_common.platform import telemetry, topology
from sema_common.platform.bus.link import BROKER_ERRORS, Link
from sema_common.platform.cancelling import is_asked
from sema_common.platform.logs import get_logger
from sema_common.values.errors import BrokerUnavailable
from sema_common.wire.envelope import (
    HEADER_ATTEMPT,
    HEADER_EVENT_ID,
    HEADER_TRACEPARENT,
    HEADER_VERSION,
    WireMessage,
)

log = get_logger()

PUBLISH_SECONDS: Final = 5.0
"""Longest wait for a confirm; a broker with an alarm answers none."""

DECLARE_SECONDS: Final = 5.0
DEPTH_SECONDS: Final = 2.0
PERSISTENT: Final = 2

_PUBLISHED = Counter("sema_bus_published_total", "Publishes by outcome", ["queue", "outcome"])
_CONFIRM = Histogram("sema_bus_confirm_seconds", "Publish to confirm", ["queue"])


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One publish of `Bus.publish_many`; without a `traceparent` the current span's is used."""

    queue: str
    message: WireMessage
    event_id: UUID
    traceparent: str | None = None
    attempt: int = 0


def properties(
    type_: str, version: int, event_id: UUID | str, traceparent: str | None, attempt: int, **more: str | int
) -> Basic.Properties:
    """AMQP properties of one publish. `message_id` is random each time: two unroutable publishes that share
    one confuse the client library into confirming the other (it maps returns by it)."""
    headers: dict[str, Any] = {
        HEADER_VERSION: version,
        HEADER_EVENT_ID: str(event_id),
        HEADER_ATTEMPT: attempt,
        **more,
    }
    if traceparent is not None:
        headers[HEADER_TRACEPARENT] = traceparent
    return Basic.Properties(
        content_type="application/json",
        delivery_mode=PERSISTENT,
        message_id=f"{random.getrandbits(128):032x}",
        message_type=type_,
        timestamp=datetime.now(UTC),
        headers=headers,
    )


class Publisher:
    """Publishes through a link of its own, on one channel."""

    def __init__(self, url: str, name: str) -> None:
        self.link = Link(url, f"{name}-publish", self._prepare)
        self._raw: aiormq.Channel | None = None
        self._channel: AbstractChannel | None = None  # the library holds channels weakly
        self._counters: dict[str, tuple[Counter, Histogram]] = {}

    async def send(self, queue: str, body: bytes, props: Basic.Properties) -> None:
        """Publish to the queue and wait for the confirm; BrokerUnavailable at once or within 5 s."""
        counter, seconds = self._counters.get(queue) or self._count(queue)
        started = time.perf_counter()
        raw = self._raw
        if raw is None or raw.is_closed:
            self._failed(queue, "down")
            raise BrokerUnavailable("not connected to the broker", after=1.0)
        try:
            await raw.basic_publish(
                body, routing_key=queue, properties=props, mandatory=True, timeout=PUBLISH_SECONDS, wait=False
            )
        except aiormq.exceptions.PublishError as exc:
            self._failed(queue, "unroutable")
            self.link.suspect(f"no queue {queue}")  # a new connection declares the topology again
            raise BrokerUnavailable(f"no queue {queue}", after=1.0) from exc
        except aiormq.exceptions.DeliveryError as exc:
            self._failed(queue, "refused")
            raise BrokerUnavailable(f"{queue} is full or cannot replicate", after=1.0) from exc
        except TimeoutError as exc:
            self._failed(queue, "timeout")
            if not await self.link.blocked():
                self.link.suspect("no confirm in time")
            raise BrokerUnavailable("the broker did not confirm in time", after=1.0) from exc
        except Exception as exc:
            # closing, the library rejects what is pending with a bare Exception
            if type(exc) is not Exception and not isinstance(exc, BROKER_ERRORS):
                raise
            self._failed(queue, "lost")
            raise BrokerUnavailable(f"{type(exc).__name__}: {exc}"[:200], after=1.0) from exc
        except asyncio.CancelledError as exc:
            if is_asked(exc):
                raise
            self._failed(queue, "lost")
            raise BrokerUnavailable("the connection was lost before the confirm", after=1.0) from exc
        counter.inc()
        seconds.observe(time.perf_counter() - started)

    async def publish(self, out: Outgoing) -> None:
        """Publish one wire message."""
        message = out.message
        await self.send(
            out.queue,
            message.__pydantic_serializer__.to_json(message),
            properties(
                message.TYPE,
                message.VERSION,
                out.event_id,
                out.traceparent or telemetry.traceparent(),
                out.attempt,
            ),
        )

    async def depth(self, queue: str) -> int:
        """How many messages wait in the queue; BrokerUnavailable at once or within 2 s."""
        raw = self._raw
        if raw is None or raw.is_closed:
            raise BrokerUnavailable("not connected to the broker", after=1.0)
        try:
            answer = await raw.queue_declare(queue, passive=True, timeout=DEPTH_SECONDS)
        except BROKER_ERRORS as exc:
            raise BrokerUnavailable(f"no depth of {queue}: {type(exc).__name__}", after=1.0) from exc
        except asyncio.CancelledError as exc:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            raise BrokerUnavailable("the connection was lost", after=1.0) from exc
        return answer.message_count or 0

    def _count(self, queue: str) -> tuple[Counter, Histogram]:
        self._counters[queue] = found = (_PUBLISHED.labels(queue, "confirmed"), _CONFIRM.labels(queue))
        return found

    @staticmethod
    def _failed(queue: str, outcome: str) -> None:
        _PUBLISHED.labels(queue, outcome).inc()

    async def _prepare(self, connection: AbstractConnection) -> Iterable["asyncio.Future[Any]"]:
        await declare(connection)
        self._channel = connection.channel(publisher_confirms=True, on_return_raises=True)
        await self._channel.initialize(timeout=DECLARE_SECONDS)
        raw = await self._channel.get_underlay_channel()
        assert isinstance(raw, aiormq.Channel)
        self._raw = raw
        return (raw.closing,)


async def declare(connection: AbstractConnection) -> None:
    """Declare the whole topology; harmless when it is there, an error when it differs."""
    async with connection.channel() as channel:
        exchange = await channel.declare_exchange(
            topology.DEAD_LETTER_EXCHANGE, ExchangeType.DIRECT, durable=True, timeout=DECLARE_SECONDS
        )
        queues: Mapping[str, Any] = {
            spec.name: await channel.declare_queue(
                spec.name, durable=True, arguments=spec.arguments, timeout=DECLARE_SECONDS
            )
            for spec in topology.queue_specs()
        }
        for name in topology.QUEUES:
            dead = topology.dead_letter_queue(name)
            await queues[dead].bind(exchange, routing_key=dead, timeout=DECLARE_SECONDS)
