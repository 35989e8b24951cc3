"""An ASGI application behind a real socket, in the test's own process."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Literal

import uvicorn
from starlette.types import ASGIApp

DEADLINE = 10.0


@contextlib.asynccontextmanager
async def serving(app: ASGIApp, lifespan: Literal["on", "off"] = "on", port: int = 0) -> AsyncIterator[str]:
    """The base URL of `app` on a free port."""
    config = uvicorn.Config(
        app, port=port, log_level="warning", lifespan=lifespan, ws="none", timeout_graceful_shutdown=1
    )
    server = uvicorn.Server(config)
    with contextlib.closing(config.bind_socket()) as listener:
        task = asyncio.create_task(server._serve([listener]))
        await eventually(lambda: server.started)
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            await task


async def eventually(true: Callable[[], bool] | Callable[[], Awaitable[bool]]) -> None:
    """Poll until it holds; TimeoutError after the deadline."""
    async with asyncio.timeout(DEADLINE):
        while True:
            held = true()
            if held if isinstance(held, bool) else await held:
                return
            await asyncio.sleep(0.005)
