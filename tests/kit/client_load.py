"""A steady stream of messages from honest customers, while something else happens to the stack."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from typing import Final

from sema_aggregators.test_mode import MAGIC
from tests.kit.client import Client

PRIORITY_SHARE: Final = 0.2
INSIST_SECONDS: Final = 90.0


class Load:
    """`rate` messages a second, each with a text of its own, a fifth of them on the priority lane.

    `magic`: the share that goes to recipients which refuse, time out or report strangely (docs/test-mode.md).
    A call that fails is repeated with its key until there is an answer; every one is in the client's history.
    """

    def __init__(self, client: Client, rng: random.Random, rate: float, magic: float = 0.0) -> None:
        self._magic = magic
        self._client = client
        self._rng = rng
        self._rate = rate
        self._token = f"{rng.getrandbits(48):012x}"
        self._calls: set[asyncio.Task[object]] = set()
        self.asked = 0

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Sends inside the block; leaving it waits until every call has its answer."""
        pacing = asyncio.create_task(self._pace())
        try:
            yield
        finally:
            pacing.cancel()
            await asyncio.gather(pacing, return_exceptions=True)
            await asyncio.gather(*self._calls)

    async def _pace(self) -> None:
        """By the clock, so that a stack that stands still does not slow the customers down."""
        loop = asyncio.get_running_loop()
        started = loop.time()
        for self.asked in count(1):
            call = asyncio.create_task(
                self._client.insist(self._body(), f"{self._token}-{self.asked}", INSIST_SECONDS)
            )
            self._calls.add(call)
            call.add_done_callback(self._calls.discard)
            await asyncio.sleep(max(0.0, started + self.asked / self._rate - loop.time()))

    def _body(self) -> dict[str, str]:
        lane = "priority" if self._rng.random() < PRIORITY_SHARE else "normal"
        # Safaricom's 071x without the magic numbers, whose last seven digits begin with 999.
        to = f"+25471{self._rng.randrange(990):03}{self._rng.randrange(10_000):04}"
        if self._rng.random() < self._magic:
            to = f"+25471{self._rng.choice(sorted(MAGIC))}"
        return {"to": to, "from": "SEMALINK", "body": f"Load {self._token} {self.asked}", "lane": lane}
