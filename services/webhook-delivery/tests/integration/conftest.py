"""The whole room on real stores, with a real receiver in front of it."""

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from sema_common.platform.bus import Bus
from sema_common.platform.db import Database
from sema_common.platform.ops import Readiness
from sema_common.platform.runtime import Room
from sema_common.platform.secrets import SecretBox
from sema_common.values.ids import webhook_secret
from sema_common.wire.queues import WEBHOOKS_OUTBOUND
from sema_common.wire.webhook import Fact, Facts
from sema_webhook_delivery.app import open_room
from sema_webhook_delivery.settings import Settings

sys.path.insert(0, str(Path(__file__).parent))

from receiver import Receiver, receiving

KEY = SecretBox.new_key()
FAST = 0.001  # a minute is 60 ms, 24 hours are 86 s


@dataclass
class Customer:
    account_id: UUID = field(default_factory=uuid4)
    default_secret: str = field(default_factory=webhook_secret)

    def fact(self, type_: str = "message.delivered", **more: Any) -> Fact:
        given = {
            "event_id": uuid4(),
            "type": type_,
            "account_id": self.account_id,
            "occurred_at": datetime.now(UTC),
            "data": {"id": "msg_1", "status": "delivered"},
        }
        return Fact.model_validate(given | more)


@dataclass
class World:
    """Stores, a receiver, and what tests do with them. `db` sees everything; the room has its own role."""

    dsn: str
    amqp_url: str
    db: Database
    bus: Bus
    receiver: Receiver
    box: SecretBox

    async def customer(self) -> Customer:
        customer = Customer()
        await self.db.execute(
            "INSERT INTO core.accounts (id, tenant_id, billing_account_id, name, type, tier, currency, webhook_secret) "
            "VALUES ($1, $1, $1, 'Test', 'direct', 'starter', 'KES', $2)",
            customer.account_id,
            self.box.seal(customer.default_secret),
        )
        return customer

    async def endpoint(
        self, customer: Customer, path: str, *events: str, old_secret: str | None = None, **columns: Any
    ) -> tuple[UUID, str]:
        id_, secret = uuid4(), webhook_secret()
        await self.db.execute(
            "INSERT INTO webhooks.endpoints (id, tenant_id, account_id, url, events, secret, old_secret, "
            "old_secret_until, failing_since) VALUES ($1, $2, $2, $3, $4, $5, $6, now() + interval '1 hour', $7)",
            id_,
            customer.account_id,
            self.receiver.url + path,
            list(events) or ["message.delivered"],
            self.box.seal(secret),
            self.box.seal(old_secret) if old_secret else None,
            columns.get("failing_since"),
        )
        return id_, secret

    async def publish(self, *facts: Fact) -> None:
        await self.bus.publish(WEBHOOKS_OUTBOUND, Facts(facts=facts), event_id=uuid4())

    async def deliveries(self) -> list[dict[str, Any]]:
        rows = await self.db.fetch("SELECT * FROM webhooks.deliveries ORDER BY created_at, id")
        return [dict(row.items()) for row in rows]

    async def attempts(self) -> list[dict[str, Any]]:
        rows = await self.db.fetch(
            "SELECT * FROM webhooks.webhook_delivery_attempts ORDER BY delivery_id, attempt"
        )
        return [dict(row.items()) for row in rows]

    def settings(self, **changes: Any) -> Settings:
        given = {
            "environment": "test",
            "database_url": self.dsn,
            "amqp_url": self.amqp_url,
            "secrets_keys": KEY,
            "webhooks_allow_loopback": True,
            "retry_scale": FAST,
        }
        return Settings.model_validate(given | changes)

    @asynccontextmanager
    async def room(self, **changes: Any) -> AsyncIterator[Room]:
        """The room, open; leaving it is a SIGTERM."""
        settings = self.settings(**changes)
        readiness = Readiness()
        room = Room("webhook-delivery", settings, readiness)
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(readiness.running())
            await open_room(room, settings)
            try:
                yield room
            finally:
                # what hangs is let go once the room has begun to stop
                asyncio.get_running_loop().call_later(0.3, self.receiver.released.set)
                assert await room.close(time.monotonic() + 20) == []


@pytest.fixture
async def world(database: Any, vhost: str) -> AsyncIterator[World]:
    async with (
        Database.open(database.owner_dsn, name="witness") as db,
        Bus.open(vhost, name="tests") as bus,
        receiving() as receiver,
    ):
        yield World(database.dsn("webhook_delivery_pipeline"), vhost, db, bus, receiver, SecretBox(KEY))


async def until(check: Callable[[], Awaitable[bool]], within: float = 15.0) -> None:
    """Poll with a deadline."""
    async with asyncio.timeout(within):
        while not await check():  # noqa: ASYNC110 - the database cannot wake us
            await asyncio.sleep(0.02)


@pytest.fixture
def eventually() -> Callable[..., Awaitable[None]]:
    return until
