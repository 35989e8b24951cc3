"""What a balance costs to read: `GET /v1/balance` out of Postgres, one after another."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final

from tests.bench.figures import Figure
from tests.bench.open_loop import OpenLoop
from tests.bench.stack import BenchStack

PER_SECOND: Final = 100.0
SECONDS: Final = 10.0
MILLISECONDS: Final = 2.0


async def balances(stack: BenchStack) -> AsyncIterator[Figure]:
    """p50 of 1,000 reads by the clock, each the truth, beside `GET /healthz` by the same clock."""
    async with stack.rooms("main-api"):
        account = await stack.account()
        port = int(stack.layout.http("main-api").rpartition(":")[2])

        def get(path: str) -> bytes:
            head = [f"GET {path} HTTP/1.1", "Host: 127.0.0.1", f"Authorization: Bearer {account.key}"]
            return "\r\n".join([*head, "", ""]).encode()

        async with OpenLoop("127.0.0.1", port) as loop:
            await loop.run(PER_SECOND, 2.0, lambda _: get("/v1/balance"))
            bare = await loop.run(PER_SECOND, SECONDS / 2, lambda _: get("/healthz"))
            found = await loop.run(PER_SECOND, SECONDS, lambda _: get("/v1/balance"))
    beside = ("GET /healthz, p50", bare.percentile(50))
    note = f"p99 {found.percentile(99):.1f} ms, {found.failed} failed"
    yield Figure("balance read, p50", found.percentile(50), "ms", MILLISECONDS, True, *beside, note)
