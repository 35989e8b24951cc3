"""The relay and the sweep between a real Postgres and a real RabbitMQ."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import UUID

import asyncpg
import pytest

from sema_common.messages.store import publishing
from sema_common.messages.store.accepting import NewMessage, insert_messages
from sema_common.messages.store.attempts import Claim, claim
from sema_common.messages.store.outcomes import Sent, record_sent
from sema_common.platform.bus import Bus, Delivery
from sema_common.platform.db import Database
from sema_common.values.clock import now
from sema_common.values.errors import BrokerUnavailable
from sema_common.wire.queues import LANE_QUEUES
from sema_common.wire.sms import SmsJobs
from sema_main_api.messaging import relay as relay_module
from sema_main_api.messaging.relay import Relay
from tests.kit.accounts import Account, Connection, message, open_account
from tests.kit.fixtures import TestDatabase


@pytest.fixture
async def owner(database: TestDatabase) -> AsyncIterator[Connection]:
    connection = await asyncpg.connect(database.owner_dsn)
    yield connection
    await connection.close()


@pytest.fixture
async def db(database: TestDatabase) -> AsyncIterator[Database]:
    async with Database.open(database.dsn("main_api_pipeline"), max_size=4) as opened:
        yield opened


@pytest.fixture
async def bus(vhost: str) -> AsyncIterator[Bus]:
    async with Bus.open(vhost, name="test") as opened:
        yield opened


class Inbox:
    """Collects what arrives on a queue."""

    def __init__(self) -> None:
        self.bundles: list[SmsJobs] = []
        self.arrived = asyncio.Condition()

    async def handle(self, delivery: Delivery[SmsJobs]) -> None:
        async with self.arrived:
            self.bundles.append(delivery.message)
            self.arrived.notify_all()

    @property
    def ids(self) -> list[UUID]:
        return [job.message_id for bundle in self.bundles for job in bundle.jobs]

    async def wait_for(self, count: int) -> None:
        async with asyncio.timeout(10), self.arrived:
            await self.arrived.wait_for(lambda: len(self.ids) >= count)


async def write(db: Database, messages: list[NewMessage]) -> None:
    async with db.transaction() as tx:
        await insert_messages(tx, messages)


async def statuses(owner: Connection) -> dict[UUID, str]:
    return {
        r["message_id"]: r["status"]
        for r in await owner.fetch("SELECT message_id, status FROM orch.sms_messages")
    }


async def events(owner: Connection, message_id: UUID) -> list[str]:
    rows = await owner.fetch(
        "SELECT event_key FROM orch.message_events WHERE message_id = $1 ORDER BY event_key", message_id
    )
    return [row["event_key"] for row in rows]


async def test_normal_jobs_travel_in_bundles_of_20_and_priority_ones_alone(
    db: Database, bus: Bus, owner: Connection
) -> None:
    account = await open_account(owner, "0")
    normal = [message(account) for _ in range(45)]
    priority = [message(account, lane="priority") for _ in range(3)]
    await write(db, normal + priority)
    inbox, otp = Inbox(), Inbox()
    async with (
        bus.consume("sms.normal", [SmsJobs], inbox.handle, prefetch=10),
        bus.consume("sms.priority", [SmsJobs], otp.handle, prefetch=10),
    ):
        async with Relay(db, bus) as relay:
            relay.offer(normal + priority)
        await inbox.wait_for(45)
        await otp.wait_for(3)
    assert [len(bundle) for bundle in inbox.bundles] == [20, 20, 5]
    assert [len(bundle) for bundle in otp.bundles] == [1, 1, 1]
    assert inbox.ids == [m.message_id for m in normal]
    assert set((await statuses(owner)).values()) == {"queued"}
    assert await events(owner, normal[0].message_id) == ["queued", "submitted"]


async def test_what_is_confirmed_waits_for_company_and_is_marked_at_the_latest_when_the_relay_ends(
    db: Database, bus: Bus, owner: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay_module, "MARK_SECONDS", 3600)
    account = await open_account(owner, "0")
    messages = [message(account) for _ in range(3)]
    await write(db, messages)
    inbox = Inbox()
    async with bus.consume("sms.normal", [SmsJobs], inbox.handle, prefetch=10), Relay(db, bus) as relay:
        for n, one in enumerate(messages):
            relay.offer([one])
            await inbox.wait_for(n + 1)
        assert set((await statuses(owner)).values()) == {"submitted"}
    assert set((await statuses(owner)).values()) == {"queued"}
    assert len({row["xmin"] for row in await owner.fetch("SELECT xmin FROM orch.sms_messages")}) == 1


async def test_the_confirm_never_takes_a_status_back(db: Database, owner: Connection) -> None:
    account = await open_account(owner, "0")
    one = message(account)
    await write(db, [one])
    at = now()
    await _send(owner, account, one)
    async with db.transaction() as tx:
        await publishing.mark_queued(tx, [one.message_id], [one.enqueued_at], [one.tenant_id], [at])
    assert await statuses(owner) == {one.message_id: "sent"}
    assert await events(owner, one.message_id) == ["queued", "sent:1", "submitted"]


async def _send(owner: Connection, account: Account, one: NewMessage) -> None:
    """What sms-worker writes when it was quicker than the relay's mark."""
    at = now()
    async with owner.transaction():
        await claim(owner, [Claim(one.message_id, 1, account.tenant_id, "normal", "celcom")], at)  # type: ignore[arg-type]
        await record_sent(owner, [Sent(one.message_id, 1, account.tenant_id, "celcom", "77", at, at)])  # type: ignore[arg-type]


async def test_the_sweep_publishes_what_no_relay_got_to_and_only_that(
    db: Database, bus: Bus, owner: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = await open_account(owner, "0")
    left = [message(account) for _ in range(30)]
    await write(db, left)
    relay = Relay(db, bus)
    assert await relay.sweep() is False, "they are too young: a relay may still be busy with them"
    assert set((await statuses(owner)).values()) == {"submitted"}
    monkeypatch.setattr(relay_module, "SWEEP_AFTER", timedelta(0))
    inbox = Inbox()
    async with bus.consume("sms.normal", [SmsJobs], inbox.handle, prefetch=10):
        await asyncio.gather(relay.sweep(), relay.sweep())
        await inbox.wait_for(30)
    assert sorted(inbox.ids) == sorted(m.message_id for m in left), "two sweeps at once publish nothing twice"
    assert set((await statuses(owner)).values()) == {"queued"}


async def test_what_the_broker_did_not_confirm_stays_submitted(
    db: Database, bus: Bus, owner: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = await open_account(owner, "0")
    one = message(account)
    await write(db, [one])
    monkeypatch.setitem(LANE_QUEUES, "normal", "no.such.queue")
    async with Relay(db, bus) as relay:
        relay.offer([one])
    assert await statuses(owner) == {one.message_id: "submitted"}
    monkeypatch.undo()
    monkeypatch.setattr(relay_module, "SWEEP_AFTER", timedelta(0))
    async with asyncio.timeout(10):  # a missing queue makes the bus connect anew
        while await statuses(owner) == {one.message_id: "submitted"}:
            with contextlib.suppress(BrokerUnavailable):
                await relay.sweep()
    assert await statuses(owner) == {one.message_id: "queued"}


async def test_an_otp_waits_for_no_campaign_that_was_committed_before_it(
    owner: Connection, db: Database, bus: Bus
) -> None:
    account = await open_account(owner, "10")
    relay = Relay(db, bus)
    relay.offer([message(account) for _ in range(3 * relay_module.PUBLISH_AT_ONCE)])
    otp = message(account, lane="priority")
    relay.offer([otp])
    assert relay._next_round()[0] is otp
