"""Jobs on their way: accepted, refused, tried again, expired, held, repeated."""

import asyncio

import pytest
import redis
from aiohttp import web

from sema_common.platform.db import Row

from .conftest import COST, OPENING, Aggregator, OpenRoom, World, accept, answer, eventually  # type: ignore[import-not-found]  # mypy knows no package with a dash

INVALID = "+254712000001"
ROUGH = "+254712000002"


@pytest.mark.usefixtures("room")
async def test_a_bulk_succeeds_in_part(world: World, aggregator: Aggregator) -> None:
    aggregator.scripts[INVALID] = [answer(1003)]
    jobs = await world.accept(20, to=[INVALID, *(f"+2547330{i:05d}" for i in range(19))])
    await world.publish(jobs)
    rows = await world.reached(jobs[1:], "sent")
    assert {row["aggregator_id"] for row in rows} == {f"id-{job.body}" for job in jobs[1:]}
    assert {(row["route_id"], row["attempt_count"]) for row in rows} == {("celcom", 1)}
    [row] = await world.reached(jobs[:1], "failed")
    assert row["last_error"]["code"] == "invalid_number"
    assert [len(call.texts) for call in aggregator.calls] == [20]
    [fact] = await world.told(jobs[0], "message.failed")
    assert fact.data["error"]["code"] == "invalid_number"
    [fact] = await world.told(jobs[1], "message.sent")
    assert (fact.data["status"], fact.data["aggregator"], fact.data["metadata"]) == (
        "sent",
        "celcom",
        {"order": "7"},
    )
    assert fact.traceparent is not None
    assert fact.traceparent[3:35] == f"{jobs[1].message_id.int:032x}"
    assert await world.balance() == OPENING - 19 * COST
    assert await world.events(jobs[0]) == ["failed:1"]
    assert await world.events(jobs[1]) == ["sent:1"]


@pytest.mark.usefixtures("room")
async def test_single_jobs_are_gathered_and_bundles_never_exceed_a_bulk(
    world: World, aggregator: Aggregator
) -> None:
    jobs = await world.accept(50)
    await asyncio.gather(
        *(world.publish([job]) for job in jobs[:10]), world.publish(jobs[10:30]), world.publish(jobs[30:])
    )
    await world.reached(jobs, "sent")
    assert sorted(aggregator.texts) == sorted(job.body for job in jobs)
    assert max(len(call.texts) for call in aggregator.calls) == 20


@pytest.mark.usefixtures("room")
async def test_the_priority_lane_submits_one_at_a_time(world: World, aggregator: Aggregator) -> None:
    jobs = await world.accept(5, lane="priority")
    await world.publish(*([job] for job in jobs))
    await world.reached(jobs, "sent")
    assert [len(call.texts) for call in aggregator.calls] == [1] * 5


@pytest.mark.usefixtures("room")
async def test_what_is_not_taken_is_tried_again(world: World, aggregator: Aggregator) -> None:
    aggregator.scripts[ROUGH] = [answer(1005), answer(1007), accept]
    jobs = await world.accept(1, to=ROUGH)
    await world.publish(jobs)
    await world.reached(jobs, "sent")
    assert await world.events(jobs[0]) == ["retry:1", "retry:2", "sent:3"]
    assert [a["state"] for a in await world.attempts(jobs[0])] == ["not_sent", "not_sent", "accepted"]
    assert all(a["due_at"] is None for a in await world.attempts(jobs[0]))
    assert await world.balance() == OPENING - COST


@pytest.mark.usefixtures("room")
@pytest.mark.parametrize("lane", ["normal", "priority"])
async def test_after_three_retries_it_fails_with_one_refund(
    world: World, aggregator: Aggregator, lane: str
) -> None:
    aggregator.scripts[ROUGH] = [answer(1005)]
    jobs = await world.accept(1, to=ROUGH, lane=lane)
    await world.publish(jobs)
    [row] = await world.reached(jobs, "failed")
    assert row["last_error"]["code"] == "retries_exhausted"
    assert len(aggregator.calls) == 4
    await world.told(jobs[0], "message.failed")
    assert await world.refunds(jobs[0]) == 1
    assert await world.balance() == OPENING


@pytest.mark.usefixtures("room")
async def test_a_redelivered_bundle_tells_the_same_and_submits_nothing(
    world: World, aggregator: Aggregator
) -> None:
    aggregator.scripts[INVALID] = [answer(1003)]
    jobs = await world.accept(2, to=[INVALID, "+254733000001"])
    await world.publish(jobs)
    await world.reached(jobs[:1], "failed")
    for times in (2, 3):
        await world.publish(jobs)
        await world.told(jobs[0], "message.failed", times)
    for job, kind in zip(jobs, ("message.failed", "message.sent"), strict=True):
        facts = await world.told(job, kind, times=3)
        assert len({fact.event_id for fact in facts}) == 1
        first, *others = (fact.model_dump(exclude={"traceparent"}) for fact in facts)
        assert others == [first, first]
    assert len(aggregator.calls) == 1
    assert await world.refunds(jobs[0]) == 1


@pytest.mark.usefixtures("room")
async def test_a_job_published_twice_at_once_is_submitted_once(world: World, aggregator: Aggregator) -> None:
    jobs = await world.accept(40)
    bundles = [jobs[:20], jobs[20:]]
    await asyncio.gather(
        *(world.publish(*bundles) for _ in range(5)), world.publish(*([job] for job in jobs))
    )
    await world.reached(jobs, "sent")
    await world.idle()
    assert sorted(aggregator.texts) == sorted(job.body for job in jobs)


@pytest.mark.usefixtures("room")
async def test_what_comes_too_late_expires_with_a_refund(world: World, aggregator: Aggregator) -> None:
    jobs = await world.accept(3, valid_for=-1)
    fresh = await world.accept(1)
    await world.publish([*jobs, *fresh])
    await world.reached(jobs, "expired")
    await world.reached(fresh, "sent")
    [fact] = await world.told(jobs[0], "message.expired")
    assert fact.data["error"]["code"] == "validity_expired"
    assert aggregator.texts == [fresh[0].body]
    assert await world.balance() == OPENING - COST


@pytest.mark.usefixtures("room")
async def test_a_sent_message_does_not_expire_when_its_job_comes_again(world: World) -> None:
    jobs = await world.accept(1)
    await world.publish(jobs)
    await world.reached(jobs, "sent")
    late = jobs[0].model_copy(update={"valid_until": jobs[0].created_at})
    await world.publish([late])
    await world.told(jobs[0], "message.sent", times=2)
    assert (await world.message(jobs[0]))["status"] == "sent"
    assert await world.balance() == OPENING - COST


@pytest.mark.usefixtures("room")
async def test_what_no_route_carries_fails_with_a_refund(world: World, aggregator: Aggregator) -> None:
    jobs = await world.accept(1, encoding="UCS-2")
    await world.publish(jobs)
    [row] = await world.reached(jobs, "failed")
    assert row["last_error"]["code"] == "unsupported_type"
    assert aggregator.calls == []
    assert await world.balance() == OPENING


async def test_while_there_is_no_way_messages_wait_and_nothing_is_used_up(
    world: World, opening: OpenRoom, aggregator: Aggregator
) -> None:
    dead = Aggregator(0)
    async with dead.serving():
        pass  # a port where nobody listens now
    async with opening(celcom_base_url=f"http://127.0.0.1:{dead.port}"):
        jobs = await world.accept(30)
        short = await world.accept(1, valid_for=1.5)
        otp = await world.accept(1, lane="priority")
        await world.publish(jobs[:20], jobs[20:], short, otp)
        [row] = await world.reached(short, "expired")
        assert row["last_error"]["code"] == "validity_expired"
        await world.idle()
        assert {(await world.message(job))["status"] for job in jobs} == {"queued"}
        # A probe may be under way again; nothing else is left of the earlier ones.
        assert {a["state"] for job in jobs for a in await world.attempts(job)} <= {"claimed"}
        async with dead.serving():
            await world.reached([*jobs, *otp], "sent")
        assert {row["attempt_count"] for row in await world.reached(jobs, "sent")} == {1}
    assert await world.balance() == OPENING - 31 * COST


async def test_a_room_that_closes_gives_back_what_waits(
    world: World, opening: OpenRoom, aggregator: Aggregator, redis_url: str
) -> None:
    jobs = await world.accept(40)
    async with opening(pause_first_seconds=3600, pause_longest_seconds=3600):
        aggregator.failures = [web.json_response({"response-code": 1006})]
        await world.publish(jobs[:20])

        async def paused() -> bool:
            return len(aggregator.calls) == 1

        await eventually(paused)
        await world.publish(jobs[20:])
        await world.idle()
    assert {(await world.message(job))["status"] for job in jobs} == {"queued"}
    with redis.Redis.from_url(redis_url) as client:
        client.flushdb()  # the pause would outlive the room
    async with opening():
        await world.reached(jobs, "sent")


@pytest.mark.usefixtures("room")
async def test_too_many_requests_is_waited_out(world: World, aggregator: Aggregator) -> None:
    aggregator.failures = [web.Response(status=429, headers={"Retry-After": "1"})]
    jobs = await world.accept(1)
    began = asyncio.get_running_loop().time()
    await world.publish(jobs)
    await world.reached(jobs, "sent")
    assert asyncio.get_running_loop().time() - began >= 0.9
    assert len(aggregator.calls) == 2
    assert await world.events(jobs[0]) == ["sent:1"]


@pytest.mark.usefixtures("room")
async def test_an_account_at_fault_pauses_the_route(world: World, aggregator: Aggregator) -> None:
    low = web.json_response({"response-code": 1004, "response-description": "Low bulk credits"})
    aggregator.failures = [low]
    jobs = await world.accept(2)
    await world.publish(jobs)
    await world.reached(jobs, "sent")
    assert [len(call.texts) for call in aggregator.calls] == [2, 1, 1], (
        "after the pause single messages try it"
    )
    assert [a["state"] for a in await world.attempts(jobs[0])] == ["accepted"]


@pytest.mark.usefixtures("room")
async def test_low_credit_for_some_of_a_bulk_holds_only_those(world: World, aggregator: Aggregator) -> None:
    aggregator.scripts[ROUGH] = [answer(1004), accept]
    jobs = await world.accept(2, to=[ROUGH, "+254733000001"])
    await world.publish(jobs)
    await world.reached(jobs, "sent")
    assert [len(call.texts) for call in aggregator.calls] == [2, 1]
    assert await world.balance() == OPENING - 2 * COST


@pytest.mark.usefixtures("room")
async def test_a_poisoned_bundle_leaves_its_neighbours_alone(world: World, aggregator: Aggregator) -> None:
    jobs = await world.accept(3)
    poison = jobs[0].model_copy(update={"attempt": 40_000})  # no smallint
    await world.publish([poison], *([job] for job in jobs[1:]))
    await world.reached(jobs[1:], "sent")
    assert sorted(aggregator.texts) == sorted(job.body for job in jobs[1:])
    assert (await world.message(jobs[0]))["status"] == "queued"


@pytest.mark.usefixtures("room")
@pytest.mark.parametrize("queue", ["sms.priority", "sms.normal"])
async def test_what_nobody_can_read_is_kept_for_staff(world: World, queue: str) -> None:
    await world.bus.publish_raw(queue, b"{}", type="sms.jobs", version=1, event_id=world.account)

    async def kept() -> Row | None:
        row: Row | None = await world.owner.fetchrow("SELECT queue, reason FROM core.dead_letters")
        return row

    row = await eventually(kept)
    assert row["queue"] == queue
    assert row["reason"].startswith("malformed sms.jobs")


async def test_a_locked_balance_does_not_keep_others_waiting(
    world: World, aggregator: Aggregator, opening: OpenRoom
) -> None:
    aggregator.scripts[INVALID] = [answer(1003)]
    async with opening():
        bad = await world.accept(1, to=INVALID)
        good = await world.accept(3, to=[f"+25473300000{i}" for i in range(3)])
        async with world.owner.transaction(30) as tx:
            await tx.execute("SELECT 1 FROM billing.credits FOR UPDATE")
            await world.publish(bad)
            await world.publish(good)
            await world.reached(good, "sent")
            assert (await world.message(bad[0]))["status"] == "queued"
        await world.reached(bad, "failed")
    assert await world.balance() == OPENING - 3 * COST
