"""The whole room against real stores, under its own database role, in front of an aggregator that does as told."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from typing import Any, TypeVar
from uuid import UUID

import pytest
from aiohttp import web

from sema_common.billing import ledger
from sema_common.billing.ledger import Charge
from sema_common.messages.store.accepting import NewMessage, insert_messages
from sema_common.messages.store.attempts import Claim, claim
from sema_common.platform.bus import Bus, Delivery
from sema_common.platform.db import Database, Row
from sema_common.platform.ops import Readiness
from sema_common.platform.runtime import Room
from sema_common.values.clock import now
from sema_common.values.errors import RetryLater
from sema_common.values.ids import event_id, id_time, new_id
from sema_common.wire.dlr import RawDlr, RawDlrs
from sema_common.wire.sms import Lane, SmsJob, SmsJobs
from sema_common.wire.webhook import Fact, Facts
from sema_sms_worker.app import open_room
from sema_sms_worker.settings import Settings
from tests.kit.fixtures import TestDatabase

T = TypeVar("T")
COST = Decimal("0.8000")
OPENING = Decimal("100.0000")


async def eventually(look: Callable[[], Awaitable[T | None]], seconds: float = 60) -> T:
    """What `look` finds, once it finds something true. A store that is slow to answer has not answered yet."""
    async with asyncio.timeout(seconds):
        while True:
            with contextlib.suppress(RetryLater):
                if found := await look():
                    return found
            await asyncio.sleep(0.02)


@dataclass
class Call:
    """One request to the aggregator."""

    texts: list[str]
    recipients: list[str]


Script = Callable[[dict[str, Any]], dict[str, Any]]


def accept(item: dict[str, Any]) -> dict[str, Any]:
    return {
        "respose-code": 200,
        "response-description": "Success",
        "mobile": item["mobile"],
        "messageid": f"id-{item['message']}",
        "clientsmsid": item["clientsmsid"],
        "networkid": "1",
    }


def answer(code: int) -> Script:
    return lambda item: {"respose-code": code, "mobile": item["mobile"], "clientsmsid": item["clientsmsid"]}


@dataclass
class Aggregator:
    """Celcom's `sendbulk`. `scripts` decides by recipient, `status` for whole calls."""

    port: int
    calls: list[Call] = field(default_factory=list)
    scripts: dict[str, list[Script]] = field(default_factory=dict)
    failures: list[web.Response] = field(default_factory=list)
    reset: bool = False

    async def handle(self, request: web.Request) -> web.StreamResponse:
        asked = await request.json()
        assert asked["count"] == len(asked["smslist"])
        items = asked["smslist"]
        assert all(item["apikey"] == "key" and item["partnerID"] == "36" for item in items)
        self.calls.append(Call([i["message"] for i in items], [i["mobile"] for i in items]))
        if self.reset:
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        if self.failures:
            return self.failures.pop(0)
        return web.json_response({"responses": [self._next(item)(item) for item in items]})

    def _next(self, item: dict[str, Any]) -> Script:
        scripts = self.scripts.get("+" + item["mobile"])
        if not scripts:
            return accept
        return scripts.pop(0) if len(scripts) > 1 else scripts[0]

    @property
    def texts(self) -> list[str]:
        return [text for call in self.calls for text in call.texts]

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        app = web.Application()
        app.router.add_post("/api/services/sendbulk/", self.handle)
        app.router.add_post("/version1/messaging", self.handle)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", self.port, reuse_address=True)
        await site.start()
        if self.port == 0:
            self.port = runner.addresses[0][1]
        yield
        await runner.cleanup()


@dataclass
class Second(Aggregator):
    """Africa's Talking: a text to a number, by form."""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        asked = await request.post()
        assert request.headers["apikey"] == "key-2"
        to, text = str(asked["to"]), str(asked["message"])
        self.calls.append(Call([text], [to.removeprefix("+")]))
        if self.failures:
            return self.failures.pop(0)
        recipient = {"statusCode": 101, "number": to, "status": "Success", "messageId": f"ATPid_{text}"}
        return web.json_response({"SMSMessageData": {"Message": "", "Recipients": [recipient]}}, status=201)


@dataclass
class World:
    """Messages as main-api would have accepted them, and what became of them."""

    owner: Database
    pipeline: Database
    bus: Bus
    account: UUID
    facts: list[Fact] = field(default_factory=list)
    reports: list[RawDlr] = field(default_factory=list)

    async def accept(
        self,
        count: int = 1,
        *,
        lane: Lane = "normal",
        to: str | Sequence[str] | None = None,
        valid_for: float = 3600,
        test: bool = False,
        encoding: str = "GSM-7",
        mno: str = "Safaricom",
    ) -> list[SmsJob]:
        """Charged, stored and queued messages; their jobs are not published."""
        messages = []
        for i in range(count):
            message_id = new_id()
            recipient = to if isinstance(to, str) else to[i] if to else f"+2547120{i:05d}"
            messages.append(
                NewMessage(
                    message_id=message_id,
                    enqueued_at=id_time(message_id),
                    tenant_id=self.account,
                    account_id=self.account,
                    billing_account_id=self.account,
                    to=recipient,
                    sender="SEMALINK",
                    body=f"text {message_id}",
                    kind="SMS",
                    lane=lane,
                    test=test,
                    encoding=encoding,
                    segments=1,
                    cost=COST,
                    currency="KES",
                    country="KE",
                    mno=mno,
                    idempotency_hash=None,
                    metadata={"order": "7"},
                    callback_url=None,
                    traceparent="00-" + f"{message_id.int:032x}" + "-00000000000000ff-00",
                    valid_until=now() + timedelta(seconds=valid_for),
                )
            )
        async with self.owner.transaction(30) as tx:
            balance = await ledger.lock_balances(tx, [self.account])
            left = balance[self.account].balance
            await insert_messages(tx, messages)
            await ledger.charge(
                tx,
                [
                    Charge(self.account, self.account, m.message_id, COST, left - COST * (i + 1))
                    for i, m in enumerate(messages)
                ],
            )
            await tx.execute(
                "UPDATE orch.sms_messages SET status = 'queued', queued_at = enqueued_at WHERE status = 'submitted'"
            )
        return [m.job(m.enqueued_at) for m in messages]

    async def publish(self, *bundles: Sequence[SmsJob]) -> None:
        for bundle in bundles:
            await self.bus.publish(
                f"sms.{bundle[0].lane}",
                SmsJobs(jobs=tuple(bundle)),
                event_id=event_id(*(job.message_id for job in bundle)),
            )

    async def claimed_by_a_dead_worker(self, job: SmsJob, *, seconds_ago: float = 61) -> None:
        async with self.owner.transaction() as tx:
            await claim(
                tx,
                [
                    Claim(
                        job.message_id, job.attempt, job.tenant_id, job.lane, "test" if job.test else "celcom"
                    )
                ],
                now() + timedelta(seconds=60 - seconds_ago),
            )
            await tx.execute(
                "UPDATE orch.submit_attempts SET claimed_at = now() - make_interval(secs => $2) WHERE message_id = $1",
                job.message_id,
                seconds_ago,
            )

    async def message(self, job: SmsJob) -> Row:
        row = await self.owner.fetchrow(
            "SELECT * FROM orch.sms_messages WHERE message_id = $1", job.message_id
        )
        assert row is not None
        return row

    async def attempts(self, job: SmsJob) -> list[Row]:
        return await self.owner.fetch(
            "SELECT * FROM orch.submit_attempts WHERE message_id = $1 ORDER BY attempt", job.message_id
        )

    async def route(self, job: SmsJob, event: str = "sent:1") -> Any:
        """What an event says of the way that was chosen."""
        found = await self.owner.fetchval(
            "SELECT detail FROM orch.message_events WHERE message_id = $1 AND event_key = $2",
            job.message_id,
            event,
        )
        return found["route"]

    async def events(self, job: SmsJob) -> list[str]:
        """The history by its keys, what came before the worker left out."""
        rows = await self.owner.fetch(
            "SELECT event_key FROM orch.message_events WHERE message_id = $1 AND source = 'sms-worker' "
            "ORDER BY occurred_at, event_key",
            job.message_id,
        )
        return [row["event_key"] for row in rows]

    async def reached(self, jobs: Sequence[SmsJob], status: str) -> list[Row]:
        """The messages, once all have this status."""

        async def look() -> list[Row] | None:
            rows = [await self.message(job) for job in jobs]
            return rows if all(row["status"] == status for row in rows) else None

        return await eventually(look)

    async def told(self, job: SmsJob, kind: str, times: int = 1) -> list[Fact]:
        """The facts of this kind about a message, once there are so many."""

        async def look() -> list[Fact] | None:
            found = [f for f in self.facts if f.message_id == job.message_id and f.type == kind]
            return found if len(found) >= times else None

        return await eventually(look)

    async def balance(self) -> Decimal:
        """The balance, after checking that it is the sum of its entries."""
        async with self.owner.transaction() as tx:
            assert await ledger.find_drift(tx) == {}
            found = await ledger.read_balance(tx, self.account)
        assert found is not None
        return found.balance

    async def refunds(self, job: SmsJob) -> int:
        found: int = await self.owner.fetchval(
            "SELECT count(*) FROM billing.credit_ledger WHERE reference = $1 AND kind = 'refund'",
            job.message_id,
        )
        return found

    async def idle(self) -> None:
        """Wait until no attempt is claimed: what was taken has an outcome or was given back."""

        async def look() -> bool:
            claimed: int = await self.owner.fetchval(
                "SELECT count(*) FROM orch.submit_attempts WHERE state = 'claimed'"
            )
            return claimed == 0

        await eventually(look)


@pytest.fixture
async def world(database: TestDatabase, vhost: str) -> AsyncIterator[World]:
    async with (
        Database.open(database.owner_dsn, name="owner") as owner,
        Database.open(database.dsn("sms_worker_pipeline"), name="pipeline") as pipeline,
        Bus.open(vhost, name="test") as bus,
    ):
        account = new_id()
        async with owner.transaction(30) as tx:
            await tx.execute(
                """INSERT INTO core.accounts (id, tenant_id, billing_account_id, name, type, tier, currency,
                   webhook_secret) VALUES ($1, $1, $1, 'A', 'direct', 'starter', 'KES', '')""",
                account,
            )
            await ledger.open_balance(tx, account, account, "KES")
            await ledger.adjust(tx, account, OPENING, new_id(), "opening")
        world = World(owner, pipeline, bus, account)

        async def facts(delivery: Delivery[Facts]) -> None:
            world.facts.extend(delivery.message.facts)

        async def reports(delivery: Delivery[RawDlrs]) -> None:
            world.reports.extend(delivery.message.reports)

        async with (
            bus.consume("webhooks.outbound", [Facts], facts, prefetch=10),
            bus.consume("dlr.inbound", [RawDlrs], reports, prefetch=10),
        ):
            yield world


@pytest.fixture
async def aggregator() -> AsyncIterator[Aggregator]:
    aggregator = Aggregator(0)
    async with aggregator.serving():
        yield aggregator


@pytest.fixture
async def second() -> AsyncIterator[Second]:
    second = Second(0)
    async with second.serving():
        yield second


def also(second: Second) -> dict[str, object]:
    """The settings of a room with a second aggregator."""
    return {
        "africastalking_base_url": f"http://127.0.0.1:{second.port}",
        "africastalking_username": "sema",
        "africastalking_api_key": "key-2",
    }


OpenRoom = Callable[..., Any]


@pytest.fixture
def opening(database: TestDatabase, vhost: str, redis_url: str, aggregator: Aggregator) -> OpenRoom:
    """A room as its own context, in front of the aggregator; keyword arguments are settings."""

    @asynccontextmanager
    async def opened(**changes: object) -> AsyncIterator[Room]:
        settings = Settings.model_validate(
            {
                "environment": "test",
                "amqp_url": vhost,
                "database_url": database.dsn("sms_worker_pipeline"),
                "celcom_base_url": f"http://127.0.0.1:{aggregator.port}",
                "celcom_api_key": "key",
                "celcom_partner_id": "36",
                "retry_first_seconds": 0.05,
                "in_doubt_hold_seconds": 0.3,
                "sweep_seconds": 0.05,
                "redis_url": redis_url,
                "route_rest_first_seconds": 0.05,
                "route_rest_longest_seconds": 0.2,
                "route_exchange_seconds": 0.05,
                "pause_first_seconds": 0.1,
                "pause_longest_seconds": 0.2,
            }
            | changes
        )
        room = Room("sms-worker", settings, Readiness())
        await open_room(room, settings)
        try:
            yield room
        finally:
            assert await room.close(time.monotonic() + 60) == []

    return opened


@pytest.fixture
async def room(opening: OpenRoom) -> AsyncIterator[Room]:
    async with opening() as room:
        yield room
