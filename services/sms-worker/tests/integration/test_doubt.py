"""Submits of which nobody knows whether they arrived, and workers that died in the middle of one."""

import asyncio

import pytest
from aiohttp import web

from sema_common.wire.sms import SettleAttempt, SettleAttempts

from .conftest import COST, OPENING, Aggregator, OpenRoom, World  # type: ignore[import-not-found]  # mypy knows no package with a dash


@pytest.mark.usefixtures("room")
async def test_the_normal_lane_holds_a_doubt_then_fails_with_one_refund(
    world: World, aggregator: Aggregator
) -> None:
    aggregator.failures = [web.Response(status=500)]
    jobs = await world.accept(2)
    await world.publish(jobs)
    rows = await world.reached(jobs, "failed")
    assert {row["last_error"]["code"] for row in rows} == {"submission_unconfirmed"}
    assert len(aggregator.calls) == 1
    assert await world.events(jobs[0]) == ["in_doubt:1", "failed:1"]
    [fact] = await world.told(jobs[0], "message.failed")
    assert fact.data["error"]["code"] == "submission_unconfirmed"
    assert fact.data["aggregator"] == "celcom"
    assert await world.balance() == OPENING


@pytest.mark.usefixtures("room")
async def test_the_priority_lane_resends_once(world: World, aggregator: Aggregator) -> None:
    aggregator.failures = [web.Response(status=500)]
    jobs = await world.accept(1, lane="priority")
    await world.publish(jobs)
    await world.reached(jobs, "sent")
    assert aggregator.texts == [jobs[0].body] * 2
    assert await world.events(jobs[0]) == ["in_doubt:1", "resend:1", "sent:2"]
    assert [a["state"] for a in await world.attempts(jobs[0])] == ["settled", "accepted"]
    assert await world.balance() == OPENING - COST


@pytest.mark.usefixtures("room")
async def test_a_second_doubt_on_the_priority_lane_is_held(world: World, aggregator: Aggregator) -> None:
    aggregator.reset = True
    jobs = await world.accept(1, lane="priority")
    await world.publish(jobs)
    [row] = await world.reached(jobs, "failed")
    assert row["last_error"]["code"] == "submission_unconfirmed"
    assert len(aggregator.calls) == 2
    assert await world.events(jobs[0]) == ["in_doubt:1", "resend:1", "in_doubt:2", "failed:2"]
    assert await world.refunds(jobs[0]) == 1


async def test_a_message_that_timed_out_is_in_doubt(world: World, opening: OpenRoom) -> None:
    answered = asyncio.Event()

    async def hang(_: web.Request) -> web.StreamResponse:
        await answered.wait()
        return web.Response()

    silent = Aggregator(0)
    silent.handle = hang
    async with (
        silent.serving(),
        opening(celcom_base_url=f"http://127.0.0.1:{silent.port}", submit_total_seconds=0.2),
    ):
        jobs = await world.accept(1)
        await world.publish(jobs)
        await world.reached(jobs, "failed")
        answered.set()
    assert await world.events(jobs[0]) == ["in_doubt:1", "failed:1"]


@pytest.mark.parametrize(
    ("lane", "events"),
    [("normal", ["in_doubt:1", "failed:1"]), ("priority", ["in_doubt:1", "resend:1", "sent:2"])],
)
async def test_a_claim_of_a_dead_worker_comes_in_doubt(
    world: World, aggregator: Aggregator, opening: OpenRoom, lane: str, events: list[str]
) -> None:
    [job] = await world.accept(1, lane=lane)
    await world.claimed_by_a_dead_worker(job)
    await world.publish([job])
    async with opening():
        await world.reached([job], "failed" if lane == "normal" else "sent")
    assert await world.events(job) == events
    assert len(aggregator.calls) == (0 if lane == "normal" else 1)
    assert await world.balance() == (OPENING if lane == "normal" else OPENING - COST)


@pytest.mark.usefixtures("room")
async def test_a_claim_within_its_lease_is_left_alone(world: World, aggregator: Aggregator) -> None:
    [job, other] = await world.accept(2)
    await world.claimed_by_a_dead_worker(job, seconds_ago=0)
    await world.publish([job, other])
    await world.bus.publish(
        "sms.normal",
        SettleAttempts(attempts=(SettleAttempt(message_id=job.message_id, attempt=1),)),
        event_id=job.message_id,
    )
    await world.told(other, "message.sent")
    assert aggregator.texts == [other.body]
    assert [a["state"] for a in await world.attempts(job)] == ["claimed"]
    assert await world.events(job) == []


@pytest.mark.usefixtures("room")
async def test_settling_twice_changes_nothing(world: World, aggregator: Aggregator) -> None:
    aggregator.failures = [web.Response(status=500)]
    [job] = await world.accept(1)
    await world.publish([job])
    await world.reached([job], "failed")
    for times in (2, 3):
        await world.bus.publish(
            "sms.normal",
            SettleAttempts(attempts=(SettleAttempt(message_id=job.message_id, attempt=1),)),
            event_id=job.message_id,
        )
        facts = await world.told(job, "message.failed", times)
    assert len({(fact.event_id, fact.occurred_at, str(fact.data)) for fact in facts}) == 1
    assert await world.refunds(job) == 1
    assert await world.balance() == OPENING
