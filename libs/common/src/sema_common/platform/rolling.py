"""Counts of the last seconds, added up over all processes through Redis.

A second has a hash of its own, which ends by itself. Nobody is asked per event: a process adds what it has
gathered and reads the newest seconds, in two round trips. Without Redis a process goes by what it counted
itself. What must never happen here: anything that must not be lost.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from sema_common.platform.cache import Cache

LATE_SECONDS: Final = 3
"""So far back another process may still add: its own gathering, and a clock that is not quite ours."""

Seconds = dict[int, dict[str, int]]


class Rolling:
    """A window of `seconds`; the names of counts are the callers'. Times are Unix seconds."""

    def __init__(self, cache: Cache, name: str, seconds: int) -> None:
        self._cache = cache
        self._prefix = f"sema:rolling:{name}:"
        self._seconds = seconds
        self._shared: Seconds = {}
        self._own: Seconds = {}
        self._pending: dict[str, int] = {}
        self._read_at = 0

    def note(self, counts: Mapping[str, int], now: float) -> None:
        """Count in memory; the next `exchange` tells the others."""
        own = self._own.setdefault(int(now), {})
        for name, number in counts.items():
            own[name] = own.get(name, 0) + number
            self._pending[name] = self._pending.get(name, 0) + number

    async def exchange(self, now: float) -> None:
        """Add what was noted, read what the others have. CacheUnavailable: `total` is soon our own only."""
        pending, self._pending = self._pending, {}
        _forget(self._own, int(now) - self._seconds)
        await self.add(pending, now)
        await self.read(now)

    async def add(self, counts: Mapping[str, int], now: float) -> None:
        """Add to this second, for a process that only tells. CacheUnavailable: perhaps it was added."""
        key = f"{self._prefix}{int(now)}"

        async def write(redis: Any) -> None:
            pipe = redis.pipeline(transaction=False)
            for name, number in counts.items():
                pipe.hincrby(key, name, number)
            pipe.expire(key, self._seconds + 2 * LATE_SECONDS)
            await pipe.execute()

        if counts:
            await self._cache.call(write)

    async def read(self, now: float) -> None:
        """Read the seconds that may have changed. CacheUnavailable: nothing is known anew."""
        this = int(now)
        oldest = this - self._seconds
        wanted = range(max(oldest, self._read_at - LATE_SECONDS), this + 1)

        async def load(redis: Any) -> Iterable[Mapping[str, str]]:
            pipe = redis.pipeline(transaction=False)
            for second in wanted:
                pipe.hgetall(f"{self._prefix}{second}")
            found: Iterable[Mapping[str, str]] = await pipe.execute()
            return found

        for second, counts in zip(wanted, await self._cache.call(load), strict=True):
            self._shared[second] = {name: int(number) for name, number in counts.items()}
        self._read_at = this
        _forget(self._shared, oldest)

    def total(self, now: float, since: float = 0.0) -> dict[str, int]:
        """The sums of the seconds from `since` on: everybody's and what is still to be told, or else our own."""
        alone = now - self._read_at > LATE_SECONDS
        sums = {} if alone else dict(self._pending)
        for second, counts in (self._own if alone else self._shared).items():
            if second >= since and second >= now - self._seconds:
                for name, number in counts.items():
                    sums[name] = sums.get(name, 0) + number
        return sums


def _forget(seconds: Seconds, oldest: int) -> None:
    for second in [second for second in seconds if second < oldest]:
        del seconds[second]
