"""How often somebody may try to log in, counted in Redis. Without Redis nobody logs in: it fails closed.

A login is rare and slow by design, so unlike the hot path it waits for Redis once to recover from a blink.
"""

import asyncio
import contextlib
import hashlib
from typing import Any, Final

from sema_common.platform.cache import REST_SECONDS, Cache
from sema_common.values.errors import CacheUnavailable, Refused
from sema_main_api.http.problems import retry_after

PAIR_LIMIT: Final = 5
PAIR_SECONDS: Final = 900
"""Attempts on one account from one address (design: 5 in 15 minutes); a success clears them."""

ADDRESS_LIMIT: Final = 100
ADDRESS_SECONDS: Final = 3600
"""Failed attempts from one address, whatever the account."""

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


class LoginGuard:
    """Asked before a password is looked at, and told of every success."""

    def __init__(self, cache: Cache) -> None:
        self._try = cache.script(TRY_LUA)
        self._succeed = cache.script(SUCCEED_LUA)

    async def attempt(self, email: str, address: str) -> None:
        """Count an attempt; Refused(429) when there were too many, CacheUnavailable when nobody can tell."""
        try:
            found = await self._count(email, address)
        except CacheUnavailable:  # an attempt that is counted twice errs on the safe side
            await asyncio.sleep(REST_SECONDS)
            found = await self._count(email, address)
        pair, pair_ttl, total, total_ttl = found
        if pair > PAIR_LIMIT or total > ADDRESS_LIMIT:
            wait = max(pair_ttl if pair > PAIR_LIMIT else 0, total_ttl if total > ADDRESS_LIMIT else 0)
            detail = "Too many attempts to log in: wait, then try again."
            raise Refused("rate_limited", detail, 429, headers=retry_after(wait))

    async def succeeded(self, email: str, address: str) -> None:
        """Clear what was counted against this account from this address; what cannot be cleared expires."""
        with contextlib.suppress(CacheUnavailable):
            await self._succeed(_keys(email, address), [])

    async def _count(self, email: str, address: str) -> Any:
        return await self._try(_keys(email, address), [PAIR_SECONDS, ADDRESS_SECONDS])


def _keys(email: str, address: str) -> list[str]:
    """An address of a person is not written into Redis, only its hash."""
    who = hashlib.sha256(email.encode()).hexdigest()[:32]
    return [f"login:{who}:{address}", f"login-from:{address}"]
