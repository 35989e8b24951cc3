"""Work laid ready before a consumer starts, so that its speed is its own and not its feeder's."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Sequence
from typing import Final, TypeVar
from uuid import UUID

from sema_common.messages.store.accepting import NewMessage
from sema_common.platform.bus import Bus
from sema_common.platform.db import Database
from sema_common.values.clock import now
from sema_main_api.messaging.relay import Relay
from tests.bench.stack import BenchStack
from tests.kit import seeds

T = TypeVar("T")

CHUNK: Final = 500
SQL_APPLIED: Final = "SELECT count(*) FROM orch.sms_messages WHERE account_id = $1 AND status = $2"
SQL_PACE: Final = """
SELECT extract(epoch FROM max(updated_at) - percentile_disc(0.1) WITHIN GROUP (ORDER BY updated_at))::float8
FROM orch.sms_messages WHERE account_id = $1
"""


async def accepted(db: Database, count: int) -> list[NewMessage]:
    """Messages of a new account, committed as `submitted`; numbers and texts all differ."""
    async with db.transaction() as tx:
        account = await seeds.open_account(tx, balance="100000000")
    numbers = itertools.count(1_000_000)
    made: list[NewMessage] = []
    while len(made) < count:
        chunk = [
            seeds.new_message(account, to=f"+25472{n}", body=f"Order {n} is ready at the counter until six.")
            for n in itertools.islice(numbers, min(CHUNK, count - len(made)))
        ]
        async with db.transaction(timeout=30) as tx:
            made += await seeds.accept(tx, chunk)
    return made


async def queued(db: Database, bus: Bus, messages: Sequence[NewMessage]) -> None:
    """Published in bundles by main-api's own relay, and marked."""
    for chunk in chunks(messages, CHUNK):
        async with Relay(db, bus) as relay:
            relay.offer(chunk)


async def sent(db: Database, messages: Sequence[NewMessage], size: int) -> dict[UUID, str]:
    """Claimed and recorded as sent, `size` in a transaction; `db` is sms-worker's."""
    ids: dict[UUID, str] = {}
    for chunk in chunks(messages, size):
        async with db.transaction(timeout=30) as tx:
            ids |= await seeds.submit(tx, chunk, now())
    return ids


async def pace(stack: BenchStack, account: UUID, status: str, count: int, seconds: float) -> float:
    """Messages a second, once all of the account have that status.

    Taken from the commits' own times, without the first tenth: starting up is no part of the speed.
    """
    await _empty(stack, seconds)
    await stack.until(SQL_APPLIED, count, seconds, account, status)
    async with stack.sql() as connection:
        took: float = await connection.fetchval(SQL_PACE, account)
    return 0.9 * count / took


async def _empty(stack: BenchStack, seconds: float) -> None:
    """Cheaper to ask for than the rows, which are counted only when the queues are done."""
    async with asyncio.timeout(seconds):
        while True:
            if not any([await stack.depth(queue) for queue in ("sms.normal", "dlr.inbound")]):
                return
            await asyncio.sleep(0.2)


def chunks(items: Sequence[T], size: int) -> list[Sequence[T]]:
    return [items[start : start + size] for start in range(0, len(items), size)]
