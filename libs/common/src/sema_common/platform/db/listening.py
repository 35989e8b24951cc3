"""NOTIFY, heard on a connection of its own: a hint that something is to be done now, never the only way to learn it.

Nobody may rely on a hint: it is lost while the connection is. Whoever listens looks by the clock as well, and is
told once after every new connection, because of what may have been missed.
"""

import asyncio
import contextlib
import random
from collections.abc import Callable
from types import TracebackType
from typing import Any, Final, LiteralString, Self

import asyncpg

from sema_common.platform.logs import get_logger

log = get_logger()

CONNECT_SECONDS: Final = 3.0
CHECK_SECONDS: Final = 20.0
"""How often the connection is asked whether it still lives: a half-open one would be silent for ever."""

RETRY_SECONDS: Final = 2.0

SQL_ALIVE: Final[LiteralString] = "SELECT 1"


class Listener:
    """`async with Listener(dsn, "campaigns", wake)`: `wake()` is called for every NOTIFY on that channel.

    Entering does not wait for the connection: it is made, and made again, in the background.
    """

    def __init__(self, dsn: str, channel: str, wake: Callable[[], object]) -> None:
        self._dsn = dsn
        self._channel = channel
        self._wake = wake
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._run(), name=f"listen-{self._channel}")
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        assert self._task is not None
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task

    async def _run(self) -> None:
        while True:
            try:
                await self._listen()
            except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as exc:
                log.warning("listener_disconnected", channel=self._channel, error=type(exc).__name__)
            await asyncio.sleep(RETRY_SECONDS * random.uniform(0.5, 1.5))

    async def _listen(self) -> None:
        """One life of a connection."""
        connection = await asyncpg.connect(
            self._dsn,
            timeout=CONNECT_SECONDS,
            command_timeout=CONNECT_SECONDS,
            server_settings={"application_name": f"sema-listen-{self._channel}"},
        )
        try:
            ended = asyncio.Event()
            connection.add_termination_listener(lambda _: ended.set())
            await connection.add_listener(self._channel, self._heard)
            self._wake()
            while True:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(CHECK_SECONDS):
                        await ended.wait()
                await connection.fetchval(SQL_ALIVE)
        finally:
            connection.terminate()

    def _heard(self, *_: Any) -> None:
        self._wake()
