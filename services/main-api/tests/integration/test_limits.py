"""The rate limiter on a real Redis, and without one."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest
import redis.asyncio

from sema_common.platform.cache import Cache
from sema_common.values.errors import Refused
from sema_main_api.http.callers import Caller
from sema_main_api.http.limits import Limits

NOBODY = "redis://127.0.0.1:1/0"


def caller(tier: str = "starter", **changes: Any) -> Caller:
    account = uuid4()
    own = Caller("key", account, account, account, tier, "KES", "active", "direct", key_id=uuid4())
    return replace(own, **changes)


@pytest.fixture(params=["redis", "alone"])
async def limits(request: pytest.FixtureRequest, redis_url: str) -> AsyncIterator[Limits]:
    url = redis_url if request.param == "redis" else NOBODY
    async with Cache.open(url) as cache, Limits.open(cache) as limits:
        yield limits


async def passed(limits: Limits, who: Caller, calls: int, lane: str = "normal", n: int = 1) -> int:
    results = await asyncio.gather(
        *(limits.take(who, {lane: n}) for _ in range(calls)), return_exceptions=True
    )
    assert all(isinstance(r, dict) or (isinstance(r, Refused) and r.code == "rate_limited") for r in results)
    return sum(isinstance(result, dict) for result in results)


async def test_of_many_at_once_the_burst_passes(limits: Limits) -> None:
    assert 50 <= await passed(limits, caller(), 120) <= 55


async def test_the_headers_say_what_is_left(limits: Limits) -> None:
    who = caller()
    assert await limits.take(who, {"normal": 10}) == {
        "ratelimit-policy": '"normal";q=50;w=5',
        "ratelimit": '"normal";r=40;t=1',
    }


async def test_a_refusal_tells_when_to_come_back(limits: Limits) -> None:
    who = caller()
    await limits.take(who, {"normal": 50})
    with pytest.raises(Refused) as caught:
        await limits.take(who, {"normal": 30})
    assert caught.value.status == 429
    assert caught.value.headers["retry-after"] == "3"
    assert caught.value.headers["ratelimit"].startswith('"normal";r=0')


async def test_a_batch_larger_than_the_burst_is_refused_whole_and_told_so(limits: Limits) -> None:
    who = caller()
    with pytest.raises(Refused, match="larger than the burst of 50"):
        await limits.take(who, {"normal": 51})
    assert await limits.take(who, {"normal": 50})


async def test_the_lanes_have_quotas_of_their_own(limits: Limits) -> None:
    who = caller()
    await limits.take(who, {"normal": 50})
    assert (await limits.take(who, {"priority": 1}))["ratelimit-policy"] == '"priority";q=50;w=5'


async def test_an_account_is_limited_over_all_of_its_keys(limits: Limits) -> None:
    """OWASP API4:2023."""
    who = caller()
    assert await passed(limits, who, 40) == 40
    assert await passed(limits, replace(who, key_id=uuid4()), 40) <= 14


async def test_one_account_does_not_eat_anothers_quota(limits: Limits) -> None:
    assert await passed(limits, caller(), 100) < 60
    assert await passed(limits, caller(), 50) == 50


async def test_one_key_may_be_slower_than_its_account_and_leaves_the_rest_to_the_others(
    limits: Limits,
) -> None:
    """OWASP API4:2023: a client that has run wild takes its own share, not the account's."""
    wild = caller(key_per_second=2)
    assert await passed(limits, wild, 60) in (10, 11)
    assert await passed(limits, replace(wild, key_id=uuid4(), key_per_second=None), 39) == 39


async def test_a_key_with_a_rate_is_held_to_it_where_its_account_has_none(limits: Limits) -> None:
    assert await passed(limits, caller("enterprise", key_per_second=1), 20) in (5, 6)


async def test_two_lanes_in_one_call_pass_together_or_not_at_all(limits: Limits) -> None:
    """OWASP API4:2023."""
    who = caller(priority_per_second=1)
    with pytest.raises(Refused):
        await limits.take(who, {"normal": 10, "priority": 6})
    await limits.take(who, {"priority": 5})
    with pytest.raises(Refused) as caught:
        await limits.take(who, {"normal": 10, "priority": 1})
    assert caught.value.headers["ratelimit"].startswith('"normal";r=50;t=')
    assert (await limits.take(who, {"normal": 50}))["ratelimit"].startswith('"normal";r=0')


async def test_a_test_run_slows_nothing_that_is_sent_in_earnest(limits: Limits) -> None:
    who = caller()
    assert await passed(limits, replace(who, mode="test"), 60) >= 50
    assert await passed(limits, who, 50) == 50


async def test_an_account_without_a_limit_asks_nobody() -> None:
    async with Cache.open(NOBODY) as cache, Limits.open(cache) as limits:
        assert await limits.take(caller("enterprise"), {"normal": 1_000_000}) == {}


async def test_staff_may_limit_an_enterprise(limits: Limits) -> None:
    who = caller("enterprise", rate_per_second=1, rate_burst=3)
    assert await passed(limits, who, 10) == 3


async def test_two_instances_count_together(redis_url: str) -> None:
    who = caller()
    async with (
        Cache.open(redis_url) as one,
        Cache.open(redis_url) as two,
        Limits.open(one) as first,
        Limits.open(two) as second,
    ):
        counts = await asyncio.gather(passed(first, who, 60), passed(second, who, 60))
    assert 50 <= sum(counts) <= 58


async def test_states_are_where_the_contract_says_and_do_not_stay(redis_url: str) -> None:
    who = caller()
    async with Cache.open(redis_url) as cache, Limits.open(cache) as limits:
        await limits.take(who, {"normal": 1})
    async with redis.asyncio.Redis.from_url(redis_url) as client:
        assert await client.pttl(f"ratelimit:{who.account_id}:{who.key_id}") > 0
        assert await client.pttl(f"ratelimit:{who.account_id}:all") > 0


async def test_a_limiter_that_lost_its_script_goes_on(redis_url: str) -> None:
    who = caller()
    async with Cache.open(redis_url) as cache, Limits.open(cache) as limits:
        await limits.take(who, {"normal": 1})
        async with redis.asyncio.Redis.from_url(redis_url) as client:
            await client.script_flush()
        assert (await limits.take(who, {"normal": 1}))["ratelimit"].startswith('"normal";r=48')
