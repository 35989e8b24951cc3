"""uvicorn inside the runtime: it serves one app, and stops when its context is left."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Final

import uvicorn
from starlette.types import ASGIApp

BACKLOG: Final = 2048
KEEPALIVE_SECONDS: Final = 75
"""Longer than a load balancer keeps an idle connection (60 s is common): the side that closes first should be
the one that sends, or a request meets a connection that is just going away."""


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
            http="httptools",
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
