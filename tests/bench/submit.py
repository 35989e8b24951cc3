"""One sms-worker against a backlog, in front of an aggregator that answers at once and one that takes 20 ms."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from typing import Final

from sema_common.messages.store.accepting import NewMessage
from sema_common.platform.bus import Bus, Delivery
from sema_common.platform.db import Database
from sema_common.wire.sms import SmsJobs
from tests.bench import backlog
from tests.bench.figures import Figure
from tests.bench.stack import BenchStack, Cost

MESSAGES: Final = 40_000
BASELINE_MESSAGES: Final = 20_000
BASELINE_ROWS: Final = 10_000
ROWS_AT_ONCE: Final = 200
TARGET: Final = 4000
PATIENCE: Final = 120.0
LATENCIES_MS: Final = (0, 20)


async def submits(stack: BenchStack) -> AsyncIterator[Figure]:
    """Jobs in bundles as the relay makes them; timed from the first tenth to the last commit."""
    async with stack.database("main_api_pipeline") as db, stack.bus() as bus:
        consumed = await _bare_consume(db, bus, await backlog.accepted(db, BASELINE_MESSAGES))
        async with stack.database("sms_worker_pipeline") as worker:
            recorded = await _bare_rows(worker, await backlog.accepted(db, BASELINE_ROWS))
        for milliseconds in LATENCIES_MS:
            messages = await backlog.accepted(db, MESSAGES)
            await backlog.queued(db, bus, messages)
            pace, cost = await _work_off(stack, messages, milliseconds)
            bare = ("consume + ack alone", consumed) if milliseconds == 0 else ("rows alone", recorded)
            yield Figure(
                f"sms-worker, sendbulk at {milliseconds} ms",
                pace,
                "messages/s",
                TARGET,
                False,
                *bare,
                f"{MESSAGES:,} messages",
                cost=cost,
            )


async def _work_off(
    stack: BenchStack, messages: Sequence[NewMessage], milliseconds: int
) -> tuple[float, str]:
    """Messages a second, and their CPU."""
    async with stack.rooms("sandbox"):
        await stack.script({"latency_ms": milliseconds, "dlr": {"enabled": False}})
        async with stack.rooms("sms-worker"):
            spent = Cost(stack)
            pace = await backlog.pace(stack, messages[0].account_id, "sent", len(messages), PATIENCE)
            cost = spent.each(len(messages))
    await stack.purge("webhooks.outbound")
    return pace, cost


async def _bare_consume(db: Database, bus: Bus, messages: Sequence[NewMessage]) -> float:
    """The same jobs, taken, parsed and acknowledged by a handler that does nothing."""
    left = len(messages)
    done = asyncio.Event()

    async def handle(deliveries: list[Delivery[SmsJobs]]) -> None:
        nonlocal left
        left -= sum(len(delivery.message) for delivery in deliveries)
        if left <= 0:
            done.set()

    await backlog.queued(db, bus, messages)
    started = time.perf_counter()
    async with bus.consume_batches(
        "sms.normal", [SmsJobs], handle, prefetch=200, max_items=20, linger=0.005, batches=16
    ):
        async with asyncio.timeout(PATIENCE):
            await done.wait()
        return len(messages) / (time.perf_counter() - started)


async def _bare_rows(db: Database, messages: Sequence[NewMessage]) -> float:
    """The claim and the record of these messages, and nothing else."""
    started = time.perf_counter()
    await backlog.sent(db, messages, ROWS_AT_ONCE)
    return len(messages) / (time.perf_counter() - started)
