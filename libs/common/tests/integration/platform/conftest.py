"""A TCP proxy that fails on command, so that one test can cut its own connection to a shared store."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Self
from urllib.parse import urlsplit, urlunsplit

import pytest

Until = Callable[[Callable[[], bool]], Awaitable[None]]


class Proxy:
    """Forwards to `url`'s host.

    `cut()` drops every connection; `refuse` drops new ones; `swallow` forwards nothing in either direction
    (half-open), and after `mute()` the connections of that moment never do; `cut_after(word)` lets the next client
    message with that word through and drops the connection before an answer.
    """

    def __init__(self, url: str) -> None:
        self._target = urlsplit(url)
        self._server: asyncio.Server
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._word: bytes | None = None
        self._muted: set[asyncio.StreamWriter] = set()
        self.refuse = False
        self.swallow = False
        self.cuts = 0

    @property
    def url(self) -> str:
        user = self._target.netloc.rpartition("@")[0]
        address = f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return urlunsplit(self._target._replace(netloc=f"{user}@{address}" if user else address))

    @property
    def connections(self) -> int:
        return len(self._writers) // 2

    def cut(self) -> None:
        for writer in self._writers:
            writer.transport.abort()

    def mute(self) -> None:
        self._muted |= self._writers

    def cut_after(self, word: bytes) -> None:
        self._word = word

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        self.cut()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        if self.refuse:
            writer.transport.abort()
            return
        up_reader, up_writer = await asyncio.open_connection(self._target.hostname, self._target.port)
        self._writers |= {writer, up_writer}
        try:
            await asyncio.gather(
                self._pump(reader, up_writer, watch=True), self._pump(up_reader, writer, watch=False)
            )
        finally:
            self._writers -= {writer, up_writer}
            for each in (writer, up_writer):
                each.transport.abort()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, watch: bool) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65536):
                if self.swallow or writer in self._muted:
                    continue
                writer.write(data)
                await writer.drain()
                if watch and self._word is not None and self._word in data:
                    self._word = None
                    self.cuts += 1
                    self.swallow = True  # the answer must not slip through
                    await asyncio.sleep(0.1)
                    self.swallow = False
                    break
        for each in list(self._writers):
            if each is writer:
                each.transport.abort()


@pytest.fixture
def proxied() -> Callable[[str], Proxy]:
    """`async with proxied(url) as proxy:` then use `proxy.url`."""
    return Proxy


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - what is waited for has no event to await
            await asyncio.sleep(0.01)


@pytest.fixture
def until() -> Until:
    return _until


@pytest.fixture
async def proxied_amqp(vhost: str) -> AsyncIterator[Proxy]:
    async with Proxy(vhost) as proxy:
        yield proxy
