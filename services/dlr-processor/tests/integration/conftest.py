"""What is around the room, and the running room itself, on real Postgres and RabbitMQ under its own database role."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from pydantic_core import to_json

from sema_common.billing import ledger
from sema_common.messages.store.accepting import NewMessage
from sema_common.platform.bus import Bus, Delivery
from sema_common.platform.db import Database
from sema_common.platform.ops import Readiness
from sema_common.platform.runtime import Room
from sema_common.values.clock import now
from sema_common.values.errors import BrokerUnavailable, RetryLater
from sema_common.values.ids import new_id
from sema_common.wire.dlr import RawDlr, RawDlrs
from sema_common.wire.webhook import Fact, Facts
from sema_dlr_processor.app import open_room
from sema_dlr_processor.settings import Settings
from tests.kit.fixtures import TestDatabase
from tests.kit.seeds import accept, new_message, open_account, queue, submit

ROLE = "dlr_processor_pipeline"
NO_REPORT = timedelta(hours=72)


class Told:
    """The facts that were published, in the order of their arrival."""

    def __init__(self) -> None:
        self.facts: list[Fact] = []
        self._arrived = asyncio.Condition()

    async def take(self, delivery: Delivery[Facts]) -> None:
        async with self._arrived:
            self.facts += delivery.message.facts
            self._arrived.notify_all()

    def of(self, message: NewMessage) -> list[str]:
        return [fact.type for fact in self.facts if fact.message_id == message.message_id]

    async def holds(self, count: int) -> None:
        async with asyncio.timeout(60), self._arrived:
            await self._arrived.wait_for(lambda: len(self.facts) >= count)


class House:
    """What is around the room: main-api and sms-worker as far as reports need them."""

    def __init__(self, owner: Database, bus: Bus, told: Told) -> None:
        self.owner = owner
        self.bus = bus
        self.told = told

    async def accepted(
        self, count: int = 1, *, refund_undelivered: bool = False, queued: bool = True
    ) -> list[NewMessage]:
        """Queued messages of a new account with credit for just these."""
        async with self.owner.transaction(30) as tx:
            account = await open_account(tx, balance=str(count), refund_undelivered=refund_undelivered)
            at = now() - timedelta(seconds=10)
            messages = await accept(tx, [new_message(account, at=at) for _ in range(count)])
            if queued:
                await queue(tx, messages, at)
        return messages

    async def sent(self, count: int = 1, *, refund_undelivered: bool = False) -> list[NewMessage]:
        messages = await self.accepted(count, refund_undelivered=refund_undelivered)
        await self.submit(messages)
        return messages

    async def submit(self, messages: Sequence[NewMessage]) -> None:
        async with self.owner.transaction(30) as tx:
            await submit(tx, messages, now() - timedelta(seconds=5))

    async def report(self, *bodies: bytes, aggregator: str = "celcom") -> None:
        """One AMQP message with these reports."""
        await self.publish(raw_dlrs(*bodies, aggregator=aggregator))

    async def publish(self, reports: RawDlrs, event_id: UUID | None = None) -> None:
        await self.bus.publish("dlr.inbound", reports, event_id=event_id or new_id())

    async def status(self, message: NewMessage) -> str:
        status: str = await self.owner.fetchval(
            "SELECT status FROM orch.sms_messages WHERE message_id = $1", message.message_id
        )
        return status

    async def reaches(self, message: NewMessage, status: str) -> None:
        async def look() -> bool:
            return await self.status(message) == status

        await eventually(look)

    async def filed(self, state: str, count: int) -> None:
        """Wait until so many reports are stored in this state."""

        async def look() -> bool:
            found: int = await self.owner.fetchval("SELECT count(*) FROM dlr.dlrs WHERE state = $1", state)
            return found == count

        await eventually(look)

    async def history(self, message: NewMessage) -> list[str]:
        rows = await self.owner.fetch(
            "SELECT event_key FROM orch.message_events WHERE message_id = $1 ORDER BY event_key",
            message.message_id,
        )
        return [row["event_key"] for row in rows]

    async def balance(self, message: NewMessage) -> int:
        async with self.owner.transaction() as tx:
            balance = await ledger.read_balance(tx, message.billing_account_id)
            assert balance is not None
            assert await ledger.find_drift(tx) == {}
            return int(balance.balance)


async def eventually(look: Callable[[], Awaitable[bool]]) -> None:
    """Until `look` says so, for at most a minute. A store that is slow to answer has not answered yet."""
    async with asyncio.timeout(60):
        while True:
            with contextlib.suppress(RetryLater):
                if await look():
                    return
            await asyncio.sleep(0.02)


def says(message: NewMessage, description: str, at: datetime | None = None) -> dict[str, Any]:
    body = {"messageid": f"agg-{message.message_id.hex}", "description": description}
    return body if at is None else {**body, "timestamp": at.isoformat()}


def report_of(message: NewMessage, description: str = "DeliveredToTerminal") -> bytes:
    return to_json(says(message, description))


def raw_dlrs(*bodies: bytes, aggregator: str = "celcom") -> RawDlrs:
    return RawDlrs(
        reports=tuple(
            RawDlr.model_construct(
                aggregator=aggregator, content_type="application/json", body=body, received_at=now()
            )
            for body in bodies
        )
    )


@pytest.fixture
async def bus(vhost: str) -> AsyncIterator[Bus]:
    async with Bus.open(vhost, name="test") as bus:
        yield bus


@pytest.fixture
async def house(database: TestDatabase, bus: Bus) -> AsyncIterator[House]:
    told = Told()
    async with (
        Database.open(database.owner_dsn, name="owner") as owner,
        bus.consume("webhooks.outbound", [Facts], told.take, prefetch=50),
    ):
        yield House(owner, bus, told)


@pytest.fixture
async def room(database: TestDatabase, vhost: str, redis_url: str, house: House) -> AsyncIterator[House]:
    """The running room."""
    settings = Settings(
        environment="test",
        amqp_url=vhost,
        database_url=database.dsn(ROLE),
        redis_url=redis_url,
        batch_seconds=0.05,
    )
    room = Room("dlr-processor", settings, Readiness())
    await open_room(room, settings)
    yield house
    assert await room.close(time.monotonic() + 60) == []


class AwayOnce:
    """A broker that is away for the first publish."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self.asked = 0

    async def publish_many(self, outgoing: Sequence[Any]) -> list[BaseException | None]:
        self.asked += 1
        if self.asked == 1:
            return [BrokerUnavailable("away") for _ in outgoing]
        return await self._bus.publish_many(outgoing)


@pytest.fixture
async def processor(database: TestDatabase) -> AsyncIterator[Database]:
    async with Database.open(database.dsn(ROLE), name="processor") as db:
        yield db


def delivery(reports: RawDlrs, event_id: UUID) -> Delivery[Any]:
    return Delivery(reports, event_id, "dlr.inbound")
