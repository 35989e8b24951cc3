"""How often somebody may try to log in, counted in Redis. Without Redis nobody logs in: it fails closed."""

import hashlib
from typing import Final

from sema_common.platform.cache import Cache
from sema_common.values.errors import Refused
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
        pair, pair_ttl, total, total_ttl = await self._try(
            _keys(email, address), [PAIR_SECONDS, ADDRESS_SECONDS]
        )
        if pair > PAIR_LIMIT or total > ADDRESS_LIMIT:
            wait = max(pair_ttl if pair > PAIR_LIMIT else 0, total_ttl if total > ADDRESS_LIMIT else 0)
            detail = "Too many attempts to log in: wait, then try again."
            raise Refused("rate_limited", detail, 429, headers=retry_after(wait))

    async def succeeded(self, email: str, address: str) -> None:
        """Clear what was counted against this account from this address."""
        await self._succeed(_keys(email, address), [])


def _keys(email: str, address: str) -> list[str]:
    """An address of a person is not written into Redis, only its hash."""
    who = hashlib.sha256(email.encode()).hexdigest()[:32]
    return [f"login:{who}:{address}", f"login-from:{address}"]
