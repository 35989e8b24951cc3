"""Two aggregators: who gets what, what happens when one of them fails, and how it comes back."""

import asyncio
import json
import time

import pytest
import redis
from aiohttp import web

from sema_common.values.clock import now
from sema_sms_worker import metrics

from .conftest import COST, OPENING, Aggregator, OpenRoom, Second, World, also, answer, eventually  # type: ignore[import-not-found]  # mypy knows no package with a dash

STILL = {"route_rest_first_seconds": 45, "route_rest_longest_seconds": 45}
PAUSED = {"pause_first_seconds": 3600, "pause_longest_seconds": 3600}
"""What is left alone stays so for the whole test."""


def dead() -> dict[str, object]:
    return {"celcom_base_url": "http://127.0.0.1:9"}  # discard: nobody listens there


async def test_the_primary_has_everything_while_it_is_well(
    world: World, opening: OpenRoom, aggregator: Aggregator, second: Second
) -> None:
    async with opening(**also(second)):
        jobs = await world.accept(20)
        await world.publish(jobs)
        await world.reached(jobs, "sent")
    assert len(aggregator.texts) == 20
    assert second.calls == []
    assert await world.route(jobs[0]) == {"reason": "primary"}


async def test_what_cannot_be_reached_is_passed_over_at_once(
    world: World, opening: OpenRoom, second: Second
) -> None:
    async with opening(**also(second), **dead(), **STILL, retry_first_seconds=3600):
        jobs = await world.accept(60)
        otp = await world.accept(1, lane="priority")
        await world.publish(jobs[:20], jobs[20:40], jobs[40:], otp)
        rows = await world.reached([*jobs, *otp], "sent")
    assert {row["route_id"] for row in rows} == {"africastalking"}
    assert sorted(second.texts) == sorted(job.body for job in [*jobs, *otp])
    assert {row["attempt_count"] for row in rows} == {1}, "no way through uses no retry"
    told = await world.route(jobs[0])
    assert told["reason"] == "fallback"
    assert told["passed_over"][0]["aggregator"] == "celcom"
    assert told["passed_over"][0]["reason"] in ("not_connected", "failing")
    assert await world.balance() == OPENING - 61 * COST


async def test_after_fewer_than_twenty_lost_calls_it_is_left_alone_and_when_well_it_is_back(
    world: World, opening: OpenRoom, aggregator: Aggregator, second: Second, redis_url: str
) -> None:
    """A 5xx leaves its messages in doubt: each such call loses what it carried, so there must be few."""
    async with opening(**also(second), **STILL, in_doubt_hold_seconds=0.1):
        aggregator.failures = [web.Response(status=500) for _ in range(500)]
        jobs = await world.accept(80, lane="priority")
        for job in jobs:
            await world.publish([job])

        async def settled() -> bool:
            rows = [(await world.message(job))["status"] for job in jobs]
            return all(status in ("sent", "failed", "queued") for status in rows) and rows.count("sent") > 55

        await eventually(settled)
        assert len(aggregator.calls) < 20
        doubted = {text for call in aggregator.calls for text in call.texts}
        assert not doubted & set(second.texts), "what is in doubt never goes to the other one"
        aggregator.failures = []
        before = len(aggregator.calls)
        rest_is_over(redis_url)

        async def back() -> bool:
            [job] = await world.accept(1)
            await world.publish([job])
            [row] = await world.reached([job], "sent")
            return bool(row["route_id"] == "celcom") and (await world.route(job)) == {"reason": "primary"}

        await eventually(back)
        assert len(aggregator.calls) - before >= 4, "three trials, and then everything"


def rest_is_over(redis_url: str) -> None:
    """As another worker would tell it."""
    with redis.Redis.from_url(redis_url) as client:
        gate = json.loads(client.hget("sema:routes:gates", "celcom"))
        gate |= {"version": gate["version"] + 1, "until": 0.0}
        client.hset("sema:routes:gates", "celcom", json.dumps(gate))


@pytest.mark.parametrize("lane", ["priority", "normal"])
async def test_a_doubt_stays_with_its_aggregator_however_ill_that_is(
    world: World, opening: OpenRoom, aggregator: Aggregator, second: Second, lane: str
) -> None:
    async with opening(**also(second)):
        aggregator.failures = [web.Response(status=502) for _ in range(50)]
        jobs = await world.accept(3, lane=lane)
        await world.publish(*([job] for job in jobs))
        await world.reached(jobs, "failed")
    assert second.calls == []
    assert {a["aggregator"] for job in jobs for a in await world.attempts(job)} == {"celcom"}
    assert await world.balance() == OPENING


async def test_a_doubt_waits_for_its_aggregator_even_when_that_is_switched_off(
    world: World, opening: OpenRoom, aggregator: Aggregator, second: Second
) -> None:
    await world.owner.execute("UPDATE core.routes SET enabled = false WHERE aggregator = 'celcom'")
    [job] = await world.accept(1, lane="priority")
    await world.claimed_by_a_dead_worker(job)
    async with opening(**also(second)):

        async def waits() -> bool:
            return "waiting:2" in await world.events(job)

        await eventually(waits)
        await world.owner.execute("UPDATE orch.sms_messages SET valid_until = now()")
        await world.owner.execute("UPDATE orch.submit_attempts SET due_at = now() WHERE state = 'waiting'")
        await world.reached([job], "expired")
        await world.told(job, "message.expired")
    assert await world.events(job) == ["in_doubt:1", "resend:1", "waiting:2", "expired:2"]
    assert aggregator.calls == second.calls == []
    assert await world.refunds(job) == 1


async def test_a_doubt_stays_with_its_aggregator_also_after_a_trial_that_was_not_taken(
    world: World, opening: OpenRoom, aggregator: Aggregator, second: Second
) -> None:
    pause = {"pause_first_seconds": 0.02, "pause_longest_seconds": 0.02}
    async with opening(**also(second), **pause, retry_first_seconds=3600):
        aggregator.failures = [web.json_response({"response-code": 1004})]
        ill = await world.accept(1)
        await world.publish(ill)
        await world.reached(ill, "sent")
        assert len(second.calls) == 1, "celcom is on trial from here on"

        aggregator.scripts["+254712000001"] = [answer(1005)]
        [job] = await world.accept(1, lane="priority", to="+254712000001")
        await world.claimed_by_a_dead_worker(job)

        async def state(number: int, expected: str) -> bool:
            return any(a["state"] == expected for a in await world.attempts(job) if a["attempt"] == number)

        await eventually(lambda: state(2, "not_sent"))
        await switch(world, "celcom", on=False)
        await world.owner.execute("UPDATE orch.submit_attempts SET due_at = now() WHERE state = 'not_sent'")
        await eventually(lambda: state(3, "waiting"))
    assert [(a["aggregator"], a["choice"]["reason"]) for a in (await world.attempts(job))[1:]] == [
        ("celcom", "resend"),
        ("celcom", "resend"),
    ]
    assert len(second.calls) == 1, "the other one could bring a second message"


async def switch(world: World, aggregator: str, *, on: bool) -> None:
    """As staff do it, and until the worker has seen it."""
    await world.owner.execute("UPDATE core.routes SET enabled = $2 WHERE aggregator = $1", aggregator, on)

    async def seen() -> bool:
        return bool(metrics.ENABLED.labels(aggregator)._value.get() == on)

    await eventually(seen)


async def test_staff_switch_an_aggregator_off_and_on(
    world: World, opening: OpenRoom, aggregator: Aggregator, second: Second
) -> None:
    async def went() -> str:
        [job] = await world.accept(1)
        await world.publish([job])
        [row] = await world.reached([job], "sent")
        return str(row["route_id"])

    async with opening(**also(second)):
        assert await went() == "celcom"
        await switch(world, "celcom", on=False)
        assert await went() == "africastalking"
        await switch(world, "celcom", on=True)
        assert await went() == "celcom"


async def test_a_forced_message_waits_by_itself_and_expires_with_a_refund(
    world: World, opening: OpenRoom, aggregator: Aggregator, second: Second
) -> None:
    await world.owner.execute(
        "INSERT INTO core.account_routes (account_id, tenant_id, aggregator, mode) "
        "VALUES ($1, $1, 'africastalking', 'forced')",
        world.account,
    )
    await world.owner.execute("UPDATE core.routes SET enabled = false WHERE aggregator = 'africastalking'")
    async with opening(**also(second)):
        short, long = await world.accept(1, valid_for=2), await world.accept(1)
        await world.publish([*short, *long])

        async def waits() -> bool:
            return [a["state"] for a in await world.attempts(long[0])] == ["waiting"]

        await eventually(waits)
        assert await world.events(long[0]) == ["waiting:1"]
        assert await world.route(long[0], "waiting:1") == {
            "reason": "none",
            "passed_over": [{"aggregator": "africastalking", "reason": "switched_off"}],
        }
        await world.reached(short, "expired")
        await world.told(short[0], "message.expired")
        assert await world.refunds(short[0]) == 1
        await switch(world, "africastalking", on=True)
        await world.owner.execute("UPDATE orch.submit_attempts SET due_at = now() WHERE state = 'waiting'")
        [row] = await world.reached(long, "sent")
    assert (row["route_id"], row["attempt_count"]) == ("africastalking", 1)
    assert await world.route(long[0]) == {"reason": "forced"}
    assert aggregator.calls == []


async def test_a_preferred_aggregator_has_it_while_it_can(
    world: World, opening: OpenRoom, aggregator: Aggregator, second: Second
) -> None:
    await world.owner.execute(
        "INSERT INTO core.account_routes (account_id, tenant_id, aggregator, mode) "
        "VALUES ($1, $1, 'africastalking', 'preferred')",
        world.account,
    )
    async with opening(**also(second), **PAUSED):
        jobs = await world.accept(1)
        await world.publish(jobs)
        await world.reached(jobs, "sent")
        assert await world.route(jobs[0]) == {"reason": "preferred"}
        second.failures = [web.Response(status=401)]
        jobs = await world.accept(1)
        await world.publish(jobs)
        [row] = await world.reached(jobs, "sent")
    assert row["route_id"] == "celcom", "an account at fault pauses the route, and the next one takes over"
    assert (await world.route(jobs[0]))["reason"] == "fallback"


async def test_a_network_beyond_one_aggregator_goes_to_the_other(
    world: World, opening: OpenRoom, aggregator: Aggregator, second: Second
) -> None:
    aggregator.scripts["+254763000001"] = [answer(1002)]
    async with opening(**also(second)):
        jobs = await world.accept(1, to="+254763000001", mno="Equitel")
        await world.publish(jobs)
        [row] = await world.reached(jobs, "sent")
    assert row["route_id"] == "africastalking"
    assert await world.events(jobs[0]) == ["retry:1", "sent:2"]
    assert (await world.route(jobs[0], "sent:2"))["passed_over"] == [
        {"aggregator": "celcom", "reason": "refused_before"}
    ]


async def test_a_refusal_of_who_has_opted_out_suppresses_him_for_that_account(
    world: World, opening: OpenRoom, second: Second
) -> None:
    def refused(code: int, number: str) -> web.Response:
        recipient = {"statusCode": code, "number": number, "status": "", "messageId": "None"}
        return web.json_response({"SMSMessageData": {"Message": "", "Recipients": [recipient]}}, status=201)

    out, quiet = "+254712000001", "+254712000002"
    second.failures = [refused(406, out), refused(409, quiet)]
    async with opening(**also(second), **dead(), **STILL, normal_senders=1):
        for to, code in ((out, "recipient_opted_out"), (quiet, "do_not_disturb")):
            [job] = await world.accept(1, to=to)
            await world.publish([job])
            [row] = await world.reached([job], "failed")
            assert row["last_error"]["code"] == code
    rows = await world.owner.fetch("SELECT account_id, msisdn, scope, reason FROM core.suppressions")
    assert [tuple(row) for row in rows] == [
        (world.account, out, "promotional", "reported by africastalking: recipient_opted_out")
    ]
    assert await world.balance() == OPENING


async def test_a_429_is_no_storm(
    world: World, opening: OpenRoom, aggregator: Aggregator, second: Second
) -> None:
    async with opening(**also(second), **STILL):
        aggregator.failures = [web.Response(status=429, headers={"Retry-After": "60"}) for _ in range(100)]
        jobs = await world.accept(60)
        await world.publish(*(jobs[i : i + 20] for i in range(0, 60, 20)))
        await world.reached(jobs, "sent")
        assert len(aggregator.texts) + len(second.texts) <= 2 * len(jobs)
        more = await world.accept(60)
        calls = len(aggregator.calls)
        await world.publish(*(more[i : i + 20] for i in range(0, 60, 20)))
        await world.reached(more, "sent")
    assert len(aggregator.calls) == calls, "Retry-After is kept"


async def test_a_pace_is_kept(
    world: World, opening: OpenRoom, aggregator: Aggregator, redis_url: str
) -> None:
    await world.owner.execute("UPDATE core.routes SET per_second = 1 WHERE aggregator = 'celcom'")
    bucket(redis_url, DEBT)
    async with opening():
        jobs = await world.accept(40)
        await world.publish(jobs[:20], jobs[20:])
        await in_line(40)
        assert aggregator.calls == []
        bucket(redis_url, 28)  # of which the normal lane leaves 8

        async def left() -> bool:
            return bool(aggregator.calls)

        await eventually(left)
        await in_line(20)
        assert [len(call.texts) for call in aggregator.calls] == [20]
        await world.owner.execute("UPDATE core.routes SET per_second = NULL WHERE aggregator = 'celcom'")
        await world.reached(jobs, "sent")


async def test_without_redis_it_goes_by_what_it_sees_itself(
    world: World, opening: OpenRoom, second: Second
) -> None:
    nobody = {"redis_url": "redis://127.0.0.1:9/0"}
    async with opening(**also(second), **dead(), **nobody, **STILL):
        jobs = await world.accept(40)
        await world.publish(jobs[:20], jobs[20:])
        rows = await world.reached(jobs, "sent")
    assert {row["route_id"] for row in rows} == {"africastalking"}


async def test_two_workers_share_what_one_has_seen(
    world: World, opening: OpenRoom, aggregator: Aggregator, second: Second, redis_url: str
) -> None:
    account = web.json_response({"response-code": 1004})
    async with opening(**also(second), **PAUSED):
        aggregator.failures = [account]
        jobs = await world.accept(1)
        await world.publish(jobs)
        await world.reached(jobs, "sent")

        async def told() -> bool:
            with redis.Redis.from_url(redis_url) as client:
                return bool(await asyncio.to_thread(client.hlen, "sema:routes:gates"))

        await eventually(told)
    aggregator.failures = []
    async with opening(**also(second), **PAUSED):

        async def heard() -> bool:
            more = await world.accept(1)
            await world.publish(more)
            [row] = await world.reached(more, "sent")
            return bool(row["route_id"] == "africastalking")

        await eventually(heard)


DEBT = -1e6
"""A bucket that no test lives to see full."""


def bucket(redis_url: str, tokens: float) -> None:
    with redis.Redis.from_url(redis_url) as client:
        client.hset("sema:pace:celcom", mapping={"tokens": str(tokens), "at": f"{time.time():.6f}"})


async def in_line(messages: int) -> None:
    """Until so many bulks of 20 stand in line for their pace."""

    async def look() -> bool:
        return bool(metrics.PACED.labels("celcom")._value.get() == messages / 20)

    await eventually(look)


async def test_a_long_line_for_one_route_does_not_keep_another_waiting(
    world: World, opening: OpenRoom, aggregator: Aggregator, second: Second, redis_url: str
) -> None:
    await world.owner.execute(
        "UPDATE core.routes SET per_second = 1, unserved = '{KE:Equitel}' WHERE aggregator = 'celcom'"
    )
    bucket(redis_url, DEBT)
    async with opening(**also(second), normal_senders=2):
        paced = await world.accept(60)
        await world.publish(*(paced[i : i + 20] for i in range(0, 60, 20)))
        [other] = await world.accept(1, to="+254763000001", mno="Equitel")
        await world.publish([other])
        await world.reached([other], "sent")

        async def put_off() -> bool:
            return any([[a["state"] for a in await world.attempts(job)] == ["waiting"] for job in paced])

        await eventually(put_off)
        assert aggregator.calls == []
        await world.owner.execute("UPDATE core.routes SET per_second = NULL WHERE aggregator = 'celcom'")

        async def freed() -> bool:  # whoever stood in line leaves as soon as the worker has read the table
            return bool(aggregator.calls)

        await eventually(freed)

        async def gone() -> bool:
            await world.owner.execute(
                "UPDATE orch.submit_attempts SET due_at = now() WHERE state = 'waiting' AND due_at > now()"
            )
            return all([(await world.message(job))["status"] == "sent" for job in paced])

        await eventually(gone)
    assert sorted(aggregator.texts) == sorted(job.body for job in paced), "each once"
    assert second.texts == [other.body]


async def test_what_expires_in_the_line_is_not_submitted(
    world: World, opening: OpenRoom, aggregator: Aggregator, redis_url: str
) -> None:
    await world.owner.execute("UPDATE core.routes SET per_second = 1 WHERE aggregator = 'celcom'")
    bucket(redis_url, DEBT)
    async with opening():
        jobs = await world.accept(1, lane="priority", valid_for=1)
        await world.publish(jobs)

        async def over() -> bool:
            return bool(now() >= jobs[0].valid_until)

        await eventually(over)
        bucket(redis_url, 40)
        await world.reached(jobs, "expired")
    assert aggregator.calls == []
    assert await world.refunds(jobs[0]) == 1
