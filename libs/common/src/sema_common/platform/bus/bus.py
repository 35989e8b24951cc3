"""The face of RabbitMQ that rooms see."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Any, Final, TypeVar
from uuid import UUID

from aio_pika.abc import AbstractConnection
from aiormq.abc import DeliveredMessage

from sema_common.platform import telemetry, topology
from sema_common.platform.bus.consumer import Consumer
from sema_common.platform.bus.delivery import DeadLetter, Decoder, Delivery, dead_letter
from sema_common.platform.bus.link import Link
from sema_common.platform.bus.publisher import Outgoing, Publisher, properties
from sema_common.values.errors import BrokerUnavailable
from sema_common.wire.envelope import WireMessage

M = TypeVar("M", bound=WireMessage)

OPEN_SECONDS: Final = 5.0
"""How long opening waits for a first connection; after that the room starts without, and is not ready."""

DEAD_LETTERS_AT_ONCE: Final = 50


class Bus:
    """Publishes and consumes; made by `Bus.open`."""

    def __init__(self, url: str, name: str) -> None:
        self._name = name
        self._publisher = Publisher(url, name)
        self._consume_link = Link(url, f"{name}-consume", _nothing_to_prepare)
        self._consuming: AsyncExitStack | None = None
        self._stack = AsyncExitStack()
        self._consumers: list[Consumer[Any]] = []

    @classmethod
    @asynccontextmanager
    async def open(cls, amqp_url: str, *, name: str) -> "AsyncIterator[Bus]":
        """Connect in the background and declare the topology.

        Returns after 5 s even if the broker is away: publishes then raise BrokerUnavailable, consumers
        attach when it comes.
        """
        bus = cls(amqp_url, f"sema-{name}")
        async with bus._stack:
            await bus._stack.enter_async_context(bus._publisher.link.running())
            try:
                async with asyncio.timeout(OPEN_SECONDS):
                    await bus._publisher.link.connection()
            except TimeoutError:
                pass
            yield bus

    async def publish(
        self,
        queue: str,
        message: WireMessage,
        *,
        event_id: UUID,
        traceparent: str | None = None,
        attempt: int = 0,
    ) -> None:
        """Publish and wait for the confirm. BrokerUnavailable at once or within 5 s; it may still arrive."""
        await self._publisher.publish(Outgoing(queue, message, event_id, traceparent, attempt))

    async def publish_many(self, outgoing: Sequence[Outgoing]) -> list[BaseException | None]:
        """Publish all with their confirms in flight together; per message None, or what went wrong."""
        results: list[BaseException | None] = await asyncio.gather(
            *map(self._publisher.publish, outgoing), return_exceptions=True
        )
        return results

    async def depth(self, queue: str) -> int:
        """AMQP messages that are ready in `queue`; those that consumers hold do not count. BrokerUnavailable."""
        return await self._publisher.depth(queue)

    async def publish_raw(
        self,
        queue: str,
        body: bytes,
        *,
        type: str,
        version: int,
        event_id: UUID,
        traceparent: str | None = None,
        attempt: int = 0,
    ) -> None:
        """Publish a body as it is: a dead letter that staff send back. Raises like `publish`."""
        await self._publisher.send(queue, body, properties(type, version, event_id, traceparent, attempt))

    def consume(
        self,
        queue: str,
        types: Iterable[type[M]],
        handler: Callable[[Delivery[M]], Awaitable[None]],
        *,
        prefetch: int,
    ) -> AbstractAsyncContextManager[None]:
        """Hand deliveries of `queue` one by one to `handler`, at most `prefetch` at a time.

        The handler runs in a span below the message's. Outcomes: see `outcome`.
        """

        async def one(deliveries: list[Delivery[M]]) -> None:
            delivery = deliveries[0]
            with telemetry.span(f"handle {queue}", "consumer", parent=delivery.traceparent):
                await handler(delivery)

        return self._consume(
            Consumer[Any](
                self._consume_link,
                self._publisher,
                queue,
                Decoder(queue, types),
                one,
                prefetch=prefetch,
                max_items=1,
                linger=0.0,
                batches=prefetch,
            )
        )

    def consume_batches(
        self,
        queue: str,
        types: Iterable[type[M]],
        handler: Callable[[list[Delivery[M]]], Awaitable[None]],
        *,
        prefetch: int,
        max_items: int,
        linger: float = 0.0,
        batches: int = 4,
    ) -> AbstractAsyncContextManager[None]:
        """Hand deliveries to `handler` in batches of at most `max_items` items (`len(message)` each).

        A batch waits at most `linger` seconds for company, counted from its first arrival; `batches` of them
        are in flight at most, `prefetch` deliveries in all. A redelivered message is handed over alone.
        """
        return self._consume(
            Consumer[Any](
                self._consume_link,
                self._publisher,
                queue,
                Decoder(queue, types),
                handler,
                prefetch=prefetch,
                max_items=max_items,
                linger=linger,
                batches=batches,
            )
        )

    def drain_dead_letters(
        self, queue: str, keep: Callable[[list[DeadLetter]], Awaitable[None]]
    ) -> AbstractAsyncContextManager[None]:
        """Hand the dead letters of `queue` to `keep`, and forget them once `keep` has returned.

        Whatever `keep` raises, the letters are tried again for as long as it takes: they have no other place.
        """

        def decode(raw: DeliveredMessage) -> DeadLetter:
            return dead_letter(queue, raw)

        return self._consume(
            Consumer[DeadLetter](
                self._consume_link,
                self._publisher,
                topology.dead_letter_queue(queue),
                decode,
                keep,
                prefetch=DEAD_LETTERS_AT_ONCE,
                max_items=DEAD_LETTERS_AT_ONCE,
                linger=0.1,
                batches=1,
                patient=True,
            )
        )

    async def check(self) -> None:
        """BrokerUnavailable unless publishes are taken and every consumer is attached."""
        if not self._publisher.link.is_up:
            raise BrokerUnavailable("not connected to the broker")
        if await self._publisher.link.blocked():
            raise BrokerUnavailable("the broker takes no publishes (memory or disk alarm)")
        for consumer in self._consumers:
            if not consumer.attached:
                raise BrokerUnavailable(f"not consuming {consumer.queue}")

    @asynccontextmanager
    async def _consume(self, consumer: Consumer[Any]) -> AsyncIterator[None]:
        if self._consuming is None:
            self._consuming = self._stack
            await self._stack.enter_async_context(self._consume_link.running())
        async with consumer:
            self._consumers.append(consumer)
            try:
                yield
            finally:
                self._consumers.remove(consumer)


async def _nothing_to_prepare(_: AbstractConnection) -> "Iterable[asyncio.Future[Any]]":
    return ()
