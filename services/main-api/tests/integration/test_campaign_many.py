"""Many campaigns beside each other: nobody's size, lock or failure keeps the others from their turn."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from sema_common.messages.store.campaigns import count_by_status
from sema_common.platform.bus import Bus
from sema_common.platform.db import Database, Tx
from sema_common.values.clock import now
from sema_common.values.errors import StoreUnavailable
from sema_common.values.ids import new_id
from sema_main_api.accounts.opening import Opened
from sema_main_api.campaigns.store.campaigns import NewCampaign, insert
from sema_main_api.scheduler import loops
from sema_main_api.scheduler.loops import Scheduler
from sema_main_api.scheduler.store import feeding as store
from tests.kit import campaigns as kit
from tests.kit.campaigns import Campaigns, contact
from tests.kit.client import eventually

Open = Callable[..., Awaitable[Opened]]

A, B, C = "+254712345671", "+254712345672", "+254712345673"


async def queue(tx: Tx, account: Opened, count: int) -> list[UUID]:
    """So many queued campaigns of the account, by hand: no instance runs."""
    ids = []
    list_id = await kit.add_list(tx, account.account_id)
    tenant_id = await tx.fetchval("SELECT tenant_id FROM core.accounts WHERE id = $1", account.account_id)
    for _ in range(count):
        new = NewCampaign(
            id=new_id(),
            tenant_id=tenant_id,
            account_id=account.account_id,
            billing_account_id=account.account_id,
            contact_list_id=list_id,
            name="Test",
            sender="SEMALINK",
            message="Habari",
            test=False,
            send_at=None,
            quiet_hours=False,
            on_missing="empty",
            currency="KES",
            traceparent=None,
        )
        await insert(tx, new)
        ids.append(new.id)
    await tx.execute("UPDATE core.campaigns SET status = 'queued' WHERE id = ANY($1::uuid[])", ids)
    return ids


async def claim(pipeline: Database, instance: UUID, at_most: int) -> set[UUID]:
    async with pipeline.transaction() as tx:
        claimed = await store.claim(tx, instance, timedelta(seconds=15), now(), at_most)
    return {row.id for row, _ in claimed}


async def test_many_campaigns_of_one_account_keep_no_place_from_another(
    pipeline: Database, open_: Open
) -> None:
    busy, newcomer = await open_("Busy"), await open_("Newcomer")
    async with pipeline.transaction() as tx:
        many = await queue(tx, busy, 5)
    instance = new_id()
    assert await claim(pipeline, instance, 3) == set(many[:3])
    async with pipeline.transaction() as tx:
        [ten] = await queue(tx, newcomer, 1)
    assert await claim(pipeline, instance, 3) == {many[0], many[1], ten}
    assert await claim(pipeline, new_id(), 3) == {many[3], many[4]}, "what another instance holds it keeps"


async def test_campaigns_of_a_suspended_account_keep_no_place_from_anybody(
    pipeline: Database, owner: Database, open_: Open
) -> None:
    suspended, active = await open_("Suspended"), await open_("Active")
    async with pipeline.transaction() as tx:
        await queue(tx, suspended, 3)
        [waits] = await queue(tx, active, 1)
    await owner.execute("UPDATE core.accounts SET status = 'suspended' WHERE id = $1", suspended.account_id)
    assert await claim(pipeline, new_id(), 2) == {waits}


async def test_two_instances_that_ask_at_once_share_the_campaigns(
    pipeline: Database, account: Opened
) -> None:
    async with pipeline.transaction() as tx:
        ids = await queue(tx, account, 6)
    shares = await asyncio.gather(*(claim(pipeline, new_id(), 4) for _ in range(2)))
    assert sum(map(len, shares)) == len(shares[0] | shares[1])
    assert shares[0] | shares[1] <= set(ids)


async def test_a_list_of_campaigns_counts_no_messages_and_one_campaign_does(campaigns: Campaigns) -> None:
    campaign_id = await campaigns.submit(await campaigns.add_list(contact(A), contact(B), contact(C)))
    await campaigns.approve(campaign_id)
    await campaigns.until(campaign_id, lambda c: c["totals"]["queued"] == 3)
    await campaigns.owner.execute("UPDATE orch.sms_messages SET status = 'delivered' WHERE to_msisdn = $1", A)

    async def listed() -> dict[str, Any]:
        answer = await campaigns.client.get("/v1/campaigns", headers=campaigns.auth)
        [found] = answer.json()["data"]
        totals: dict[str, Any] = found["totals"]
        assert totals["contacts"] == sum(totals.values()) - totals["contacts"]
        return totals

    counted = (await campaigns.read(campaign_id))["totals"]
    assert (counted["queued"], counted["delivered"]) == (2, 1)
    assert ((await listed())["queued"], (await listed())["delivered"]) == (3, 0)
    await campaigns.status(campaign_id, "completed")
    assert ((await listed())["queued"], (await listed())["sent"]) == (0, 3)


async def test_what_a_campaign_leaves_behind_is_deleted_once_30_days_after_its_end(
    campaigns: Campaigns, pipeline: Database, vhost: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loops, "PURGED_AT_ONCE", 2)
    list_id = await campaigns.add_list(contact(A), contact(B), contact(C))
    old, young = [await campaigns.submit(list_id) for _ in range(2)]
    for campaign_id in (old, young):
        assert (await campaigns.patch(campaign_id, "cancel")).status_code == 200
    await campaigns.owner.execute(
        "UPDATE core.campaigns SET moved_at = now() - interval '31 days' WHERE id = $1", old
    )
    async with Bus.open(vhost, name="test") as bus:
        scheduler = Scheduler(pipeline, bus, lambda: None, lambda _: None)
        assert [await scheduler.purge() for _ in range(3)] == [True, True, False]
    for table in ("campaign_recipients", "campaign_parts"):
        left = await campaigns.owner.fetch(f"SELECT DISTINCT campaign_id FROM core.{table}")
        assert [row["campaign_id"] for row in left] == [young], table
    marked = await campaigns.owner.fetch("SELECT id FROM core.campaigns WHERE purged_at IS NOT NULL")
    assert [row["id"] for row in marked] == [old]


async def test_one_campaign_that_cannot_be_counted_keeps_no_other_from_its_end(
    campaigns: Campaigns, pipeline: Database, vhost: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    list_id = await campaigns.add_list(contact(A), contact(B))
    broken, well = [await campaigns.submit(list_id, f"text {n}") for n in range(2)]

    async def count(tx: Tx, ids: list[UUID], since: Any, timeout: float) -> Any:
        assert timeout == loops.LONG_SECONDS, "a million messages take longer than the pool's own limit"
        if broken in ids:
            raise StoreUnavailable("canceling statement due to statement timeout")
        return await count_by_status(tx, ids, since, timeout)

    monkeypatch.setattr(loops, "count_by_status", count)
    for campaign_id in (broken, well):
        await campaigns.approve(campaign_id)
    await campaigns.status(well, "completed")

    async def submitted() -> None:
        await campaigns.submit_messages(broken)
        assert (await campaigns.read(broken))["totals"]["sent"] == 2

    await eventually(submitted)
    assert (await campaigns.read(broken))["status"] == "sending"

    await campaigns.owner.execute("UPDATE orch.sms_messages SET status = 'delivered'")
    await campaigns.owner.execute(
        "UPDATE core.campaigns SET status = 'completed', completed_at = now() - interval '1 day' WHERE id = $1",
        broken,
    )
    async with Bus.open(vhost, name="test") as bus:
        with pytest.raises(StoreUnavailable):
            await Scheduler(pipeline, bus, lambda: None, lambda _: None).settle()
    settled = await campaigns.owner.fetch("SELECT id FROM core.campaigns WHERE totals IS NOT NULL")
    assert [row["id"] for row in settled] == [well]


@pytest.mark.parametrize("message", ["Habari", "Hi {{name}}"])
async def test_an_estimate_writes_no_recipient_and_says_what_the_submission_will(
    campaigns: Campaigns, message: str
) -> None:
    list_id = await campaigns.add_list(
        contact(A, "Asha"),
        contact(A, "Asha again"),
        contact(B, "Baraka", validity="invalid"),
        contact(C, "Chebet"),
        contact("+254712345674", "Dalmas", mno="Airtel"),
    )
    await campaigns.client.post("/v1/suppressions", json={"phone": C}, headers=campaigns.auth)
    async with campaigns.owner.transaction() as tx:
        await tx.execute("LOCK TABLE core.campaigns, core.campaign_recipients IN EXCLUSIVE MODE")
        answer = await campaigns.post(list_id, message, path="/v1/campaigns/estimate")
    assert answer.status_code == 200, answer.text
    estimate = answer.json()
    found = await campaigns.read(await campaigns.submit(list_id, message))
    assert estimate["contacts"] == found["totals"]["contacts"] == 2
    same = ("skipped", "missing_values", "cost_estimate")
    assert {name: estimate[name] for name in same} == {name: found[name] for name in same}
    assert found["skipped"] == {"suppressed": 1, "duplicates": 1, "invalid": 1}
