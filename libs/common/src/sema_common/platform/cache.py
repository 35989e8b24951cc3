"""Redis: it only makes things fast, so a slow or absent Redis costs a caller at most a tenth of a second.

Every failure becomes `CacheUnavailable`, and after one the next second's calls do not even try. What must
never happen here: a retry (an INCR that timed out may have been applied), or anything that must not be lost.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, TypeVar

from prometheus_client import Counter

from sema_common.platform.imports import without
from sema_common.values.errors import CacheUnavailable

# The client would load the metrics SDK, which comes with the one for traces: 2 MB each.
with without("opentelemetry.metrics", "opentelemetry.sdk.metrics"):
    from redis.asyncio import BlockingConnectionPool, Redis
    from redis.asyncio.retry import Retry
    from redis.backoff import NoBackoff
    from redis.exceptions import ConnectionError as RedisConnectionError
    from redis.exceptions import RedisError
    from redis.exceptions import TimeoutError as RedisTimeoutError

TIMEOUT_SECONDS: Final = 0.1
"""What a request may lose to Redis; the client's own default of 5 s and 10 retries would cost a minute."""

REST_SECONDS: Final = 1.0
"""After a failure Redis is left alone for this long."""

MAX_CONNECTIONS: Final = 20

_CALLS = Counter("sema_cache_calls_total", "Calls to Redis", ["outcome"])
_OK, _FAILED, _SKIPPED = (_CALLS.labels(outcome) for outcome in ("ok", "failed", "skipped"))

T = TypeVar("T")


class Cache:
    """One Redis, asked with a bounded wait; see the module."""

    def __init__(self, redis: "Redis") -> None:
        self._redis = redis
        self._rest_until = 0.0
        self._closing = False
        self._under_way = 0
        self._quiet = asyncio.Event()

    @classmethod
    @asynccontextmanager
    async def open(cls, url: str) -> "AsyncIterator[Cache]":
        """A client for `url`; nothing is connected until it is used, and an absent Redis is no error here.

        Leaving it refuses new calls and waits for those under way: the client's pool closes only connections
        that stand, and one that is being made at that moment would stay open for good.
        """
        pool = BlockingConnectionPool.from_url(
            url,
            max_connections=MAX_CONNECTIONS,
            timeout=TIMEOUT_SECONDS,
            socket_timeout=TIMEOUT_SECONDS,
            socket_connect_timeout=TIMEOUT_SECONDS,
            retry=Retry(NoBackoff(), 0),
            decode_responses=True,
        )
        cache = cls(Redis(connection_pool=pool))
        try:
            yield cache
        finally:
            await cache._finish()
            with contextlib.suppress(RedisError, OSError):  # one that closes slowly is closed all the same
                await pool.disconnect()

    async def call(self, operation: "Callable[[Redis], Awaitable[T]]") -> T:
        """Run `operation(redis)`: `await cache.call(lambda r: r.hgetall(key))`. Text in, text out.

        Raises CacheUnavailable when Redis is away, slow, full, or was so within the last second.
        """
        if self._closing or time.monotonic() < self._rest_until:
            _SKIPPED.inc()
            raise CacheUnavailable("closed" if self._closing else "Redis failed a moment ago")
        self._under_way += 1
        try:
            async with asyncio.timeout(2 * TIMEOUT_SECONDS):
                result = await operation(self._redis)
        except (RedisError, OSError, TimeoutError) as exc:
            _FAILED.inc()
            if isinstance(exc, RedisConnectionError | RedisTimeoutError | OSError | TimeoutError):
                self._rest_until = time.monotonic() + REST_SECONDS
            raise CacheUnavailable(f"{type(exc).__name__}: {exc}"[:200]) from exc
        finally:
            self._under_way -= 1
            if not self._under_way:
                self._quiet.set()
        _OK.inc()
        return result

    async def _finish(self) -> None:
        self._closing = True
        if self._under_way:
            self._quiet.clear()
            await self._quiet.wait()

    async def get(self, key: str) -> str | None:
        """The value, or None."""
        value = await self.call(lambda r: r.get(key))
        return value if value is None or isinstance(value, str) else value.decode()

    async def set(self, key: str, value: str, ttl: float) -> None:
        """Store a value for `ttl` seconds."""
        await self.call(lambda r: r.set(key, value, px=int(ttl * 1000)))

    async def delete(self, *keys: str) -> None:
        """Forget keys."""
        await self.call(lambda r: r.delete(*keys))

    def script(self, lua: str) -> Callable[[Sequence[str], Sequence[str | int | float]], Awaitable[Any]]:
        """A Lua script as `run(keys, args)`; loaded when needed, also after a restart of Redis."""
        registered = self._redis.register_script(lua)

        async def run(keys: Sequence[str], args: Sequence[str | int | float]) -> Any:
            return await self.call(lambda _: registered(keys=keys, args=args))

        return run

    async def check(self) -> None:
        """CacheUnavailable unless Redis answers; for readiness (degraded, never unready)."""
        self._rest_until = 0.0
        await self.call(lambda r: r.ping())
