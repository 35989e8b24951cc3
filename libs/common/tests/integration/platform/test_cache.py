"""Redis: fast when it is there, a tenth of a second when it is not, and never another caller's answer."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from sema_common.platform import cache as platform_cache
from sema_common.platform.cache import Cache
from sema_common.values.errors import CacheUnavailable


@pytest.fixture
async def cache(redis_url: str) -> AsyncIterator[Cache]:
    async with Cache.open(redis_url) as cache:
        yield cache


async def test_values_come_back_as_text_until_they_end(cache: Cache) -> None:
    await cache.set("k", "ü", ttl=60)
    assert await cache.get("k") == "ü"
    assert 0 < await cache.call(lambda r: r.pttl("k")) <= 60_000
    await cache.delete("k", "absent")
    assert await cache.get("k") is None


async def test_a_script_is_loaded_when_redis_has_forgotten_it(cache: Cache) -> None:
    script = cache.script("return redis.call('INCRBY', KEYS[1], ARGV[1])")
    assert await script(["n"], [2]) == 2
    await cache.call(lambda r: r.script_flush())
    assert await script(["n"], [3]) == 5


async def test_a_broken_script_is_said_at_once_and_does_not_rest_the_cache(cache: Cache) -> None:
    with pytest.raises(CacheUnavailable):
        await cache.script("return redis.call('NONSENSE')")([], [])
    await cache.set("k", "v", ttl=1)


async def test_a_frozen_redis_costs_a_moment_once_and_then_nothing(
    redis_url: str, proxied: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(platform_cache, "REST_SECONDS", 3600)
    async with proxied(redis_url) as proxy, Cache.open(proxy.url) as cache:
        await cache.set("k", "v", ttl=60)
        proxy.swallow = True
        with monkeypatch.context() as impatient:
            impatient.setattr(platform_cache, "TIMEOUT_SECONDS", 0.1)
            async with asyncio.timeout(5):  # the client's own settings would make it a minute
                with pytest.raises(CacheUnavailable):
                    await cache.get("k")
        skipped = platform_cache._SKIPPED._value.get()
        for _ in range(100):
            with pytest.raises(CacheUnavailable):
                await cache.get("k")
        assert platform_cache._SKIPPED._value.get() == skipped + 100
        proxy.swallow = False
        proxy.cut()
        async with asyncio.timeout(20):
            while not await _is_back(cache):  # noqa: ASYNC110 - Redis is polled
                await asyncio.sleep(0.05)
        assert await cache.get("k") == "v"


async def _is_back(cache: Cache) -> bool:
    try:
        await cache.check()
    except CacheUnavailable:
        return False
    return True


async def test_a_cache_rests_no_longer_than_it_should(
    redis_url: str, proxied: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(platform_cache, "REST_SECONDS", 0.01)
    async with proxied(redis_url) as proxy, Cache.open(proxy.url) as cache:
        proxy.refuse = True
        with pytest.raises(CacheUnavailable):
            await cache.set("k", "v", ttl=60)
        proxy.refuse = False
        async with asyncio.timeout(20):
            while await _get_or_none(cache) is None:
                with contextlib.suppress(CacheUnavailable):
                    await cache.set("k", "v", ttl=60)


async def _get_or_none(cache: Cache) -> str | None:
    try:
        return await cache.get("k")
    except CacheUnavailable:
        return None


async def test_an_absent_redis_is_no_error_until_it_is_asked(proxied: Callable[[str], Any]) -> None:
    async with Cache.open("redis://127.0.0.1:1/0") as cache:
        with pytest.raises(CacheUnavailable):
            await cache.check()


async def test_closing_waits_for_whoever_is_still_connecting(redis_url: str) -> None:
    async with Cache.open(redis_url) as cache:
        asking = asyncio.create_task(cache.get("absent"))
        await asyncio.sleep(0)  # it has begun, and its connection is being made
    assert asking.done()
    assert await asking is None
    with pytest.raises(CacheUnavailable):
        await cache.get("absent")


async def test_cancelled_calls_never_hand_their_answer_to_somebody_else(cache: Cache) -> None:
    for n in range(100):
        await cache.set(f"k{n}", str(n), ttl=60)

    async def ask(n: int) -> tuple[int, str | None]:
        return n, await cache.get(f"k{n}")

    tasks = [asyncio.create_task(ask(n)) for n in range(100)]
    for index, task in enumerate(tasks):
        if index % 2:
            asyncio.get_running_loop().call_later(0.0002 * index, task.cancel)
    results = await asyncio.gather(*tasks, return_exceptions=True)
    answers = [r for r in results if isinstance(r, tuple)]
    assert answers
    assert all(value == str(n) for n, value in answers)
