"""What the routing layer costs: the same backlog with it and without it, in turns, in one run."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from statistics import median
from typing import Final

from sema_common.messages.store.accepting import NewMessage
from tests.bench import backlog
from tests.bench.figures import Figure
from tests.bench.stack import BenchStack, Cost

MODULES: Final = {"with": "sema_sms_worker", "without": "tests.bench.unrouted"}
MESSAGES: Final = 20_000
ROUNDS: Final = 3
TARGET_RATIO: Final = 0.9
PATIENCE: Final = 120.0
SQL_RULES: Final = """
INSERT INTO core.accounts (id, tenant_id, billing_account_id, name, type, tier, currency, webhook_secret)
SELECT id, id, id, 'Rule', 'direct', 'starter', 'KES', '' FROM (SELECT gen_random_uuid() AS id
    FROM generate_series(1, 1000)) AS made
"""
SQL_BIND: Final = """
INSERT INTO core.account_routes (account_id, tenant_id, aggregator, mode)
SELECT id, id, 'africastalking', 'preferred' FROM core.accounts WHERE name = 'Rule'
"""
SQL_PACE: Final = "UPDATE core.routes SET per_second = 1000000"


async def routed(stack: BenchStack) -> AsyncIterator[Figure]:
    """Two aggregators, a thousand accounts with rules, a pace that never holds, against one way for all."""
    async with stack.sql() as connection:
        for sql in (SQL_RULES, SQL_BIND, SQL_PACE):
            await connection.execute(sql)
    paces: dict[str, list[float]] = {"with": [], "without": []}
    costs = dict.fromkeys(paces, "")
    async with stack.database("main_api_pipeline") as db, stack.bus() as bus:
        for turn in range(ROUNDS):
            for name in sorted(paces, reverse=bool(turn % 2)):
                messages = await backlog.accepted(db, MESSAGES)
                await backlog.queued(db, bus, messages)
                pace, costs[name] = await _work_off(stack, messages, name)
                paces[name].append(pace)
    without, with_ = median(paces["without"]), median(paces["with"])
    yield Figure(
        "sms-worker with routing",
        with_,
        "messages/s",
        TARGET_RATIO * without,
        baseline="without routing",
        baseline_value=without,
        note=f"{ROUNDS} rounds of {MESSAGES:,} each, in turns; medians",
        cost="; ".join(f"{name}: {cost}" for name, cost in costs.items()),
    )


async def _work_off(stack: BenchStack, messages: Sequence[NewMessage], name: str) -> tuple[float, str]:
    async with stack.rooms("sandbox"):
        await stack.script({"latency_ms": 0, "dlr": {"enabled": False}})
        async with stack.beside("sms-worker", MODULES[name]):  # both started alike
            spent = Cost(stack)
            pace = await backlog.pace(stack, messages[0].account_id, "sent", len(messages), PATIENCE)
            cost = spent.each(len(messages))
    await stack.purge("webhooks.outbound")
    return pace, cost
