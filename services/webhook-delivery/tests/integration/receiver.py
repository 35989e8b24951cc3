"""A customer's web server on loopback: it behaves as told and is the independent witness of what arrived."""

import asyncio
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web


@dataclass(frozen=True)
class Received:
    path: str
    headers: dict[str, str]
    body: str


Reply = Callable[[web.Request], web.StreamResponse]


@dataclass
class Receiver:
    """`replies[path]` are given in order, the last one for ever; a path without any answers 204."""

    url: str = ""
    seen: list[Received] = field(default_factory=list)
    replies: dict[str, deque[Reply]] = field(default_factory=dict)
    hangs: set[str] = field(default_factory=set)
    bytes_sent: Counter[str] = field(default_factory=Counter)
    released: asyncio.Event = field(default_factory=asyncio.Event)
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    def replies_with(self, path: str, *statuses: int, body: str = "", **headers: str) -> None:
        def reply(status: int) -> Reply:
            given = {name.replace("_", "-"): value for name, value in headers.items()}
            return lambda _: web.Response(status=status, text=body, headers=given)

        self.replies[path] = deque(map(reply, statuses))

    def at(self, path: str) -> list[Received]:
        return [each for each in self.seen if each.path == path]

    async def arrived(self, path: str, count: int = 1, within: float = 15.0) -> list[Received]:
        """The first `count` requests to `path`."""
        async with asyncio.timeout(within), self.changed:
            await self.changed.wait_for(lambda: len(self.at(path)) >= count)
        return self.at(path)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.text()
        async with self.changed:
            headers = {name.lower(): value for name, value in request.headers.items()}
            self.seen.append(Received(request.path, headers, body))
            self.changed.notify_all()
        if request.path in self.hangs:
            await self.released.wait()
        if request.path == "/endless":
            return await self._endless(request)
        replies = self.replies.get(request.path)
        if not replies:
            return web.Response(status=204)
        return (replies.popleft() if len(replies) > 1 else replies[0])(request)

    async def _endless(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-encoding": "gzip"})
        await response.prepare(request)
        try:
            while True:
                await response.write(b"x" * 8192)
                self.bytes_sent[request.path] += 8192
        except ConnectionError:
            return response


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", receiver.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    receiver.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield receiver
    finally:
        receiver.released.set()
        await runner.cleanup()
