"""Reads tables of opt-outs: a bounded number at a time, in a thread, so that nobody else waits for one."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractContextManager, asynccontextmanager
from typing import Final
from uuid import UUID

from sema_main_api.http.uploads import Places
from sema_main_api.suppressions.rules import Table

AT_ONCE: Final = 16
OF_ACCOUNT: Final = 2
"""Tables on their way in: each is at most 10 MB until its turn comes."""

TURNS: Final = 2
"""Tables that are read and stored: each some 150 MB where it holds half a million numbers."""

PIECE: Final = 64 * 1024
"""Bytes that a thread reads in one go: some 2,000 rows."""


class Imports:
    """Who may bring a table, and whose turn it is to be read."""

    def __init__(self) -> None:
        self._places = Places()
        self._turns = asyncio.Semaphore(TURNS)

    def place(self, account_id: UUID) -> AbstractContextManager[None]:
        """The right to bring a table; Refused(429) for an account with too many, Overloaded for all together."""
        return self._places.taken(account_id, OF_ACCOUNT, AT_ONCE)

    @asynccontextmanager
    async def table(self, raw: bytes, country: str | None) -> AsyncIterator[Table]:
        """What a CSV holds, as long as it is held; Refused for what is no such table."""
        async with self._turns:
            found = Table(country)
            for start in range(0, len(raw), PIECE):
                await asyncio.to_thread(found.feed, raw[start : start + PIECE])
            await asyncio.to_thread(found.finish)
            yield found
