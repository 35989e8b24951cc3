"""A message's whole way through all the rooms: from the 202 to the customer's webhook that says `delivered`."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Final

import httpx

from deploy.local.services import SERVICES
from tests.bench.figures import Figure
from tests.bench.open_loop import Answers, OpenLoop, percentile, post
from tests.bench.stack import Account, BenchStack, Cost

RATE: Final = 300
WARM_UP: Final = 3
SECONDS: Final = 20
PATIENCE: Final = 60.0
TARGET_MS: Final = 2000

SQL_LEFT: Final = """
SELECT status AS what, count(*) FROM orch.sms_messages WHERE account_id = $1 GROUP BY status
UNION ALL
SELECT 'webhooks ' || state, count(*) FROM webhooks.deliveries WHERE account_id = $1 GROUP BY state
"""


@dataclass
class Customer:
    """When each message was answered and when its webhook came, by the same clock."""

    accepted: dict[str, float] = field(default_factory=dict)
    delivered: dict[str, float] = field(default_factory=dict)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def answered(self, body: bytes) -> None:
        self.accepted[json.loads(body)["id"]] = time.perf_counter()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One kept-alive connection; whatever comes is taken."""
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                length = int(head.split(b"\r\ncontent-length:", 1)[1].split(b"\r\n", 1)[0])
                fact = json.loads(await reader.readexactly(length))
                writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
                if fact["type"] == "message.delivered":
                    self.delivered.setdefault(fact["data"]["id"], time.perf_counter())
                    self.changed.set()
        except (OSError, EOFError):
            writer.close()

    async def all_delivered(self) -> None:
        """Returns when every message that was accepted so far has its webhook."""
        while self.accepted.keys() - self.delivered.keys():
            self.changed.clear()
            await self.changed.wait()

    @property
    def milliseconds(self) -> list[float]:
        """Of every message that made it; a webhook that overtook the answer counts as 0."""
        return [
            max(0.0, self.delivered[one] - at) * 1000
            for one, at in self.accepted.items()
            if one in self.delivered
        ]


async def whole_way(stack: BenchStack) -> AsyncIterator[Figure]:
    """300 sends a second by the clock, reports without delay, a customer who subscribed to sent and delivered."""
    async with stack.rooms("sandbox", *SERVICES):
        await stack.script({"latency_ms": 0, "dlr": {"enabled": True, "delay_ms": 0}})
        account = await stack.account("Journey")
        customer = Customer()
        async with _listening(stack, account, customer):
            await _drive(stack, account, customer, WARM_UP)
            customer.accepted.clear()
            spent = Cost(stack)
            answers = await _drive(stack, account, customer, SECONDS)
            cost = spent.each(RATE * SECONDS)
            left = await _left(stack, account)
    ways = customer.milliseconds
    missing = len(customer.accepted) - len(ways)
    note = f"p50 {percentile(ways, 50):.0f} ms, p99 {percentile(ways, 99):.0f} ms; {len(ways):,} messages"
    if missing or answers.failed:
        note += f", {missing} still under way ({left}), {answers.failed} not accepted"
    yield Figure(
        *(f"accepted → webhook at {RATE}/s, p95", percentile(ways, 95), "ms", TARGET_MS, True),
        *("POST → 202, p95", answers.percentile(95), note),
        cost=cost,
    )


async def _left(stack: BenchStack, account: Account) -> str:
    """Where the messages are now, and the webhooks that are owed."""
    async with stack.sql() as connection:
        rows = await connection.fetch(SQL_LEFT, account.account_id)
    return ", ".join(f"{row['what']} {row['count']}" for row in rows)


async def _drive(stack: BenchStack, account: Account, customer: Customer, seconds: float) -> Answers:
    """Send for so long and wait for the last webhook, within reason."""
    async with OpenLoop("127.0.0.1", stack.layout.port("main-api")) as loop:
        answers = await loop.run(RATE, seconds, lambda n: _send(account, n), customer.answered)
    with suppress(TimeoutError):
        async with asyncio.timeout(PATIENCE):
            await customer.all_delivered()
    return answers


@asynccontextmanager
async def _listening(stack: BenchStack, account: Account, customer: Customer) -> AsyncIterator[None]:
    """The customer's receiver, registered while it listens."""
    port = stack.layout.port("webhook-receiver")
    wanted = {"url": f"http://127.0.0.1:{port}/", "events": ["message.sent", "message.delivered"]}
    headers = {"Authorization": f"Bearer {account.key}"}
    async with httpx.AsyncClient(base_url=stack.layout.http("main-api"), headers=headers) as api:
        server = await asyncio.start_server(customer.serve, "127.0.0.1", port)
        endpoint = (await api.post("/v1/webhooks", json=wanted)).raise_for_status().json()
        try:
            yield
        finally:
            await api.delete(f"/v1/webhooks/{endpoint['id']}")
            server.close()


def _send(account: Account, n: int) -> bytes:
    body = {
        "to": f"+25472{1000000 + n}",
        "from": "SEMALINK",
        "body": f"Order {n}/{time.time_ns()} is ready at the counter until six.",
    }
    return post("/v1/messages", json.dumps(body).encode(), {"Authorization": f"Bearer {account.key}"})
