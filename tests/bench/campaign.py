"""A large campaign with everything running: how fast it is fed, what OTPs feel of it, and another account's ten."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import Any, Final
from uuid import UUID

import httpx

from deploy.local.services import SERVICES
from tests.bench.figures import Figure
from tests.bench.open_loop import Answers, OpenLoop, percentile, post
from tests.bench.stack import Account, BenchStack, Cost
from tests.kit import campaigns as kit

RECIPIENTS: Final = 100_000
SMALL: Final = 10
OTP_RATE: Final = 20
SECONDS: Final = 15.0
"""The campaign is watched for so long, or until it has been expanded."""

SQL_OTPS: Final = """
SELECT extract(epoch FROM sent_at - enqueued_at)::float8 * 1000 FROM orch.sms_messages
WHERE account_id = $1 AND lane = 'priority' AND sent_at IS NOT NULL
"""
SQL_EXPANDED: Final = "SELECT expanded FROM core.campaigns WHERE id = $1"
SQL_STATUS: Final = "SELECT status FROM core.campaigns WHERE id = $1"


async def fed(stack: BenchStack) -> AsyncIterator[Figure]:
    """One account's 100,000, fed while OTPs are sent by the clock; then another account's ten beside them."""
    async with stack.rooms("sandbox", *SERVICES):
        await stack.script({"latency_ms": 0, "dlr": {"enabled": False}})
        big, otps, small = [await stack.account(name) for name in ("Big", "OTPs", "Small")]
        async with stack.sql() as db:
            large = await kit.add_many(db, UUID(big.account_id), 0, RECIPIENTS)
            ten = await kit.add_many(db, UUID(small.account_id), 1_000_000, SMALL)
        alone = await _otps(stack, otps, 3.0)
        started = time.perf_counter()
        campaign = await _submit(stack, big, large)
        submitted = time.perf_counter() - started
        yield Figure(f"submission of {RECIPIENTS:,} recipients", submitted, "s", None)
        await stack.until(f"SELECT expanded > 0 FROM core.campaigns WHERE id = '{campaign}'", True, 30.0)
        spent = Cost(stack)
        begun = time.perf_counter()
        before = await _expanded(stack, campaign)
        drive = asyncio.create_task(_otps(stack, otps, SECONDS))
        await asyncio.sleep(SECONDS / 3)
        at = time.perf_counter()
        second = await _submit(stack, small, ten)
        await stack.until(SQL_STATUS, "completed", 60.0, second)
        took = time.perf_counter() - at
        answers = await drive
        made = await _expanded(stack, campaign) - before
        rate = made / (time.perf_counter() - begun)
        cost = spent.each(max(made, 1))
        async with stack.sql() as db:
            await asyncio.sleep(1.0)  # the last OTPs are submitted
            ways = [row[0] for row in await db.fetch(SQL_OTPS, UUID(otps.account_id))][
                -round(OTP_RATE * SECONDS) :
            ]
    note = f"{made:,} in {SECONDS:g} s, everything running, the lane kept short"
    yield Figure("campaign fed and worked off", rate, "messages/s", 4000, note=note, cost=cost)
    yield Figure(
        *(f"OTP under it, {OTP_RATE}/s, accepted → submitted, p99", percentile(ways, 99), "ms", 500, True),
        *("POST → 202 without it, p99", alone.percentile(99)),
        note=f"p50 {percentile(ways, 50):.0f} ms; POST → 202 p99 {answers.percentile(99):.0f} ms",
    )
    yield Figure(f"another account's {SMALL}, submission to the last submit", took, "s", 5, True)


async def _submit(stack: BenchStack, account: Account, list_id: UUID) -> UUID:
    headers = {"Authorization": f"Bearer {account.key}"}
    body = {
        "name": "Bench",
        "contact_list_id": str(list_id),
        "from": "SEMALINK",
        "message": "Karibu sana {{name}}",
    }
    async with httpx.AsyncClient(base_url=stack.layout.http("main-api"), headers=headers, timeout=60) as api:
        answer: dict[str, Any] = (await api.post("/v1/campaigns", json=body)).raise_for_status().json()
    return UUID(answer["id"])


async def _expanded(stack: BenchStack, campaign: UUID) -> int:
    async with stack.sql() as db:
        found: int = await db.fetchval(SQL_EXPANDED, campaign)
    return found


async def _otps(stack: BenchStack, account: Account, seconds: float) -> Answers:
    def send(n: int) -> bytes:
        body = {
            "to": f"+25472{2000000 + n}",
            "from": "SEMALINK",
            "body": f"Your code is {time.time_ns() % 1_000_000:06}.",
            "lane": "priority",
        }
        return post("/v1/messages", json.dumps(body).encode(), {"Authorization": f"Bearer {account.key}"})

    async with OpenLoop("127.0.0.1", stack.layout.port("main-api")) as loop:
        return await loop.run(OTP_RATE, seconds, send, lambda _: None)
