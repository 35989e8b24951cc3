"""What tests of a whole room share, whichever room it is."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Generic, TypeVar

from sema_common.values.errors import BrokerUnavailable

T = TypeVar("T")


async def eventually(look: Callable[[], Awaitable[T | None]]) -> T:
    """What `look` finds, once it finds something; within 20 s."""
    async with asyncio.timeout(20):
        while True:
            found = await look()
            if found is not None:
                return found
            await asyncio.sleep(0.02)


class Shelf(Generic[T]):
    """A broker that remembers what was published to one queue, or is away."""

    def __init__(self, queue: str) -> None:
        self._queue = queue
        self.published: list[T] = []
        self.away = False

    async def publish(self, queue: str, message: T, **_: Any) -> None:
        assert queue == self._queue
        if self.away:
            raise BrokerUnavailable("away")
        self.published.append(message)


@asynccontextmanager
async def process(module: str, **settings: str) -> AsyncIterator[Callable[[], Awaitable[bytes]]]:
    """A service as a process of its own; what is yielded ends it by SIGTERM, in good order, for what it logged."""
    ops = {"OPS_HOST": "127.0.0.1", "OPS_PORT": "0"}
    environment = {"PATH": os.environ["PATH"], "ENVIRONMENT": "test", **ops, **settings}
    running = await asyncio.create_subprocess_exec(
        sys.executable, "-m", module, env=environment, stdout=asyncio.subprocess.PIPE
    )

    async def end() -> bytes:
        running.send_signal(signal.SIGTERM)
        out, _ = await running.communicate()
        assert running.returncode == 0
        return out

    try:
        yield end
    finally:
        if running.returncode is None:
            running.kill()
            await running.communicate()
