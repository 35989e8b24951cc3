"""A sandbox behind a real socket, and a receiver of its delivery reports that does as it is told."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Literal

import httpx
import pytest
import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from deploy.sandbox.app import Sandbox

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


@dataclass
class Receiver:
    """Takes reports as dlr-webhook does: answers `statuses` in turn, then 200."""

    bodies: list[bytes] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    refused: int = 0

    def holds(self, count: int) -> bool:
        return len(self.bodies) == count

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        status = self.statuses.pop(0) if self.statuses else 200
        if status == 200 and scope["path"] == "/celcom/token":
            self.bodies.append(body)
        else:
            self.refused += 1
        headers = [(b"content-length", b"2")]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": b"OK"})


@dataclass
class Stand:
    """What a test holds: a client of the sandbox, and the receiver of its reports."""

    client: httpx.AsyncClient
    receiver: Receiver

    async def control(self, **script: object) -> None:
        (await self.client.put("/_control/celcom", json=script)).raise_for_status()

    async def stats(self) -> dict[str, int]:
        stats: dict[str, int] = (await self.client.get("/_control/celcom/stats")).json()
        return stats

    async def received(self, since: int = 0) -> list[dict[str, object]]:
        answer = await self.client.get("/_received/celcom", params={"since": since})
        entries: list[dict[str, object]] = answer.json()["data"]
        return entries


@pytest.fixture
async def stand() -> AsyncIterator[Stand]:
    receiver = Receiver()
    async with (
        serving(receiver, "off") as reports,
        serving(Sandbox(f"{reports}/celcom/token")) as url,
        httpx.AsyncClient(base_url=url, timeout=DEADLINE) as client,
    ):
        yield Stand(client, receiver)
