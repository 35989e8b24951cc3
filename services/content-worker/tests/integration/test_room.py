"""The whole room against real stores, under its own database role."""

import asyncio
import time
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from sema_common.billing import ledger
from sema_common.messages.campaigns import campaign_object
from sema_common.messages.store.campaigns import read_campaign
from sema_common.platform.bus import Bus, Delivery
from sema_common.platform.cache import Cache
from sema_common.platform.db import Database, Row
from sema_common.platform.ops import Readiness
from sema_common.platform.runtime import Room
from sema_common.values.errors import BrokerUnavailable, Park, RetryLater
from sema_common.values.ids import event_id, new_id
from sema_common.wire.content import ScreenCampaign
from sema_common.wire.queues import SMS_CONTENT
from sema_common.wire.webhook import Fact, Facts
from sema_content_checker import RuleSet, Verdict, check_template
from sema_content_worker.app import open_room
from sema_content_worker.clients import Verdicts, cache_key
from sema_content_worker.handlers import Screener
from sema_content_worker.settings import Settings
from tests.kit import seeds
from tests.kit.fixtures import TestDatabase
from tests.kit.rooms import Shelf, eventually, process

ROLE = "content_worker_pipeline"
CLEAN = "Dear {{name}}, your parcel is ready at our Nairobi shop."
RESERVED = Decimal("12.5000")
BALANCE = Decimal("100.0000")


class Campaigns:
    """Campaigns as main-api would have made them, and what has become of them."""

    def __init__(self, owner: Database) -> None:
        self.owner = owner

    async def submit(self, message: str, status: str = "submitted") -> ScreenCampaign:
        """A campaign with its reservation; the message that main-api would publish."""
        list_, campaign = new_id(), new_id()
        async with self.owner.transaction() as tx:
            account = await seeds.open_account(tx, balance=str(BALANCE - RESERVED))
            await tx.execute(
                "INSERT INTO core.contact_lists (id, tenant_id, account_id, name) VALUES ($1, $2, $2, 'L')",
                *(list_, account),
            )
            await tx.execute(
                """INSERT INTO core.campaigns (id, tenant_id, account_id, billing_account_id, contact_list_id,
                   name, sender, message, status, currency, reserved)
                   VALUES ($1, $2, $2, $2, $3, 'Launch', 'SEMALINK', $4, $5, 'KES', $6)""",
                *(campaign, account, list_, message, status, RESERVED),
            )
        return ScreenCampaign(campaign_id=campaign, account_id=account)

    async def block(self, kind: str, value: str) -> None:
        await self.owner.execute(
            "INSERT INTO core.content_blocklist (kind, value) VALUES ($1, $2)", kind, value
        )

    async def row(self, campaign_id: UUID) -> Row:
        row = await self.owner.fetchrow("SELECT * FROM core.campaigns WHERE id = $1", campaign_id)
        assert row is not None
        return row

    async def screened(self, campaign_id: UUID) -> Row:
        async def is_screened() -> Row | None:
            row = await self.row(campaign_id)
            return row if row["screened_at"] else None

        return await eventually(is_screened)

    async def balance(self, account_id: UUID) -> Decimal:
        async with self.owner.transaction() as tx:
            assert await ledger.find_drift(tx) == {}
            balance = await ledger.read_balance(tx, account_id)
        assert balance is not None
        return balance.balance


@pytest.fixture
async def campaigns(database: TestDatabase) -> AsyncIterator[Campaigns]:
    async with Database.open(database.owner_dsn, name="owner") as owner:
        yield Campaigns(owner)


class Hearer:
    """Hears the facts, as webhook-delivery would."""

    def __init__(self) -> None:
        self.facts: list[Fact] = []

    async def hear(self, delivery: Delivery[Facts]) -> None:
        self.facts += delivery.message.facts

    async def heard(self, count: int) -> list[Fact]:
        async def enough() -> list[Fact] | None:
            return self.facts if len(self.facts) >= count else None

        return await eventually(enough)


@pytest.fixture
async def bus(vhost: str) -> AsyncIterator[Bus]:
    async with Bus.open(vhost, name="test") as bus:
        yield bus


@pytest.fixture
async def hearer(bus: Bus) -> AsyncIterator[Hearer]:
    hearer = Hearer()
    async with bus.consume("webhooks.outbound", [Facts], hearer.hear, prefetch=10):
        yield hearer


@pytest.fixture
async def room(database: TestDatabase, vhost: str, redis_url: str) -> AsyncIterator[Room]:
    settings = Settings(
        environment="test", amqp_url=vhost, database_url=database.dsn(ROLE), redis_url=redis_url
    )
    readiness = Readiness()
    room = Room("content-worker", settings, readiness)
    await open_room(room, settings)
    yield room
    assert await room.close(time.monotonic() + 10) == []
    readiness.clear()


async def publish(bus: Bus, message: ScreenCampaign, times: int = 1) -> None:
    for _ in range(times):
        await bus.publish(SMS_CONTENT, message, event_id=event_id(message.campaign_id))


@pytest.mark.usefixtures("room")
@pytest.mark.parametrize("status", ["submitted", "pending_content_check"])
async def test_a_clean_template_is_approved_and_keeps_its_reservation(
    campaigns: Campaigns, bus: Bus, status: str
) -> None:
    message = await campaigns.submit(CLEAN, status)
    await publish(bus, message)
    row = await campaigns.screened(message.campaign_id)
    assert (row["status"], row["rejection_reasons"], row["reserved"]) == ("approved", None, RESERVED)
    assert await campaigns.balance(message.account_id) == BALANCE - RESERVED


@pytest.mark.usefixtures("room")
async def test_a_blocked_template_is_rejected_with_reasons_its_credit_back_and_its_owner_told(
    campaigns: Campaigns, bus: Bus, hearer: Hearer
) -> None:
    await campaigns.block("word", "forbidden")
    message = await campaigns.submit("Buy the FOR\u200bBIDDEN thing, {{name}}")
    await publish(bus, message)
    row = await campaigns.screened(message.campaign_id)
    assert (row["status"], row["reserved"]) == ("rejected", 0)
    assert [reason["check"] for reason in row["rejection_reasons"]] == ["blocklist"]
    assert await campaigns.balance(message.account_id) == BALANCE
    (fact,) = await hearer.heard(1)
    assert (fact.type, fact.account_id) == ("campaign.rejected", message.account_id)
    assert fact.data["rejection_reasons"] == row["rejection_reasons"]
    async with campaigns.owner.transaction() as tx:
        stored = await read_campaign(tx, message.campaign_id)
    assert stored is not None
    assert fact.data == campaign_object(stored, {})  # the whole object, as GET shows it
    assert fact.occurred_at == row["screened_at"]


@pytest.mark.usefixtures("room")
async def test_a_repeat_publishes_again_but_does_nothing_again(
    campaigns: Campaigns, bus: Bus, hearer: Hearer
) -> None:
    await campaigns.block("word", "forbidden")
    message = await campaigns.submit("forbidden")
    await publish(bus, message, times=4)
    facts = await hearer.heard(4)
    assert len({fact.event_id for fact in facts}) == 1
    assert len({fact.occurred_at for fact in facts}) == 1
    assert await campaigns.balance(message.account_id) == BALANCE


def delivery(message: ScreenCampaign) -> Delivery[ScreenCampaign]:
    return Delivery(message=message, event_id=event_id(message.campaign_id), queue=SMS_CONTENT)


@pytest.fixture
def shelf() -> Shelf[Facts]:
    return Shelf("webhooks.outbound")


@pytest.fixture
async def cache(redis_url: str) -> AsyncIterator[Cache]:
    async with Cache.open(redis_url) as cache:
        yield cache


@pytest.fixture
async def screener(database: TestDatabase, shelf: Shelf[Facts], cache: Cache) -> AsyncIterator[Screener]:
    async with Database.open(database.dsn(ROLE), name="test") as db:
        yield Screener(db, shelf, Verdicts(cache))  # type: ignore[arg-type]  # publish is all that it calls


async def test_a_verdict_whose_publish_failed_is_told_by_the_next_delivery(
    campaigns: Campaigns, screener: Screener, shelf: Shelf[Facts]
) -> None:
    await campaigns.block("word", "forbidden")
    message = await campaigns.submit("forbidden")
    shelf.away = True
    with pytest.raises(BrokerUnavailable):
        await screener.handle(delivery(message))
    assert (await campaigns.row(message.campaign_id))["status"] == "rejected"
    shelf.away = False
    await screener.handle(delivery(message))
    assert len(shelf.published) == 1
    assert await campaigns.balance(message.account_id) == BALANCE


@pytest.mark.parametrize("status", ["approved", "scheduled", "sending", "cancelled", "completed"])
async def test_a_campaign_that_waits_for_no_verdict_is_left_alone(
    campaigns: Campaigns, screener: Screener, shelf: Shelf[Facts], status: str
) -> None:
    await campaigns.block("word", "forbidden")
    message = await campaigns.submit("forbidden", status)
    await screener.handle(delivery(message))
    row = await campaigns.row(message.campaign_id)
    assert (row["status"], row["reserved"], row["screened_at"]) == (status, RESERVED, None)
    assert not shelf.published


async def test_a_cancellation_that_was_quicker_wins(
    campaigns: Campaigns, screener: Screener, shelf: Shelf[Facts], monkeypatch: pytest.MonkeyPatch
) -> None:
    await campaigns.block("word", "forbidden")
    message = await campaigns.submit("forbidden")
    judge = screener._judge

    async def cancelled_meanwhile(campaign: Any) -> Any:
        await campaigns.owner.execute(
            "UPDATE core.campaigns SET status = 'cancelled', reserved = 0 WHERE id = $1", message.campaign_id
        )
        return await judge(campaign)

    monkeypatch.setattr(screener, "_judge", cancelled_meanwhile)
    await screener.handle(delivery(message))
    assert (await campaigns.row(message.campaign_id))["status"] == "cancelled"
    assert await campaigns.balance(message.account_id) == BALANCE - RESERVED
    assert not shelf.published


async def test_many_deliveries_at_once_release_the_reservation_once(
    campaigns: Campaigns, screener: Screener
) -> None:
    await campaigns.block("word", "forbidden")
    message = await campaigns.submit("forbidden")
    await asyncio.gather(*(screener.handle(delivery(message)) for _ in range(8)))
    assert await campaigns.balance(message.account_id) == BALANCE


async def test_a_new_rule_is_in_force_and_a_broken_one_changes_nothing(
    campaigns: Campaigns, screener: Screener
) -> None:
    async def verdict() -> str:
        message = await campaigns.submit("forbidden")
        await screener.handle(delivery(message))
        status: str = (await campaigns.row(message.campaign_id))["status"]
        return status

    assert await verdict() == "approved"
    await campaigns.block("word", "forbidden")
    assert await verdict() == "rejected"
    await campaigns.block("pattern", "(unclosed")
    assert await verdict() == "rejected"


async def test_a_template_is_judged_without_its_fields_and_a_pulled_apart_word_around_one_is_found(
    campaigns: Campaigns, screener: Screener
) -> None:
    await campaigns.block("word", "forbidden")

    async def verdict(text: str) -> str:
        message = await campaigns.submit(text)
        await screener.handle(delivery(message))
        status: str = (await campaigns.row(message.campaign_id))["status"]
        return status

    assert await verdict("Dear {{name}}, your {{forbidden}} is KES{{amount}}") == "approved"
    assert await verdict("Dear {{name}}, for{{empty}}bidden") == "rejected"


async def test_a_verdict_is_kept_for_a_day_under_the_version_of_the_rules(
    campaigns: Campaigns, screener: Screener, cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    await campaigns.block("word", "forbidden")
    judged: list[str] = []

    def judge(text: str, ruleset: RuleSet) -> Verdict:
        judged.append(ruleset.version)
        return check_template(text, ruleset)

    monkeypatch.setattr("sema_content_worker.handlers.check_template", judge)

    async def reasons() -> Any:
        message = await campaigns.submit("a forbidden text")
        await screener.handle(delivery(message))
        return (await campaigns.row(message.campaign_id))["rejection_reasons"]

    assert await reasons() == await reasons() != []
    assert len(judged) == 1
    left = await cache.call(lambda r: r.ttl(cache_key(judged[0], "a forbidden text")))
    assert 86_300 < left <= 86_400
    await campaigns.owner.execute("DELETE FROM core.content_blocklist WHERE value = 'forbidden'")
    assert await reasons() is None
    assert judged == [judged[0], str(int(judged[0]) + 1)]


async def test_without_redis_a_campaign_is_judged_all_the_same(
    campaigns: Campaigns, database: TestDatabase, shelf: Shelf[Facts]
) -> None:
    async with (
        Database.open(database.dsn(ROLE), name="test") as db,
        Cache.open("redis://127.0.0.1:1/0") as away,
    ):
        message = await campaigns.submit(CLEAN)
        await Screener(db, shelf, Verdicts(away)).handle(delivery(message))  # type: ignore[arg-type]
    assert (await campaigns.row(message.campaign_id))["status"] == "approved"


async def test_nothing_is_approved_while_no_rules_could_ever_be_compiled(
    campaigns: Campaigns, screener: Screener
) -> None:
    await campaigns.block("pattern", "(unclosed")
    message = await campaigns.submit(CLEAN)
    with pytest.raises(RetryLater):
        await screener.handle(delivery(message))
    assert (await campaigns.row(message.campaign_id))["status"] == "submitted"


async def test_a_campaign_of_another_account_does_not_exist(campaigns: Campaigns, screener: Screener) -> None:
    message = await campaigns.submit(CLEAN)
    with pytest.raises(Park, match="unknown_campaign"):
        await screener.handle(delivery(message.model_copy(update={"account_id": new_id()})))


@pytest.mark.usefixtures("room")
async def test_what_cannot_be_judged_is_kept_for_staff_with_its_reason(
    campaigns: Campaigns, bus: Bus
) -> None:
    await publish(bus, ScreenCampaign(campaign_id=new_id(), account_id=new_id()))
    await bus.publish_raw(SMS_CONTENT, b"{", type=ScreenCampaign.TYPE, version=1, event_id=new_id())
    await bus.publish_raw(SMS_CONTENT, b"{}", type="content.other", version=1, event_id=new_id())

    async def all_kept() -> Row | None:
        return await campaigns.owner.fetchrow(
            "SELECT array_agg(reason ORDER BY reason) AS reasons FROM core.dead_letters HAVING count(*) = 3"
        )

    kept = await eventually(all_kept)
    assert [reason.split()[0] for reason in kept["reasons"]] == ["malformed", "unknown", "unknown_campaign"]
    message = await campaigns.submit(CLEAN)
    await publish(bus, message)
    assert (await campaigns.screened(message.campaign_id))["status"] == "approved"


async def test_sigterm_ends_it_cleanly_and_nothing_is_lost(
    campaigns: Campaigns, bus: Bus, database: TestDatabase, vhost: str, redis_url: str
) -> None:
    settings = Settings(
        environment="test", amqp_url=vhost, database_url=database.dsn(ROLE), redis_url=redis_url
    )
    urls = {
        "AMQP_URL": settings.amqp_url,
        "DATABASE_URL": settings.database_url,
        "REDIS_URL": settings.redis_url,
    }
    messages = [await campaigns.submit(f"{CLEAN} {number}") for number in range(40)]
    async with process("sema_content_worker", **urls) as end:
        for message in messages:
            await publish(bus, message)
        await campaigns.screened(messages[0].campaign_id)
        assert b"parcel" not in await end()
    readiness = Readiness()
    room = Room("content-worker", settings, readiness)
    await open_room(room, settings)
    rows = [await campaigns.screened(message.campaign_id) for message in messages]
    assert {row["status"] for row in rows} == {"approved"}
    assert await room.close(time.monotonic() + 10) == []
    readiness.clear()
