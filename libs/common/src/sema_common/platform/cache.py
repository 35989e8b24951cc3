"""Redis: it only makes things fast, so a slow or absent Redis costs a caller at most a tenth of a second.

Every failure becomes `CacheUnavailable`, and after one the next second's calls do not even try. What must
never happen here: a retry (an INCR that timed out may have been applied), or anything that must not be lost.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, TypeVar

from prometheus_client import Counter
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

from sema_common.values.errors import CacheUnavailable

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

    @classmethod
    @asynccontextmanager
    async def open(cls, url: str) -> "AsyncIterator[Cache]":
        """A client for `url`; nothing is connected until it is used, and an absent Redis is no error here."""
        pool = BlockingConnectionPool.from_url(
            url,
            max_connections=MAX_CONNECTIONS,
            timeout=TIMEOUT_SECONDS,
            socket_timeout=TIMEOUT_SECONDS,
            socket_connect_timeout=TIMEOUT_SECONDS,
            retry=Retry(NoBackoff(), 0),
            decode_responses=True,
        )
        redis = Redis(connection_pool=pool)
        try:
            yield cls(redis)
        finally:
            await redis.aclose()
            await pool.disconnect()

    async def call(self, operation: "Callable[[Redis], Awaitable[T]]") -> T:
        """Run `operation(redis)`: `await cache.call(lambda r: r.hgetall(key))`. Text in, text out.

        Raises CacheUnavailable when Redis is away, slow, full, or was so within the last second.
        """
        if time.monotonic() < self._rest_until:
            _SKIPPED.inc()
            raise CacheUnavailable("Redis failed a moment ago")
        try:
            async with asyncio.timeout(2 * TIMEOUT_SECONDS):
                result = await operation(self._redis)
        except (RedisError, OSError, TimeoutError) as exc:
            _FAILED.inc()
            if isinstance(exc, RedisConnectionError | RedisTimeoutError | OSError | TimeoutError):
                self._rest_until = time.monotonic() + REST_SECONDS
            raise CacheUnavailable(f"{type(exc).__name__}: {exc}"[:200]) from exc
        _OK.inc()
        return result

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
