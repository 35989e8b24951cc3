"""One customer's reads never take the pool from the others."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest

from sema_common.platform.db import Database
from sema_common.values.errors import Refused
from sema_common.values.ids import new_id
from sema_main_api.http.callers import Caller
from sema_main_api.http.tenants import AT_ONCE, IN_HAND, TenantReads


class Pool:
    """Counts the transactions that are open."""

    def __init__(self) -> None:
        self.open = 0
        self.most = 0

    @contextlib.asynccontextmanager
    async def transaction(self) -> AsyncIterator["Pool"]:
        self.open += 1
        self.most = max(self.most, self.open)
        yield self
        self.open -= 1

    async def execute(self, *_: Any) -> None:
        """`set_config` of the tenant."""


def caller() -> Caller:
    id_ = new_id()
    return Caller("key", id_, id_, id_, "starter", "KES", "active", "direct")


async def test_an_account_reads_in_turns_and_others_pass() -> None:
    pool = Pool()
    reads = TenantReads(cast(Database, pool))
    busy, finish = caller(), asyncio.Event()

    async def read(who: Caller) -> None:
        async with reads.of(who):
            await finish.wait()

    tasks = [asyncio.create_task(read(busy)) for _ in range(IN_HAND)]
    await asyncio.sleep(0)
    with pytest.raises(Refused) as caught:
        await read(busy)
    assert (caught.value.status, caught.value.code) == (429, "rate_limited")
    async with reads.of(caller()):
        assert pool.open == AT_ONCE + 1
    finish.set()
    await asyncio.gather(*tasks)
    assert pool.most == AT_ONCE + 1
    async with reads.of(busy):
        pass
