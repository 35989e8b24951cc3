"""uvicorn inside the runtime: it serves one app, and stops when its context is left.

What must never happen here: memory for a head that never ends. httptools puts no limit on the request line and
the headers, so ours counts them.
"""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any, Final, cast

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

BACKLOG: Final = 2048
KEEPALIVE_SECONDS: Final = 75
"""Longer than a load balancer keeps an idle connection (60 s is common): the side that closes first should be
the one that sends, or a request meets a connection that is just going away."""


LAST_WORDS_SECONDS: Final = 0.25
"""From the last connection to the end of idle ones: a request that is on its way comes in."""

MAX_HEAD: Final = 64 * 1024
"""Bytes of request line and headers together; nginx takes 32 KiB by default."""

BODY_COMPLETE: Final = "sema.body_complete"
"""In the scope once the whole body has arrived: reading it cannot wait, so nobody needs to guard the wait."""

WRITE_AT_ONCE: Final = 64 * 1024
"""Bytes of answers that wait for the end of the turn: uvloop's own high-water mark."""

_TOO_LARGE: Final = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
)


class GatheredWrites:
    """A transport whose writes of one turn of the event loop leave together, at its end.

    uvicorn writes the head and the body of an answer apart: two system calls, two packets, and a client that is
    woken for a head without a body. More than WRITE_AT_ONCE leaves at once, so that flow control sees it.
    """

    __slots__ = ("_loop", "_size", "_transport", "_waiting", "get_extra_info", "is_closing")

    def __init__(self, transport: Any, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._waiting: list[bytes] = []
        self._size = 0
        self.is_closing = transport.is_closing
        self.get_extra_info = transport.get_extra_info

    def write(self, data: bytes) -> None:
        if not self._waiting:
            self._loop.call_soon(self._flush)
        self._waiting.append(data)
        self._size += len(data)
        if self._size > WRITE_AT_ONCE:
            self._flush()

    def close(self) -> None:
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        if self._waiting:
            data = b"".join(self._waiting)
            self._waiting, self._size = [], 0
            self._transport.write(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


class _BoundedHead(HttpToolsProtocol):
    """Answers 431 and hangs up once a head has grown too large."""

    def connection_made(self, transport: Any) -> None:
        super().connection_made(cast(asyncio.Transport, GatheredWrites(transport, self.loop)))

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._head = 0
        self._head_done = False

    def data_received(self, data: bytes) -> None:
        self._head_done = False
        super().data_received(data)
        # Within one read (at most 256 KiB) the parser tells whether the head came to its end.
        self._head = 0 if self._head_done else self._head + len(data)
        if self._head > MAX_HEAD and not self._in_body and not self.transport.is_closing():
            self.transport.write(_TOO_LARGE)
            self.transport.close()

    def on_headers_complete(self) -> None:
        self._head_done = self._in_body = True
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self.scope[BODY_COMPLETE] = True  # type: ignore[typeddict-unknown-key]
        super().on_message_complete()

    def on_message_begin(self) -> None:
        self._in_body = False
        super().on_message_begin()

    _in_body = False


class _Server(uvicorn.Server):
    """uvicorn without its signal handlers: when to stop is the runtime's decision."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.up = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.up.set()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Hear out connections that were accepted this very moment: uvicorn hangs up on whoever it has not
        read yet, as if it were idle."""
        for server in self.servers:
            server.close()
        await asyncio.sleep(LAST_WORDS_SECONDS)
        await super().shutdown(sockets)


@asynccontextmanager
async def serving(app: ASGIApp, host: str, port: int, drain: float) -> AsyncIterator[int]:
    """Serve `app`, and yield the bound port (given 0: a free one). Leaving refuses connections and waits for
    open requests, at most `drain` seconds."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind((host, port))
    sock.setblocking(False)
    server = _Server(
        uvicorn.Config(
            app,
            http=_BoundedHead,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            date_header=False,
            proxy_headers=False,
            backlog=BACKLOG,
            timeout_keep_alive=KEEPALIVE_SECONDS,
            timeout_graceful_shutdown=max(1, int(drain)),
        )
    )
    task = asyncio.create_task(server.serve([sock]), name=f"http-{port}")
    up = asyncio.create_task(server.up.wait())
    await asyncio.wait({task, up}, return_when=asyncio.FIRST_COMPLETED)
    if task.done():
        up.cancel()
        await task
    try:
        yield sock.getsockname()[1]
    finally:
        server.should_exit = True
        try:
            await task
        finally:
            task.cancel()
            sock.close()
