"""How quickly messages may leave for an aggregator, of all workers together: a token bucket in Redis.

Tokens are fetched for all that wait here in one round trip, a moment's worth ahead, and what nobody took within
a second is forgotten. The priority lane may empty the bucket, the normal lane leaves it a share. Without Redis each
worker keeps to an even share by itself.
"""

import asyncio
import random
import time
from collections import deque
from collections.abc import Callable
from typing import Final

from sema_common.platform.cache import Cache
from sema_common.values.errors import CacheUnavailable
from sema_common.wire.sms import MAX_JOBS, Lane
from sema_sms_worker import metrics

AHEAD_SECONDS: Final = 0.05
KEPT_SECONDS: Final = 1.0
RESERVED: Final = 0.2
"""Of the bucket, what the normal lane leaves to the priority lane."""

AGAIN_SECONDS: Final = 0.02

LINE_SECONDS: Final = 1.0
"""A line longer than this keeps other routes' messages waiting: who comes then may come back later."""

BOOKED_SECONDS: Final = 60.0
"""Nobody is told to come back later than this: staff may raise the pace meanwhile."""

# KEYS: bucket · ARGV: tokens a second, size, wanted, kept back. Answers what was taken (whole tokens, perhaps 0)
# and how many workers have asked within 10 s. Redis's own clock counts.
LUA_TAKE: Final = """
local time = redis.call('TIME')
local now = time[1] + time[2] / 1000000
local rate, size, wanted, kept = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local there = redis.call('HMGET', KEYS[1], 'tokens', 'at')
local tokens = math.min(size, (tonumber(there[1]) or size) + math.max(0, now - (tonumber(there[2]) or now)) * rate)
local taken = math.max(0, math.min(wanted, math.floor(tokens - kept)))
redis.call('HSET', KEYS[1], 'tokens', tostring(tokens - taken), 'at', string.format('%.6f', now))
redis.call('PEXPIRE', KEYS[1], math.ceil(size / rate * 1000) + 60000)
redis.call('ZADD', KEYS[2], now, ARGV[5])
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now - 10)
redis.call('PEXPIRE', KEYS[2], 20000)
return {taken, redis.call('ZCARD', KEYS[2])}
"""


class Pace:
    """The pace of one aggregator. `per_second` None: none is kept; staff may change it at any time."""

    def __init__(
        self, cache: Cache, aggregator: str, worker: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._take = cache.script(LUA_TAKE)
        self._keys = [f"sema:pace:{aggregator}", f"sema:pace:{aggregator}:workers"]
        self._aggregator = aggregator
        self._worker = worker
        self._clock = clock
        self._tokens = 0
        self._kept_until = 0.0
        self._workers = 1
        self._alone = (0.0, 0.0)  # tokens, at
        self._waiting: dict[Lane, deque[tuple[int, asyncio.Future[None]]]] = {
            "priority": deque(),
            "normal": deque(),
        }
        self._fetching: asyncio.Task[None] | None = None
        self._booked: dict[Lane, float] = {}
        self.per_second: int | None = None

    def fits(self, lane: Lane) -> int | None:
        """How many more messages of this lane would leave within about a second; None: any number."""
        if self.per_second is None:
            return None
        ahead = self._line() if lane == "normal" else self._line("priority")
        return max(0, max(1, int(LINE_SECONDS * self._share())) - ahead)

    def book(self, lane: Lane) -> float:
        """A time for a message that did not fit, in seconds from now: each has its own, at our share of the pace."""
        now = self._clock()
        at = max(self._booked.get(lane, 0.0), now + LINE_SECONDS) + 1 / self._share()
        if at > now + BOOKED_SECONDS:  # not all at once then
            return random.uniform(BOOKED_SECONDS / 2, BOOKED_SECONDS)
        self._booked[lane] = at
        return at - now

    def _share(self) -> float:
        return (self.per_second or 1) / max(self._workers, 1)

    async def take(self, number: int, lane: Lane) -> None:
        """Wait until so many messages may leave. Cancelling gives up the place, not tokens of others."""
        if self.per_second is None:
            return
        if not self._line() and self._clock() < self._kept_until and self._tokens >= number:
            self._tokens -= number
            return
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[lane].append((number, place))
        if self._fetching is None or self._fetching.done():
            self._fetching = asyncio.create_task(self._serve())
        with metrics.PACED.labels(self._aggregator).track_inprogress():
            await place

    def _line(self, *lanes: Lane) -> int:
        """Messages that wait, of these lanes or of all."""
        lines = [self._waiting[lane] for lane in lanes or self._waiting]
        return sum(number for line in lines for number, place in line if not place.done())

    async def _serve(self) -> None:
        """Fetch and hand out until nobody waits: the priority lane first, each lane in its order."""
        if self._clock() >= self._kept_until:
            self._tokens = 0
        while self._line():
            rate = self.per_second
            if rate is None:
                self._hand_out(free=True)
                return
            wanted = self._line() - self._tokens + int(rate * AHEAD_SECONDS)
            got = await self._fetch(rate, max(wanted, 0))
            self._tokens += got
            if got:
                self._kept_until = self._clock() + KEPT_SECONDS
            if not self._hand_out():
                await asyncio.sleep(min(max(AGAIN_SECONDS, 1 / rate), 1.0))

    def _hand_out(self, *, free: bool = False) -> bool:
        served = False
        for line in self._waiting.values():
            while line:
                number, place = line[0]
                if place.done():
                    line.popleft()
                    continue
                if not free and self._tokens < number:
                    return served
                self._tokens -= 0 if free else number
                line.popleft()
                place.set_result(None)
                served = True
        return served

    async def _fetch(self, rate: int, wanted: int) -> int:
        size = max(rate, 2 * MAX_JOBS)
        urgent = any(not place.done() for _, place in self._waiting["priority"])
        kept = 0 if urgent else int(size * RESERVED)
        try:
            taken, self._workers = await self._take(self._keys, [rate, size, wanted, kept, self._worker])
        except CacheUnavailable:
            return self._own_share(rate, wanted)
        return int(taken)

    def _own_share(self, rate: int, wanted: int) -> int:
        """Without Redis: an even share of the pace among as many workers as there were last."""
        now = self._clock()
        tokens, at = self._alone
        share = rate / max(self._workers, 1)
        tokens = min(max(share, 2 * MAX_JOBS), tokens + min(now - at, 1.0) * share)
        taken = min(wanted, int(tokens))
        self._alone = (tokens - taken, now)
        return taken
