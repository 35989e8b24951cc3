"""kill -9 in the middle of an expansion: nobody gets it twice, nobody is left out, the books are even."""

import asyncio
from collections import Counter
from uuid import UUID

import asyncpg
import httpx
import pytest

from tests.faults.points import CAMPAIGN
from tests.faults.scene import Scene
from tests.kit import campaigns as kit
from tests.kit.client import eventually

pytestmark = pytest.mark.stack

FIRST = 40_000_000
RECIPIENTS = 600
"""More than one chunk of the scheduler (500), so that there is a middle to be killed in."""


async def leases_end(db: "asyncpg.Connection[asyncpg.Record]") -> None:
    """What an instance that was killed had claimed is free, as it is 15 s later: the only one that runs claims all."""
    await db.execute("UPDATE core.campaigns SET claimed_until = now() WHERE claimed_until > now()")


@pytest.mark.parametrize(
    ("recipients", "kills", "waits"),
    [(1_100, 2, False), pytest.param(6_000, 3, True, marks=pytest.mark.long)],
)
async def test_a_campaign_whose_scheduler_is_killed_again_and_again_reaches_everybody_once(
    scene: Scene, recipients: int, kills: int, waits: bool
) -> None:
    """`waits`: for the lease of whoever was killed, as life does."""
    db = await asyncpg.connect(scene.stack.env["DATABASE_URL"])
    list_id = await kit.add_many(db, scene.client.account_id, FIRST, recipients)
    body = {
        "name": "Killed",
        "contact_list_id": str(list_id),
        "from": "SEMALINK",
        "message": "Habari {{name}}",
    }
    answer = await scene.client.post("/v1/campaigns", body)
    assert answer.status_code == 202, answer.text
    campaign_id = UUID(answer.json()["id"])

    async def expanded(at_least: int) -> int:
        found: int = await db.fetchval("SELECT expanded FROM core.campaigns WHERE id = $1", campaign_id)
        assert found >= at_least, found
        return found

    reached = 0
    for _ in range(kills):
        reached = await eventually(lambda: expanded(min(reached + 1, recipients)), 60.0)  # noqa: B023
        await asyncio.sleep(scene.rng.uniform(0, 0.3))
        await scene.stack.kill("main-api")
        if not waits:
            await leases_end(db)

    async def completed() -> None:
        try:
            found = await scene.client.get(f"/v1/campaigns/{campaign_id}")
        except httpx.TransportError as exc:
            raise AssertionError("the API does not answer") from exc
        assert found["status"] == "completed", found["totals"]

    await eventually(completed, 120.0)
    sent = Counter(
        row["to_msisdn"]
        for row in await db.fetch(
            "SELECT to_msisdn FROM orch.sms_messages WHERE campaign_id = $1", campaign_id
        )
    )
    assert len(sent) == recipients
    assert set(sent.values()) == {1}
    held = await db.fetchval("SELECT reserved FROM core.campaigns WHERE id = $1", campaign_id)
    assert held == 0
    await db.close()
    await scene.judge()


async def test_a_campaign_is_whole_when_its_rooms_are_killed_at_each_of_its_points(scene: Scene) -> None:
    db = await asyncpg.connect(scene.stack.env["DATABASE_URL"])
    await db.execute("INSERT INTO core.content_blocklist (kind, value) VALUES ('word', 'zzbad')")
    list_id = await kit.add_many(db, scene.client.account_id, FIRST + 10_000, RECIPIENTS)
    arms = [scene.points.arm(point, "kill") for points in CAMPAIGN.values() for point in points]
    wanted = {"zzbad": "rejected", "Habari": "completed"}
    ids = {}
    for message in wanted:
        body = {
            "name": "Killed",
            "contact_list_id": str(list_id),
            "from": "SEMALINK",
            "message": message,
        }
        answer = await scene.client.post("/v1/campaigns", body)
        assert answer.status_code == 202, answer.text
        ids[UUID(answer.json()["id"])] = wanted[message]

    async def ended() -> None:
        await leases_end(db)
        found = await db.fetch("SELECT id, status FROM core.campaigns WHERE id = ANY($1::uuid[])", list(ids))
        assert {row["id"]: row["status"] for row in found} == ids

    await eventually(ended, 120.0)
    assert [arm.point for arm in arms if not scene.points.fired(arm)] == []
    [sent] = await db.fetch(
        "SELECT count(*) AS messages, count(DISTINCT to_msisdn) AS numbers FROM orch.sms_messages"
        " WHERE campaign_id = ANY($1::uuid[])",
        list(ids),
    )
    assert tuple(sent.values()) == (RECIPIENTS, RECIPIENTS)
    held = await db.fetchval("SELECT sum(reserved) FROM core.campaigns WHERE id = ANY($1::uuid[])", list(ids))
    assert held == 0
    await db.close()
    await scene.judge()
