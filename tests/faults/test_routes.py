"""One aggregator dies and comes back under load: the other one carries on, few calls are lost, nothing is doubled."""

import asyncio
import re
import time
from typing import Any, Literal

import httpx
import pytest

from tests.faults.scene import Scene
from tests.kit.client import eventually

pytestmark = [pytest.mark.stack, pytest.mark.timeout(300)]

SEEN_SECONDS = 5.0
BACK_SECONDS = 60.0
LOST_CALLS = 20
FLOWING = 5
"""Messages that the other one has taken: new traffic, and no longer a resend by the way."""

CALLS = re.compile(r'^sema_sms_submit_seconds_count{aggregator="celcom",lane="\w+"} (\S+)$', re.MULTILINE)


async def calls_to_celcom(scene: Scene) -> float:
    async with httpx.AsyncClient(base_url=scene.stack.env["SEMA_OPS_URL_SMS_WORKER"]) as ops:
        return sum(map(float, CALLS.findall((await ops.get("/metrics")).text)))


async def way_of(scene: Scene) -> dict[str, Any]:
    """The `sent` event of a message that is accepted now."""
    message = await scene.client.send("+254712000009", f"Which way {time.monotonic()}")
    await scene.client.reaches(message["id"], "sent", "delivered")
    events = await scene.client.events(message["id"])
    detail: dict[str, Any] = next(e["detail"] for e in events if e["status"] == "sent")
    return detail


async def taken_by_the_other(scene: Scene) -> int:
    stats = (await scene.sandbox.http.get("/_control/africastalking/stats")).json()
    taken: int = stats["submitted"]
    return taken


async def comes_back(scene: Scene) -> float:
    """Seconds until ordinary traffic goes by Celcom again."""
    began = time.monotonic()

    async def usual() -> None:
        assert (await way_of(scene)).get("route") == "the usual route"

    await eventually(usual, BACK_SECONDS)
    return time.monotonic() - began


@pytest.mark.long
@pytest.mark.parametrize("mode", ["http_500", "reset_after_accept", "timeout_after_accept"])
async def test_a_dead_primary_is_passed_over_within_seconds_and_back_when_it_is_well(
    scene: Scene, mode: Literal["http_500", "reset_after_accept", "timeout_after_accept"]
) -> None:
    await comes_back(scene)  # from whatever the test before left
    async with scene.load(25.0).running():
        before = await calls_to_celcom(scene)
        had = await taken_by_the_other(scene)
        async with scene.sandbox.scripted("celcom", mode=mode):
            died = time.monotonic()

            async def flows() -> None:
                assert await taken_by_the_other(scene) >= had + FLOWING

            await eventually(flows, 3 * SEEN_SECONDS)
            seen = time.monotonic() - died
            await asyncio.sleep(2 * SEEN_SECONDS)
            lost = await calls_to_celcom(scene) - before
        back = await comes_back(scene)
    print(f"{mode}: seen after {seen:.1f} s, {lost:.0f} calls lost, back after {back:.1f} s")
    assert seen <= SEEN_SECONDS
    assert lost < LOST_CALLS + 2, "and what was in flight when it died"
    report = await scene.judge(doubts=20 * LOST_CALLS)
    assert report.totals["calls"] > 250


async def test_low_credit_pauses_an_aggregator_and_the_other_carries_on(scene: Scene) -> None:
    await comes_back(scene)
    async with scene.load(20.0).running():
        async with scene.sandbox.scripted("celcom", mode="low_credit"):
            way: dict[str, Any] = {}

            async def flows() -> None:
                way.update(await way_of(scene))
                assert way["aggregator"] == "africastalking"

            await eventually(flows, BACK_SECONDS)
        assert way["route"] == "another route, because Celcom is not available", "the reason is ours alone"
        await comes_back(scene)
    await scene.judge()
