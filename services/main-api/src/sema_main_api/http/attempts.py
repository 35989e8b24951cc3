"""How often somebody may try, counted in Redis: logging in, registering, asking for a mail. It fails closed.

Each is rare and slow by design, so unlike the hot path it waits for Redis once to recover from a blink.
"""

import asyncio
import contextlib
import hashlib
from dataclasses import dataclass
from typing import Any, Final

from sema_common.platform.cache import REST_SECONDS, Cache
from sema_common.values.errors import CacheUnavailable, Refused
from sema_main_api.http.problems import retry_after

# Counts the attempt before it is judged, so that parallel guesses cannot slip through together.
TRY_LUA: Final = """
local found = {}
for i, key in ipairs(KEYS) do
    local count = redis.call('INCR', key)
    if count == 1 then redis.call('EXPIRE', key, ARGV[i]) end
    found[2 * i - 1], found[2 * i] = count, redis.call('TTL', key)
end
return found
"""
SUCCEED_LUA: Final = """
redis.call('DEL', KEYS[1])
if redis.call('EXISTS', KEYS[2]) == 1 then redis.call('DECR', KEYS[2]) end
return 1
"""


@dataclass(frozen=True, slots=True)
class Bounds:
    """Attempts about one person from one address, and from one address whatever the person, each in its seconds.

    `anywhere`: those about one person count together wherever they come from.
    """

    pair: int
    pair_seconds: int
    address: int
    address_seconds: int
    anywhere: bool = False


class Attempts:
    """Counts one kind of attempt, asked before anything is done; `name` sets its keys apart."""

    def __init__(self, cache: Cache, name: str, bounds: Bounds, detail: str) -> None:
        self._try = cache.script(TRY_LUA)
        self._succeed = cache.script(SUCCEED_LUA)
        self._name = name
        self._bounds = bounds
        self._detail = detail

    async def attempt(self, email: str, address: str) -> None:
        """Count an attempt; Refused(429) when there were too many, CacheUnavailable when nobody can tell."""
        try:
            found = await self._count(email, address)
        except CacheUnavailable:  # an attempt that is counted twice errs on the safe side
            await asyncio.sleep(REST_SECONDS)
            found = await self._count(email, address)
        pair, pair_ttl, total, total_ttl = found
        bounds = self._bounds
        if pair > bounds.pair or total > bounds.address:
            wait = max(pair_ttl if pair > bounds.pair else 0, total_ttl if total > bounds.address else 0)
            raise Refused("rate_limited", self._detail, 429, headers=retry_after(wait))

    async def succeeded(self, email: str, address: str) -> None:
        """Clear what was counted about this person from this address; what cannot be cleared expires."""
        with contextlib.suppress(CacheUnavailable):
            await self._succeed(self._keys(email, address), [])

    async def _count(self, email: str, address: str) -> Any:
        seconds = [self._bounds.pair_seconds, self._bounds.address_seconds]
        return await self._try(self._keys(email, address), seconds)

    def _keys(self, email: str, address: str) -> list[str]:
        """An address of a person is not written into Redis, only its hash."""
        who = hashlib.sha256(email.encode()).hexdigest()[:32]
        place = "anywhere" if self._bounds.anywhere else address
        return [f"{self._name}:{who}:{place}", f"{self._name}-from:{address}"]
