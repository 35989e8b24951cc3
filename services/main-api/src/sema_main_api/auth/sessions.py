"""Sessions: one entry in Redis for each, and refresh tokens that work once. Lost with Redis: then people log in again.

`session:{userId}:{sessionId}` holds the generation of the one refresh token that is good, and the seed that all of them
are made of. A token of an older generation has been used before: whoever shows it, somebody has stolen one of this
session's, so the session ends for both. Only the one before the newest is forgiven, and only for GRACE_SECONDS: an
app whose answer was lost, or which asked twice at once, gets the same successor again.
"""

import base64
import hashlib
import hmac
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

from sema_common.platform.cache import Cache
from sema_common.values.clock import now
from sema_common.values.errors import CacheUnavailable, Refused
from sema_main_api import metrics

LIFE_SECONDS: Final = 30 * 86_400
"""Absolute: after a month everybody logs in again (design: at most 30 days)."""

GRACE_SECONDS: Final = 10

MAX_SESSIONS: Final = 50
"""Of one user; the oldest ends when he opens one more."""

PREFIX: Final = "srt_"
MAX_AGENT: Final = 200

OPEN_LUA: Final = """
redis.call('HSET', KEYS[1], 'seed', ARGV[2], 'generation', 1, 'rotated', ARGV[3], 'created', ARGV[3],
    'address', ARGV[4], 'agent', ARGV[5])
redis.call('EXPIRE', KEYS[1], ARGV[6])
redis.call('ZADD', KEYS[2], ARGV[3], ARGV[1])
redis.call('EXPIRE', KEYS[2], ARGV[6])
local gone = redis.call('ZRANGE', KEYS[2], 0, -tonumber(ARGV[7]) - 1)
for _, id in ipairs(gone) do
    redis.call('DEL', ARGV[8] .. id)
    redis.call('ZREM', KEYS[2], id)
end
return 1
"""

# Answers the generation of the token to hand out; 0: no such session; -1: a token that was used before.
ROTATE_LUA: Final = """
local found = redis.call('HMGET', KEYS[1], 'generation', 'rotated')
if not found[1] then return 0 end
local newest, given = tonumber(found[1]), tonumber(ARGV[1])
if given == newest then
    redis.call('HSET', KEYS[1], 'generation', newest + 1, 'rotated', ARGV[2], 'address', ARGV[3])
    return newest + 1
end
if given == newest - 1 and tonumber(ARGV[2]) - tonumber(found[2]) <= tonumber(ARGV[4]) then return newest end
redis.call('DEL', KEYS[1])
redis.call('ZREM', KEYS[2], ARGV[5])
return -1
"""


@dataclass(frozen=True, slots=True)
class Session:
    """One place where a user is logged in; times in UTC, the last one that of the newest refresh token."""

    id: str
    created_at: datetime
    refreshed_at: datetime
    address: str
    user_agent: str


@dataclass(frozen=True, slots=True)
class Refreshed:
    """Who refreshed which session, and the token for the next time."""

    user_id: UUID
    session_id: str
    token: str


class Sessions:
    """Opens, refreshes, lists and ends sessions. CacheUnavailable when Redis is away: nobody logs in then."""

    def __init__(self, cache: Cache) -> None:
        self._cache = cache
        self._open = cache.script(OPEN_LUA)
        self._rotate = cache.script(ROTATE_LUA)

    async def open(self, user_id: UUID, address: str, agent: str) -> Refreshed:
        """A new session with its first refresh token."""
        session_id, seed = secrets.token_hex(12), secrets.token_hex(32)
        keys = [_key(user_id, session_id), _index(user_id)]
        said = (session_id, seed, now().timestamp(), address, agent[:MAX_AGENT])
        await self._open(keys, [*said, LIFE_SECONDS, MAX_SESSIONS, _key(user_id, "")])
        return Refreshed(user_id, session_id, _token(user_id, session_id, 1, seed))

    async def refresh(self, token: str, address: str) -> Refreshed:
        """The session's next token for its newest one; Refused(401), and no session any more if it was used before."""
        user_id, session_id, generation = _parts(token)
        key = _key(user_id, session_id)
        seed = await self._cache.call(lambda redis: redis.hget(key, "seed"))
        if seed is None or not hmac.compare_digest(_token(user_id, session_id, generation, str(seed)), token):
            raise refused()
        newest: int = await self._rotate(
            [key, _index(user_id)], [generation, now().timestamp(), address, GRACE_SECONDS, session_id]
        )
        if newest <= 0:
            if newest < 0:
                metrics.REFRESH_REUSED.inc()
            raise refused()
        return Refreshed(user_id, session_id, _token(user_id, session_id, newest, str(seed)))

    async def is_open(self, user_id: UUID, session_id: str) -> bool:
        """Whether it has not ended. While Redis is away an access token is good for what is left of its minutes."""
        key = _key(user_id, session_id)
        try:
            return bool(await self._cache.call(lambda redis: redis.exists(key)))
        except CacheUnavailable:
            return True

    async def of(self, user_id: UUID) -> list[Session]:
        """Those that are open, the newest first."""
        found: list[Session] = []
        for session_id in reversed(await self._ids(user_id)):
            key = _key(user_id, session_id)
            kept: dict[str, Any] = await self._cache.call(lambda redis, key=key: redis.hgetall(key))  # type: ignore[misc]
            if kept:
                created, rotated = float(kept["created"]), float(kept["rotated"])
                found.append(
                    Session(session_id, _time(created), _time(rotated), kept["address"], kept["agent"])
                )
        return found

    async def end(self, user_id: UUID, session_id: str) -> bool:
        """End one; False when it was not open."""
        key, index = _key(user_id, session_id), _index(user_id)
        ended = await self._cache.call(lambda redis: redis.delete(key))
        await self._cache.call(lambda redis: redis.zrem(index, session_id))
        return bool(ended)

    async def end_all(self, user_id: UUID, *, but: str | None = None) -> int:
        """End every session of a user, but this one; answers how many."""
        return sum([await self.end(user_id, each) for each in await self._ids(user_id) if each != but])

    async def _ids(self, user_id: UUID) -> list[str]:
        """Of those that were opened, the oldest first; some may have ended since."""
        return [
            str(each) for each in await self._cache.call(lambda redis: redis.zrange(_index(user_id), 0, -1))
        ]


def refused() -> Refused:
    """One answer for every refresh token that does not work."""
    return Refused("unauthenticated", "This session has ended: log in again.", 401)


def _key(user_id: UUID, session_id: str) -> str:
    return f"session:{user_id}:{session_id}"


def _index(user_id: UUID) -> str:
    return f"sessions:{user_id}"


def _token(user_id: UUID, session_id: str, generation: int, seed: str) -> str:
    """Made of the seed, so that the same generation is always the same token and Redis holds none."""
    said = f"{user_id.hex}.{session_id}.{generation}"
    mac = hmac.digest(bytes.fromhex(seed), said.encode(), hashlib.sha256)
    return f"{PREFIX}{said}.{base64.urlsafe_b64encode(mac).decode().rstrip('=')}"


def _parts(token: str) -> tuple[UUID, str, int]:
    try:
        user_id, session_id, generation, _ = token.removeprefix(PREFIX).split(".")
        return UUID(user_id), str(bytes.fromhex(session_id).hex()), int(generation)
    except ValueError:
        raise refused() from None


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
