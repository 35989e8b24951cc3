"""A customer with an account of its own on the running stack, and the sandbox's operator."""

import random
import secrets
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import asyncpg
import pytest

from tests.kit.client import Client, Sandbox, eventually, verify
from tests.kit.stack import Stack

EVENTS = ["message.sent", "message.delivered", "message.failed", "message.expired"]

_NUMBERS = count(random.randrange(9_000_000))


@dataclass
class Hook:
    """A webhook of the customer and what its receiver in the sandbox got. `secrets` verify, any of them."""

    id: str
    name: str
    secrets: list[str]
    sandbox: Sandbox

    async def events(self) -> list[dict[str, Any]]:
        """Every event received, verified: a wrong signature is an error, not a gap."""
        return [verify(receipt, self.secrets[-1]) for receipt in await self.sandbox.received(self.name)]

    async def gets(self, type_: str, message_id: str, seconds: float = 20.0) -> dict[str, Any]:
        """The event of this type about this message, as soon as it was received."""

        async def look() -> dict[str, Any]:
            events = await self.events()
            found = [e for e in events if e["type"] == type_ and e["data"]["id"] == message_id]
            assert found, [e["type"] for e in events]
            return found[0]

        return await eventually(look, seconds)


@dataclass
class Shop:
    """A customer. `api` acts with its live key, `rehearsal` with its test key."""

    api: Client
    rehearsal: Client
    live_key: str
    test_key: str
    sandbox: Sandbox
    db: "asyncpg.Connection[asyncpg.Record]"
    since: int
    hooks: list[Hook] = field(default_factory=list)

    async def submits(self) -> list[dict[str, Any]]:
        """What the aggregator took since this customer came."""
        return await self.sandbox.witness(self.since)

    async def hook(self, events: list[str] | None = None) -> Hook:
        """A new webhook with a receiver of its own."""
        name = f"shop-{secrets.token_hex(6)}"
        body = {"url": self.sandbox.hook_url(name), "events": events or EVENTS}
        answer = await self.api.post("/v1/webhooks", body)
        assert answer.status_code == 201, answer.text
        made = answer.json()
        self.hooks.append(Hook(made["id"], name, [made["secret"]], self.sandbox))
        return self.hooks[-1]

    async def ledger(self, message_id: str) -> list[tuple[str, str]]:
        """(kind, amount) of every movement of money about this message, in order."""
        rows = await self.db.fetch(
            "SELECT kind, amount::text FROM billing.credit_ledger WHERE reference = $1::uuid ORDER BY entry_id",
            message_id,
        )
        return [(row["kind"], row["amount"]) for row in rows]

    async def balance(self) -> str:
        amount: str = (await self.api.get("/v1/balance"))["balance"]["amount"]
        return amount


@pytest.fixture
async def sandbox(stack: Stack) -> AsyncIterator[Sandbox]:
    async with Sandbox.open(stack.env["SEMA_SANDBOX_URL"]) as opened:
        yield opened


@pytest.fixture
async def shop(stack: Stack, sandbox: Sandbox) -> AsyncIterator[Shop]:
    """An enterprise customer with KES 10,000."""
    account = await stack.open_account()
    url = stack.env["SEMA_API_URL"]
    db = await asyncpg.connect(stack.env["DATABASE_URL"])
    since = max((entry["seq"] for entry in await sandbox.witness()), default=0)
    async with (
        Client.open(url, account.live_key, account.account_id) as api,
        Client.open(url, account.test_key, account.account_id) as rehearsal,
    ):
        shop = Shop(api, rehearsal, account.live_key, account.test_key, sandbox, db, since)
        yield shop
        for hook in shop.hooks:
            await api.http.delete(f"/v1/webhooks/{hook.id}")
    await db.close()


@pytest.fixture
def number() -> Callable[[], str]:
    """A recipient that no other test uses, and no magic one."""
    return lambda: f"+25472{next(_NUMBERS):07}"


@pytest.fixture
def magic() -> Callable[[int], str]:
    """Magic recipient `n` (see docs/test-mode.md), on a line that no other test uses."""
    return lambda n: f"+25471999{n:04}"
