"""What several workers know together through a real Redis: windows, rows, gates, trials, pace; and each alone."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest

from sema_aggregators import Outcome, SubmitOutcome
from sema_common.messages.routes import WINDOW, WINDOW_SECONDS, count_key, route_key
from sema_common.platform.cache import Cache
from sema_common.platform.rolling import Rolling
from sema_common.wire.sms import Lane
from sema_sms_worker import metrics
from sema_sms_worker.clients.health import Health, Policy
from sema_sms_worker.clients.pacing import Pace
from sema_sms_worker.rules.gates import Rest
from sema_sms_worker.rules.health import Limits

GOOD = [SubmitOutcome(Outcome.ACCEPTED, "accepted", aggregator_id="1")]
BAD = [SubmitOutcome(Outcome.IN_DOUBT, "http_500")]
LOW = [SubmitOutcome(Outcome.ACCOUNT, "low_credit")]
POLICY = Policy(Limits(), Rest(1, 30), Rest(5, 60), Rest(30, 60), trials=3, trial_seconds=20)
NOWHERE = "redis://127.0.0.1:9/0"


@dataclass
class Clock:
    """A wall clock that tests move."""

    now: float = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def cache(redis_url: str) -> AsyncIterator[Cache]:
    async with Cache.open(redis_url) as cache:
        yield cache


def call(
    health: Health, outcomes: list[SubmitOutcome], mno: str = "Safaricom", trial: str | None = None
) -> None:
    number = health.began("celcom", frozenset({mno}), trial)
    health.ended("celcom", number, outcomes)


def state(health: Health, mno: str | None = "Safaricom") -> str:
    return health.standing("celcom", mno).state


async def test_ten_failures_in_a_row_of_two_workers_shut_it_for_both(cache: Cache, clock: Clock) -> None:
    one, two = (Health(cache, POLICY, clock) for _ in range(2))
    for _ in range(5):
        call(one, BAD)
        call(two, BAD)
    assert state(one) == state(two) == "open"
    await one.exchange()
    await two.exchange()
    assert state(two) == "shut", "the tenth, as it heard"
    await two.exchange()
    await one.exchange()
    assert state(one) == "shut", "and it told"


@pytest.mark.parametrize("workers", [2, 4])
async def test_workers_lose_fewer_than_20_calls_together_on_a_dead_aggregator(
    cache: Cache, clock: Clock, workers: int
) -> None:
    """Each calls as often as it may before it hears of the others."""
    healths = [Health(cache, POLICY, clock) for _ in range(workers)]
    for _ in range(2):
        for health in healths:
            call(health, GOOD)
            await health.exchange()
    clock.now += 2  # nobody has called it lately
    lost = 0
    while any(state(health) == "open" for health in healths):
        for health in healths:
            while health.room("celcom") and state(health) == "open":
                call(health, BAD)
                lost += 1
        for health in healths:
            await health.exchange()
    assert POLICY.limits.row <= lost < 20


async def test_a_success_of_anybody_ends_the_row(cache: Cache, clock: Clock) -> None:
    one, two = (Health(cache, POLICY, clock) for _ in range(2))
    for _ in range(6):
        call(one, BAD)
    await one.exchange()
    call(two, GOOD)
    await two.exchange()
    for _ in range(4):
        call(one, GOOD)
        call(one, BAD)
    await one.exchange()
    assert state(one) == state(two) == "open"


async def test_a_window_of_all_workers_shuts_it(cache: Cache, clock: Clock) -> None:
    """Each alone has seen too little: 30 calls with one failure in four."""
    one, two = (Health(cache, POLICY, clock) for _ in range(2))
    for health in (one, two):
        for i in range(30):
            call(health, BAD if i % 4 == 0 else GOOD)
        assert state(health) == "open"
        await health.exchange()
    call(one, BAD)
    await one.exchange()
    call(one, BAD)
    assert state(one) == "shut"


async def test_what_is_older_than_the_window_is_forgotten(cache: Cache, clock: Clock) -> None:
    health = Health(cache, POLICY, clock)
    for i in range(60):
        call(health, BAD if i % 6 == 0 else GOOD)
    await health.exchange()
    clock.now += WINDOW_SECONDS + 1
    await health.exchange()
    for i in range(60):
        call(health, BAD if i % 8 == 0 else GOOD)
    assert state(health) == "open"


async def test_one_message_tries_it_of_all_workers(cache: Cache, clock: Clock) -> None:
    one, two = (Health(cache, POLICY, clock) for _ in range(2))
    for _ in range(10):
        call(one, BAD)
    await one.exchange()
    await two.exchange()
    clock.now += 1.0
    assert state(one) == state(two) == "trial"
    assert await one.may_try("celcom")
    assert not await two.may_try("celcom")
    assert state(one) == "shut", "its own trial is under way"
    call(one, GOOD, trial="celcom")
    await one.tried("celcom")
    await one.exchange()
    assert await two.may_try("celcom")
    await two.exchange()
    call(two, GOOD, trial="celcom")
    await two.tried("celcom")
    await two.exchange()
    await one.exchange()
    assert await one.may_try("celcom")
    call(one, GOOD, trial="celcom")
    assert state(one) == "open"
    await one.exchange()
    await two.exchange()
    assert state(two) == "open"


async def test_a_failed_trial_doubles_the_rest_for_all(cache: Cache, clock: Clock) -> None:
    one, two = (Health(cache, POLICY, clock) for _ in range(2))
    for _ in range(10):
        call(one, BAD)
    await one.exchange()
    await two.exchange()
    clock.now += 1.0
    assert await two.may_try("celcom")
    call(two, BAD, trial="celcom")
    await two.tried("celcom")
    await two.exchange()
    await one.exchange()
    clock.now += 1.5
    assert state(one) == state(two) == "shut"
    clock.now += 0.5
    assert state(one) == state(two) == "trial"


async def test_a_call_that_says_nothing_shuts_it_before_it_ends(cache: Cache, clock: Clock) -> None:
    health = Health(cache, POLICY, clock)
    for _ in range(10):
        health.began("celcom", frozenset({"Safaricom"}), None)
    assert health.room("celcom") == 0
    clock.now += POLICY.limits.stalled
    await health.exchange()
    assert health.standing("celcom", None).why == "failing"


async def test_networks_go_apart_by_what_is_reported_of_them(cache: Cache, clock: Clock) -> None:
    reports = Rolling(cache, WINDOW, WINDOW_SECONDS)
    airtel = route_key("celcom", "Airtel")
    counts = {count_key(airtel, "delivered"): 10, count_key(airtel, "undelivered"): 90}
    fine = {count_key(route_key("celcom", "Safaricom"), "delivered"): 100}
    await reports.add(counts | fine, clock())
    health = Health(cache, POLICY, clock)
    await health.exchange()
    assert health.standing("celcom", "Airtel").why == "undelivered"
    assert health.standing("celcom", "Airtel").soft
    assert state(health, "Safaricom") == state(health, None) == "open"
    clock.now += 30
    assert health.standing("celcom", "Airtel").trial == airtel
    for _ in range(3):
        assert await health.may_try(airtel)
        call(health, GOOD, "Airtel", trial=airtel)
        await health.tried(airtel)
    assert state(health, "Airtel") == "open"
    await health.exchange()
    assert state(health, "Airtel") == "open", "what was reported before it opened is forgotten"


async def test_an_account_at_fault_pauses_it_and_metrics_say_so(cache: Cache, clock: Clock) -> None:
    health = Health(cache, POLICY, clock)
    call(health, LOW)
    await health.exchange()
    assert health.standing("celcom", None).why == "account"
    assert metrics.PAUSED.labels("celcom")._value.get() == 1
    assert metrics.WAY.labels("celcom")._value.get() == 0


async def test_a_worker_that_starts_knows_at_once(cache: Cache, clock: Clock) -> None:
    one = Health(cache, POLICY, clock)
    call(one, LOW)
    await one.exchange()
    late = Health(cache, POLICY, clock)
    await late.exchange()
    assert state(late) == "shut"


async def test_a_redis_that_comes_back_empty_is_told_again(cache: Cache, clock: Clock) -> None:
    one = Health(cache, POLICY, clock)
    call(one, LOW)
    await one.exchange()
    await cache.call(lambda r: r.flushdb())
    await one.exchange()
    await one.exchange()
    late = Health(cache, POLICY, clock)
    await late.exchange()
    assert state(late) == "shut"


async def test_without_redis_each_goes_by_itself(clock: Clock) -> None:
    async with Cache.open(NOWHERE) as away:
        health = Health(away, POLICY, clock)
        await health.exchange()
        clock.now += 5
        for i in range(60):
            call(health, BAD if i % 4 == 0 else GOOD)
        assert state(health) == "shut"
        clock.now += 1
        assert await health.may_try("celcom")
        call(health, GOOD, trial="celcom")
        await health.tried("celcom")


# --- pace: at one message a second the bucket holds 40, of which the normal lane leaves 8, and no time that a
# test takes fills it. Where time must pass, the bucket is told so.


@pytest.fixture
def pace(cache: Cache) -> Pace:
    return slow_pace(cache, "one")


def slow_pace(cache: Cache, worker: str) -> Pace:
    pace = Pace(cache, "celcom", worker)
    pace.per_second = 1
    return pace


async def bucket(cache: Cache, *, seconds_ago: float, tokens: float = 0) -> None:
    """What the bucket held so long ago, by Redis's own clock."""

    async def fill(client: Any) -> None:
        seconds, micros = await client.time()
        at = seconds + micros / 1_000_000 - seconds_ago
        await client.hset("sema:pace:celcom", mapping={"tokens": str(tokens), "at": f"{at:.6f}"})

    await cache.call(fill)


async def answered(pace: Pace) -> None:
    """Until the bucket has told this second worker what it may take, if anything, and of the first one."""
    async with asyncio.timeout(20):
        while pace._workers != 2:  # noqa: ASYNC110 - it happens inside
            await asyncio.sleep(0.01)


def waiting(pace: Pace, number: int, lane: Lane) -> "asyncio.Task[None]":
    return asyncio.create_task(pace.take(number, lane))


async def served(place: "asyncio.Task[None]") -> None:
    await asyncio.wait_for(place, 20)


async def give_up(*places: "asyncio.Task[None]") -> None:
    for place in places:
        place.cancel()
    await asyncio.wait(places)


async def test_what_one_worker_has_taken_the_other_does_not_get(cache: Cache, pace: Pace) -> None:
    other = slow_pace(cache, "two")
    for _ in range(2):
        await served(waiting(pace, 20, "priority"))
    place = waiting(other, 20, "priority")
    await answered(other)
    assert not place.done()
    await bucket(cache, seconds_ago=20)
    await served(place)


async def test_a_bucket_fills_by_its_pace_and_no_further(cache: Cache, pace: Pace) -> None:
    await bucket(cache, seconds_ago=3600)
    for _ in range(2):
        await served(waiting(pace, 20, "priority"))
    other = slow_pace(cache, "two")
    place = waiting(other, 20, "priority")
    await answered(other)
    assert not place.done()
    await give_up(place)


async def test_the_priority_lane_may_empty_the_bucket_and_the_normal_lane_may_not(
    cache: Cache, pace: Pace
) -> None:
    await served(waiting(pace, 20, "normal"))
    other = slow_pace(cache, "two")
    normal = waiting(other, 20, "normal")
    await answered(other)
    assert not normal.done()
    await served(waiting(pace, 8, "priority"))
    await give_up(normal)


async def test_the_priority_lane_does_not_stand_behind_the_normal_lane(cache: Cache, pace: Pace) -> None:
    normal = waiting(pace, 60, "normal")
    await asyncio.sleep(0)  # it stands in line
    await served(waiting(pace, 1, "priority"))
    assert not normal.done()
    await give_up(normal)


async def test_without_a_pace_nobody_asks_redis() -> None:
    async with Cache.open(NOWHERE) as away:
        pace = Pace(away, "celcom", "a")
        await served(waiting(pace, 10_000, "normal"))


async def test_without_redis_a_pace_is_kept_all_the_same(clock: Clock) -> None:
    async with Cache.open(NOWHERE) as away:
        pace = Pace(away, "celcom", "a", clock)
        pace.per_second = 100
        places = [waiting(pace, 50, "priority") for _ in range(3)]
        await served(places[0])
        await served(places[1])
        assert not places[2].done(), "a second's worth has left, and no second has passed"
        clock.now += 0.5
        await served(places[2])
