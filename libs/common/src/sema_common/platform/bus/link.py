"""One connection to RabbitMQ that comes back by itself.

Publishing and consuming have a link each: a broker short of memory or disk stops reading from connections
that publish, and acknowledgements must not be caught in that. The reconnect loop is our own, rather than the
library's robust connection: it retries with jitter from a tenth of a second instead of every five, and
consumers are made anew on a fresh channel instead of restored, which leaves nothing to restore wrongly.
"""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any, Final

import aio_pika
import aiormq
from aio_pika.abc import AbstractConnection
from prometheus_client import Counter, Gauge

from sema_common.platform.cancelling import is_asked
from sema_common.platform.logs import get_logger

log = get_logger()

HEARTBEAT_SECONDS: Final = 10
"""The broker notices a dead client after two of these; the client library after three, and `Link.suspect`
sooner, whenever something goes unanswered."""

CONNECT_SECONDS: Final = 5.0
CLOSE_SECONDS: Final = 3.0
BACKOFF_FIRST: Final = 0.1
BACKOFF_LAST: Final = 5.0

BROKER_ERRORS: Final = (aiormq.exceptions.AMQPError, RuntimeError, OSError, TimeoutError)
"""What the client raises around an outage: besides AMQP errors plain RuntimeErrors (its invalid states)."""

_UP = Gauge("sema_bus_connected", "1 while the connection is usable", ["link"])
_CONNECTS = Counter("sema_bus_connects_total", "Connections made", ["link"])

Prepare = Callable[[AbstractConnection], Awaitable[Iterable["asyncio.Future[Any]"]]]


class Link:
    """Keeps one connection; `prepare` readies it and returns the futures whose end is its end."""

    def __init__(self, url: str, name: str, prepare: Prepare) -> None:
        self._url = url
        self._name = name
        self._prepare = prepare
        self._connection: AbstractConnection | None = None
        self._up = asyncio.Event()
        self._dropped = asyncio.Event()
        self._gauge = _UP.labels(name)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Connect and reconnect in the background for as long as the context lasts."""
        task = asyncio.create_task(self._run(), name=f"link-{self._name}")
        try:
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    @property
    def is_up(self) -> bool:
        return self._up.is_set()

    async def connection(self) -> AbstractConnection:
        """The prepared connection; waits while there is none."""
        await self._up.wait()
        assert self._connection is not None
        return self._connection

    async def blocked(self) -> bool:
        """Whether the broker has told us that it takes no publishes (memory or disk alarm)."""
        if self._connection is None or self._connection.transport is None:
            return False
        try:
            async with asyncio.timeout(0.01):
                await self._connection.transport.connection.ready()
        except TimeoutError:
            return True
        return False

    def suspect(self, reason: str) -> None:
        """Something stayed unanswered: make a new connection."""
        if not self._dropped.is_set():
            log.warning("bus_link_suspect", link=self._name, why=reason)
            self._dropped.set()

    async def _run(self) -> None:
        delay = BACKOFF_FIRST
        while True:
            try:
                if await self._once():
                    delay = BACKOFF_FIRST
                log.warning("bus_disconnected", link=self._name)
            except Exception as exc:  # whatever the library raises, the link must not end
                log.warning(
                    "bus_connect_failed",
                    link=self._name,
                    why=why(exc),
                    delay=delay,
                )
            except asyncio.CancelledError as exc:
                if is_asked(exc):
                    raise
            await asyncio.sleep(delay * random.uniform(0.5, 1.5))
            delay = min(delay * 2, BACKOFF_LAST)

    async def _once(self) -> bool:
        """One life of a connection; True once it was usable."""
        self._dropped.clear()
        connection = await aio_pika.connect(
            self._url,
            timeout=CONNECT_SECONDS,
            heartbeat=HEARTBEAT_SECONDS,
            client_properties={"connection_name": self._name},
        )
        dropped: asyncio.Future[Any] = asyncio.ensure_future(self._dropped.wait())
        try:
            assert connection.transport is not None
            async with asyncio.timeout(2 * CONNECT_SECONDS):
                ends = {connection.transport.connection.closing, dropped, *await self._prepare(connection)}
            self._connection = connection
            self._up.set()
            self._gauge.set(1)
            _CONNECTS.labels(self._name).inc()
            log.info("bus_connected", link=self._name)
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            return True
        finally:
            dropped.cancel()
            self._up.clear()
            self._gauge.set(0)
            self._connection = None
            with contextlib.suppress(Exception):
                async with asyncio.timeout(CLOSE_SECONDS):
                    await connection.close()


def why(exc: BaseException) -> str:
    return f"{type(exc).__name__}: {exc}"[:200]
