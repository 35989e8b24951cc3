"""Reads for one tenant: behind row-level security, and in turns, so that no customer takes the pool from the others."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

from sema_common.platform.db import Database, Tx
from sema_common.values.errors import Refused
from sema_main_api.http import store
from sema_main_api.http.callers import Caller
from sema_main_api.http.problems import retry_after

AT_ONCE: Final = 2
"""Reads of one account that run at a time: a quarter of the pool, however slow its filters are."""

IN_HAND: Final = 50
"""Reads of one account that may wait besides; more are told to come back."""


@dataclass(slots=True)
class _Turn:
    gate: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_ONCE))
    in_hand: int = 0


class TenantReads:
    """The tenant-facing pool. `async with reads.of(caller) as tx`: a transaction that sees the caller's tenant only.

    The wall is the tenant's: inside an agent's tenant every query names its account as well.
    """

    def __init__(self, db: Database) -> None:
        self._db = db
        self._turns: dict[UUID, _Turn] = {}

    @asynccontextmanager
    async def of(self, caller: Caller) -> AsyncIterator[Tx]:
        """Refused(429) when the account has too many reads in hand already."""
        turn = self._turns.setdefault(caller.account_id, _Turn())
        if turn.in_hand >= IN_HAND:
            raise Refused("rate_limited", "Too many reads at once.", 429, headers=retry_after(1))
        turn.in_hand += 1
        try:
            async with turn.gate, self._db.transaction() as tx:
                await store.set_tenant(tx, caller.tenant_id)
                yield tx
        finally:
            turn.in_hand -= 1
            if not turn.in_hand:
                del self._turns[caller.account_id]
