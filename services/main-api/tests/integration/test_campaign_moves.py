"""Pausing, cancelling, scheduling, taking over: whatever stops a campaign, the rest is exact."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import httpx
import pytest

from sema_common.platform.db import Database
from sema_common.values import quiet_hours
from sema_common.values.ids import new_id
from sema_main_api.accounts.opening import Opened
from sema_main_api.scheduler import feeding
from tests.kit.campaigns import Campaigns, Consumed, contact
from tests.kit.client import eventually

Open = Callable[..., Awaitable[Opened]]
Serve = Callable[..., AbstractAsyncContextManager[httpx.AsyncClient]]

A, B, C = "+254712345671", "+254712345672", "+254712345673"
PRICE = Decimal("0.8000")


async def test_a_cancelled_campaign_gives_back_all_of_it_once(campaigns: Campaigns) -> None:
    campaign_id = await campaigns.submit(await campaigns.add_list(contact(A), contact(B)))
    both = await asyncio.gather(*(campaigns.patch(campaign_id, "cancel") for _ in range(2)))
    assert sorted(answer.status_code for answer in both) == [200, 409]
    assert await campaigns.balance() == 100
    again = await campaigns.patch(campaign_id, "cancel")
    assert (again.status_code, again.json()["code"]) == (409, "not_cancellable")
    await campaigns.approve(campaign_id)  # a verdict that comes too late
    assert (await campaigns.read(campaign_id))["status"] == "cancelled"
    await campaigns.audit()


async def test_a_paused_campaign_stands_still_goes_on_or_is_cancelled_for_its_rest(
    campaigns: Campaigns, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feeding, "CHUNK", 2)
    monkeypatch.setattr(feeding, "SHORT", 1)  # one bundle in the lane is enough
    numbers = [f"+2547123{n:05}" for n in range(9)]
    campaign_id = await campaigns.submit(await campaigns.add_list(*map(contact, numbers)))
    assert (await campaigns.patch(campaign_id, "pause")).json()["code"] == "not_pausable"
    await campaigns.approve(campaign_id)
    first = await campaigns.until(campaign_id, lambda c: c["totals"]["queued"] >= 2)
    assert first["totals"]["waiting"] > 0
    assert (await campaigns.patch(campaign_id, "cancel")).json()["code"] == "not_cancellable"
    assert (await campaigns.patch(campaign_id, "resume")).json()["code"] == "not_resumable"
    paused = (await campaigns.patch(campaign_id, "pause")).json()
    assert paused["status"] == "paused"
    monkeypatch.setattr(feeding, "SHORT", 100)
    resumed = (await campaigns.patch(campaign_id, "resume")).json()
    assert resumed["status"] == "sending"
    done = await campaigns.status(campaign_id, "completed")
    assert done["totals"]["sent"] == 9
    assert (await campaigns.patch(campaign_id, "pause")).status_code == 409

    monkeypatch.setattr(feeding, "SHORT", 0)
    other = await campaigns.submit(await campaigns.add_list(*map(contact, numbers)))
    await campaigns.approve(other)
    await campaigns.status(other, "queued")
    before = await campaigns.balance()
    assert (await campaigns.patch(other, "pause")).status_code == 200
    cancelled = (await campaigns.patch(other, "cancel")).json()
    assert cancelled["status"] == "cancelled"
    assert await campaigns.balance() == before + 9 * PRICE
    await campaigns.audit()


async def test_nothing_is_sent_before_its_time_and_a_scheduled_campaign_can_be_cancelled(
    campaigns: Campaigns, consumed: Consumed
) -> None:
    list_id = await campaigns.add_list(contact(A))
    soon = datetime.now(UTC) + timedelta(hours=1)
    first, second = [await campaigns.submit(list_id, f"text {n}", send_at=soon.isoformat()) for n in range(2)]
    for campaign_id in (first, second):
        await campaigns.approve(campaign_id)
        scheduled = await campaigns.status(campaign_id, "scheduled")
    assert scheduled["send_at"] == soon.isoformat(timespec="milliseconds")[:-6] + "Z"
    assert consumed.jobs == []
    assert (await campaigns.patch(second, "cancel")).json()["status"] == "cancelled"
    assert await campaigns.balance() == 100 - PRICE
    async with campaigns.owner.transaction() as tx:  # time passes
        await tx.execute("UPDATE core.campaigns SET send_at = now() WHERE status = 'scheduled'")
        await tx.execute("NOTIFY campaigns")
    await campaigns.status(first, "completed")
    await consumed.until(lambda: consumed.jobs == [A])
    await campaigns.audit()


async def test_a_campaign_starts_at_its_second_not_at_the_next_poll(campaigns: Campaigns) -> None:
    at = datetime.now(UTC) + timedelta(seconds=2)
    campaign_id = await campaigns.submit(await campaigns.add_list(contact(A)), send_at=at.isoformat())
    await campaigns.approve(campaign_id)
    await campaigns.status(campaign_id, "completed")
    started = await campaigns.owner.fetchval("SELECT enqueued_at FROM orch.sms_messages")
    assert timedelta(0) <= started - at < timedelta(seconds=2)


async def test_two_instances_side_by_side_write_to_everybody_once(
    campaigns: Campaigns, serve: Serve, open_: Open, monkeypatch: pytest.MonkeyPatch, pipeline: Database
) -> None:
    monkeypatch.setattr(feeding, "CHUNK", 7)
    numbers = [f"+2547123{n:05}" for n in range(100)]
    async with serve():
        ids = [
            await campaigns.submit(await campaigns.add_list(*map(contact, numbers[n : n + 60])))
            for n in (0, 40)
        ]
        for campaign_id in ids:
            await campaigns.approve(campaign_id)
        for campaign_id in ids:
            done = await campaigns.status(campaign_id, "completed")
            assert done["totals"]["sent"] == 60
    sent = [m["to_msisdn"] for campaign_id in ids for m in await campaigns.messages(campaign_id)]
    assert sorted(sent) == sorted(numbers[:60] + numbers[40:])
    await campaigns.audit()


async def test_a_campaign_that_another_instance_left_is_taken_over_at_its_cursor(
    campaigns: Campaigns,
) -> None:
    campaign_id = await campaigns.submit(await campaigns.add_list(contact(A), contact(B)))
    await campaigns.owner.execute(
        "UPDATE core.campaigns SET status = 'queued', claimed_by = $1, claimed_until = now() + interval '3 s'",
        new_id(),
    )
    await campaigns.status(campaign_id, "completed")
    assert [m["to_msisdn"] for m in await campaigns.messages(campaign_id)] == [A, B]


async def test_quiet_hours_defer_a_country_and_the_others_go_on(
    campaigns: Campaigns, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = {"KE"}
    opens = datetime.now(UTC) + timedelta(hours=9)
    monkeypatch.setattr(quiet_hours, "opens_at", lambda country, _: opens if country in closed else None)
    uganda = contact("+256772123456", country="UG", mno="MTN")
    campaign_id = await campaigns.submit(
        await campaigns.add_list(contact(A), uganda, contact(B)), quiet_hours=True
    )
    await campaigns.approve(campaign_id)
    await campaigns.until(campaign_id, lambda c: c["totals"]["waiting"] == 2)

    async def sleeps() -> None:
        assert await campaigns.owner.fetchval("SELECT wake_at FROM core.campaigns") == opens

    await eventually(sleeps)
    assert [m["to_msisdn"] for m in await campaigns.messages(campaign_id)] == ["+256772123456"]
    assert (await campaigns.patch(campaign_id, "pause")).status_code == 200
    closed.clear()
    await campaigns.owner.execute("UPDATE core.campaigns SET wake_at = now()")
    assert (await campaigns.patch(campaign_id, "resume")).status_code == 200
    done = await campaigns.status(campaign_id, "completed")
    assert done["totals"]["sent"] == 3
    await campaigns.audit()
