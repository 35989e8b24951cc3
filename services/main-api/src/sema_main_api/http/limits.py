"""How fast a caller may go: GCRA per key and per account, for all requests in hand in one Lua call.

The state lives in Redis, on Redis' own clock, so that all instances count together. When Redis is away each
process counts for itself by the same law: nobody is locked out, and nobody gets more than one process' worth.
An account without a limit never touches Redis.
"""

import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from sema_common.platform.batching import GroupCommit
from sema_common.platform.cache import Cache
from sema_common.values.errors import CacheUnavailable, Refused
from sema_main_api import metrics
from sema_main_api.http.callers import Caller
from sema_main_api.http.problems import retry_after
from sema_main_api.http.rules import Rate, Verdict, gcra, rate_for, verdict

MAX_BATCH: Final = 500
MAX_QUEUE: Final = 10_000
MAX_LOCAL: Final = 10_000
"""States that one process remembers while Redis is away; more and the oldest are forgotten."""

# KEYS: the distinct states. ARGV: how many asks; for each state its interval (µs a message) and burst (µs); then for
# each ask its message count, how many states it needs and their indexes. A call passes when all of its states let it,
# and only then is anything taken. Answer, per ask: passed (1/0), its tightest state's index, µs ahead, µs to wait.
GCRA_LUA: Final = """
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local states, asks = #KEYS, tonumber(ARGV[1])
local tat, interval, burst, touched = {}, {}, {}, {}
local stored = redis.call('MGET', unpack(KEYS))
for i = 1, states do
    tat[i] = math.max(tonumber(stored[i] or 0), now)
    interval[i], burst[i] = tonumber(ARGV[2 * i]), tonumber(ARGV[2 * i + 1])
end
local at, answer = 2 * states + 2, {}
for _ = 1, asks do
    local n, count = tonumber(ARGV[at]), tonumber(ARGV[at + 1])
    local passed, wait, tightest, room = 1, 0, 0, math.huge
    for j = 1, count do
        local i = tonumber(ARGV[at + 1 + j])
        local excess = tat[i] + n * interval[i] - now - burst[i]
        if excess > 1 then
            passed = 0
            wait = math.max(wait, excess)
        end
    end
    for j = 1, count do
        local i = tonumber(ARGV[at + 1 + j])
        if passed == 1 then
            tat[i] = tat[i] + n * interval[i]
            touched[i] = true
        end
        local left = (burst[i] - (tat[i] - now)) / interval[i]
        if left < room then
            room, tightest = left, i
        end
    end
    answer[#answer + 1] = {passed, tightest, math.floor(tat[tightest] - now), math.ceil(wait)}
    at = at + 2 + count
end
for i in pairs(touched) do
    redis.call('SET', KEYS[i], string.format('%.0f', tat[i]), 'PX', math.ceil((tat[i] - now) / 1000) + 1000)
end
return answer
"""


@dataclass(frozen=True, slots=True)
class _Ask:
    keys: tuple[str, ...]
    rate: Rate
    n: int


class Limits:
    """`await limits.take(caller, lane, n)` before any work is done for the call."""

    def __init__(self, cache: Cache) -> None:
        self._run = cache.script(GCRA_LUA)
        self._local: dict[str, float] = {}
        self._gather: GroupCommit[_Ask, Verdict] = GroupCommit(
            self._judge,
            max_batch=MAX_BATCH,
            max_queue=MAX_QUEUE,
            on_batch=metrics.RATE_LIMIT_BATCH.observe,
        )

    @classmethod
    @asynccontextmanager
    async def open(cls, cache: Cache) -> "AsyncIterator[Limits]":
        limits = cls(cache)
        async with limits._gather:
            yield limits

    async def take(self, caller: Caller, lane: str, n: int = 1) -> dict[str, str]:
        """Take `n` messages from the caller's quota of this lane, or Refused(429) and nothing is taken.

        Answers the headers that the response bears; none for an account without a limit.
        """
        rate = rate_for(
            lane, caller.tier, caller.rate_per_second, caller.rate_burst, caller.priority_per_second
        )
        if rate is None:
            return {}
        headers = {"ratelimit-policy": f'"{lane}";q={rate.burst};w={rate.window}'}
        if n > rate.burst:
            metrics.RATE_LIMITED.labels(lane).inc()
            detail = f"A batch of {n} is larger than the burst of {rate.burst} and can never pass: split it."
            raise _refused(detail, rate.window, headers)
        suffix = "" if lane == "normal" else f":{lane}"
        account = f"ratelimit:{caller.account_id}"
        keys = (f"{account}:{caller.id}{suffix}", f"{account}:all{suffix}")
        found = await self._gather.submit(_Ask(keys, rate, n))
        headers["ratelimit"] = f'"{lane}";r={found.remaining};t={int(found.reset) + 1}'
        if not found.allowed:
            metrics.RATE_LIMITED.labels(lane).inc()
            detail = f"More than {rate.per_second:g} messages a second, or {rate.burst} at once."
            raise _refused(detail, found.retry_after, headers)
        return headers

    async def _judge(self, asks: list[_Ask]) -> Sequence[Verdict]:
        try:
            return await self._judge_together(asks)
        except CacheUnavailable:
            metrics.RATE_LIMIT_LOCAL.inc(len(asks))
            return [self._judge_here(ask) for ask in asks]

    async def _judge_together(self, asks: list[_Ask]) -> list[Verdict]:
        index: dict[str, int] = {}
        rates: list[int | float] = []
        wanted: list[int | float] = []
        for ask in asks:
            wanted += (ask.n, len(ask.keys))
            for key in ask.keys:
                if key not in index:
                    index[key] = len(index) + 1
                    interval = 1e6 / ask.rate.per_second
                    rates += (interval, interval * ask.rate.burst)
                wanted.append(index[key])
        answers = await self._run(list(index), [len(asks), *rates, *wanted])
        return [
            verdict(passed == 1, ahead / 1e6, ask.rate, wait / 1e6)
            for ask, (passed, _, ahead, wait) in zip(asks, answers, strict=True)
        ]

    def _judge_here(self, ask: _Ask) -> Verdict:
        """The same law in this process, on the account's state alone, which is never looser than a key's."""
        key = ask.keys[-1]
        tat, found = gcra(self._local.pop(key, 0.0), time.monotonic(), ask.rate, ask.n)
        self._local[key] = tat
        if len(self._local) > MAX_LOCAL:
            del self._local[next(iter(self._local))]
        return found


def _refused(detail: str, wait: float, headers: Mapping[str, str]) -> Refused:
    return Refused("rate_limited", detail, 429, headers={**headers, **retry_after(wait)})
