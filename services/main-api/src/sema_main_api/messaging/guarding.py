"""The guards of `rules.guarding`, for all messages in hand in one Lua call.

The windows live in Redis, on Redis' own clock. When Redis is away each process guards by itself by the same law. An
account without a guard never touches Redis. What must never happen here: a refusal that took something, or a
message that was not sent and still counts.
"""

import time
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Final

from sema_common.messages.store.accepting import NewMessage
from sema_common.platform.batching import GroupCommit
from sema_common.platform.cache import Cache
from sema_common.values.errors import CacheUnavailable, Overloaded, Refused
from sema_main_api.http.rules import NO_BOUNDS
from sema_main_api.messaging import metrics
from sema_main_api.messaging.rules.guarding import (
    KEPT,
    Ask,
    Guarded,
    Held,
    Windows,
    bounds_of,
    given_back,
    refusal,
    wants,
)

MAX_BATCH: Final = 500
"""Messages judged by one script, but for a batch that is larger: it takes Redis some 2 ms."""

MAX_QUEUE: Final = 20_000
MAX_LOCAL: Final = 20_000
"""Windows that one process remembers while Redis is away; more and the oldest are forgotten."""

# KEYS: the distinct windows, each a hash of slot -> taken. ARGV: how many asks, how many slots; for each window its
# limit and the seconds of a slot; then for each ask how many windows it needs and, of each, its index and how much.
# All of an ask is taken or nothing; a negative amount is put back, out of the youngest slots first. Answer, per ask:
# which of its windows stands against it (0: none) and the seconds until it does not.
WINDOWS_LUA: Final = """
local now = tonumber(redis.call('TIME')[1])
local asks, slots = tonumber(ARGV[1]), tonumber(ARGV[2])
local limit, length, current, taken, sum, touched = {}, {}, {}, {}, {}, {}
for i = 1, #KEYS do
    limit[i], length[i] = tonumber(ARGV[2 * i + 1]), tonumber(ARGV[2 * i + 2])
    current[i] = math.floor(now / length[i])
    taken[i], sum[i] = {}, 0
    local stored = redis.call('HGETALL', KEYS[i])
    for j = 1, #stored, 2 do
        local slot, n = tonumber(stored[j]), tonumber(stored[j + 1])
        if slot > current[i] - slots then
            taken[i][slot] = n
            sum[i] = sum[i] + n
        end
    end
end
local function wait(i, over)
    for slot = current[i] - slots + 1, current[i] do
        over = over - (taken[i][slot] or 0)
        if over <= 0 then return math.max(1, (slot + slots) * length[i] - now) end
    end
    return slots * length[i]
end
local function take(i, n)
    touched[i] = true
    sum[i] = sum[i] + n
    if n > 0 then
        taken[i][current[i]] = (taken[i][current[i]] or 0) + n
        return
    end
    for slot = current[i], current[i] - slots + 1, -1 do
        local back = math.min(taken[i][slot] or 0, -n)
        if back > 0 then
            taken[i][slot] = taken[i][slot] - back
            n = n + back
        end
    end
    sum[i] = sum[i] - n
end
local at, answer = 2 * #KEYS + 3, {}
for _ = 1, asks do
    local count = tonumber(ARGV[at])
    local against, seconds = 0, 0
    for j = 1, count do
        local i, n = tonumber(ARGV[at + 2 * j - 1]), tonumber(ARGV[at + 2 * j])
        if against == 0 and n > 0 and sum[i] + n > limit[i] then
            against, seconds = j, wait(i, sum[i] + n - limit[i])
        end
    end
    if against == 0 then
        for j = 1, count do take(tonumber(ARGV[at + 2 * j - 1]), tonumber(ARGV[at + 2 * j])) end
    end
    answer[#answer + 1] = {against, seconds}
    at = at + 1 + 2 * count
end
for i in pairs(touched) do
    local fields = {}
    for slot, n in pairs(taken[i]) do
        if n > 0 then
            fields[#fields + 1] = slot
            fields[#fields + 1] = string.format('%.0f', n)
        end
    end
    redis.call('DEL', KEYS[i])
    if #fields > 0 then
        redis.call('HSET', KEYS[i], unpack(fields))
        redis.call('EXPIRE', KEYS[i], slots * length[i])
    end
end
return answer
"""


class Guards:
    """`await guards.take(caller, messages)` once they are priced and before they are accepted."""

    def __init__(self, cache: Cache) -> None:
        self._run = cache.script(WINDOWS_LUA)
        self._local = Windows(MAX_LOCAL)
        self._gather: GroupCommit[Sequence[Ask], Sequence[Held | None]] = GroupCommit(
            self._judge,
            max_batch=MAX_BATCH,
            max_queue=MAX_QUEUE,
            weigh=len,
            on_batch=metrics.GUARD_BATCH.observe,
        )

    @classmethod
    @asynccontextmanager
    async def open(cls, cache: Cache) -> "AsyncIterator[Guards]":
        guards = cls(cache)
        async with guards._gather:
            yield guards

    async def take(self, caller: Guarded, messages: Sequence[NewMessage]) -> list[Refused | None]:
        """Per message None, and it is counted, or why it may not go now. Earlier ones of a batch come first."""
        asks = _asks(caller, messages)
        if not asks:
            return [None] * len(messages)
        found = await self._gather.submit(asks)
        refused: list[Refused | None] = []
        for message, held in zip(messages, found, strict=True):
            if held is not None:
                metrics.GUARDED.labels(held.guard).inc()
            refused.append(None if held is None else refusal(held, message.currency))
        return refused

    async def give_back(self, caller: Guarded, messages: Sequence[NewMessage]) -> None:
        """These were taken and are not sent after all: they do not count."""
        asks = [given_back(ask) for ask in _asks(caller, messages)]
        if not asks:
            return
        try:
            await self._gather.submit(asks)
        except Overloaded:
            metrics.GUARDS_NOT_RETURNED.inc(len(asks))

    async def _judge(self, many: list[Sequence[Ask]]) -> list[Sequence[Held | None]]:
        try:
            answers = await self._judge_together([ask for asks in many for ask in asks])
        except CacheUnavailable:
            moment = time.monotonic()
            answers = [self._local.judge(ask, moment) for asks in many for ask in asks]
            metrics.GUARDS_LOCAL.inc(len(answers))
        rest = iter(answers)
        return [[next(rest) for _ in asks] for asks in many]

    async def _judge_together(self, asks: Sequence[Ask]) -> list[Held | None]:
        index: dict[str, int] = {}
        windows: list[int] = []
        wanted: list[int] = []
        for ask in asks:
            wanted.append(len(ask))
            for want in ask:
                if want.key not in index:
                    index[want.key] = len(index) + 1
                    windows += (want.limit, want.slot_seconds)
                wanted += (index[want.key], want.n)
        answers = await self._run(list(index), [len(asks), KEPT, *windows, *wanted])
        return [
            Held(ask[against - 1].guard, ask[against - 1].limit, seconds) if against else None
            for ask, (against, seconds) in zip(asks, answers, strict=True)
        ]


def _asks(caller: Guarded, messages: Iterable[NewMessage]) -> list[Ask]:
    """What each message takes; nothing at all where the account has no guard."""
    bounds = bounds_of(caller)
    if bounds == NO_BOUNDS:
        return []
    return [tuple(wants(caller, bounds, message)) for message in messages]
