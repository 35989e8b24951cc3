"""How fast a caller may go: GCRA per key and per account, for all requests in hand in one Lua call.

The state lives in Redis, on Redis' own clock, so that all instances count together. When Redis is away each
process counts for itself by the same law: nobody is locked out, and nobody gets more than one process' worth.
A caller without a limit never touches Redis.
"""

import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from sema_common.platform.batching import GroupCommit
from sema_common.platform.cache import Cache
from sema_common.values.errors import CacheUnavailable, Refused
from sema_main_api import metrics
from sema_main_api.http.callers import Caller
from sema_main_api.http.problems import retry_after
from sema_main_api.http.rules import Rate, Verdict, gcra, key_rate, rate_for, verdict

MAX_BATCH: Final = 500
MAX_QUEUE: Final = 10_000
MAX_LOCAL: Final = 10_000
"""States that one process remembers while Redis is away; more and the oldest are forgotten."""

# KEYS: the distinct states. ARGV: how many asks; for each state its interval (µs a message) and burst (µs); then for
# each ask how many states it needs and, of each, its index and how many messages. A call passes when all of its
# states let it, and only then is anything taken. Answer, per ask: passed (1/0), then how many µs each state is ahead.
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
    local count = tonumber(ARGV[at])
    local passed, indexes, wanted = 1, {}, {}
    for j = 1, count do
        local i, n = tonumber(ARGV[at + 2 * j - 1]), tonumber(ARGV[at + 2 * j])
        indexes[j], wanted[j] = i, n * interval[i]
        if tat[i] + wanted[j] - now - burst[i] > 1 then passed = 0 end
    end
    local told = {passed}
    for j = 1, count do
        local i = indexes[j]
        if passed == 1 then
            tat[i] = tat[i] + wanted[j]
            touched[i] = true
        end
        told[j + 1] = math.floor(tat[i] - now)
    end
    answer[#answer + 1] = told
    at = at + 1 + 2 * count
end
for i in pairs(touched) do
    redis.call('SET', KEYS[i], string.format('%.0f', tat[i]), 'PX', math.ceil((tat[i] - now) / 1000) + 1000)
end
return answer
"""


@dataclass(frozen=True, slots=True)
class _Want:
    """So many messages out of one state."""

    key: str
    lane: str
    rate: Rate
    n: int


_Ask = tuple[_Want, ...]
_Found = tuple[Verdict, ...]
"""What each state of an ask said, in its order; allowed by one is allowed by all."""


class Limits:
    """`await limits.take(caller, {lane: n})` before any work is done for the call."""

    def __init__(self, cache: Cache) -> None:
        self._run = cache.script(GCRA_LUA)
        self._local: dict[str, float] = {}
        self._gather: GroupCommit[_Ask, _Found] = GroupCommit(
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

    async def take(self, caller: Caller, wanted: Mapping[str, int]) -> dict[str, str]:
        """Take so many messages of each lane from the caller's quotas, or Refused(429) and nothing is taken.

        Answers the headers that the response bears, a policy for each lane; none for a caller without a limit.
        """
        ask = tuple(want for lane, n in wanted.items() for want in _wants(caller, lane, n))
        if not ask:
            return {}
        headers = {"ratelimit-policy": _policies(ask)}
        for want in ask:
            if want.n > want.rate.burst:
                metrics.RATE_LIMITED.labels(want.lane).inc()
                detail = f"A batch of {want.n} is larger than the burst of {want.rate.burst}: split it."
                raise _refused(detail, want.rate.window, headers)
        found = await self._gather.submit(ask)
        headers["ratelimit"] = _left(ask, found)
        if not found[0].allowed:
            want, slowest = max(zip(ask, found, strict=True), key=lambda each: each[1].retry_after)
            metrics.RATE_LIMITED.labels(want.lane).inc()
            detail = f"More than {want.rate.per_second:g} messages a second, or {want.rate.burst} at once."
            raise _refused(detail, slowest.retry_after, headers)
        return headers

    async def _judge(self, asks: list[_Ask]) -> Sequence[_Found]:
        try:
            return await self._judge_together(asks)
        except CacheUnavailable:
            metrics.RATE_LIMIT_LOCAL.inc(len(asks))
            return [self._judge_here(ask) for ask in asks]

    async def _judge_together(self, asks: list[_Ask]) -> list[_Found]:
        index: dict[str, int] = {}
        rates: list[int | float] = []
        wanted: list[int | float] = []
        for ask in asks:
            wanted.append(len(ask))
            for want in ask:
                if want.key not in index:
                    index[want.key] = len(index) + 1
                    interval = 1e6 / want.rate.per_second
                    rates += (interval, interval * want.rate.burst)
                wanted += (index[want.key], want.n)
        answers = await self._run(list(index), [len(asks), *rates, *wanted])
        return [
            tuple(
                verdict(passed == 1, ahead / 1e6, want.rate, want.n)
                for want, ahead in zip(ask, told, strict=True)
            )
            for ask, (passed, *told) in zip(asks, answers, strict=True)
        ]

    def _judge_here(self, ask: _Ask) -> _Found:
        """The same law in this process: nothing is taken unless every state lets it."""
        moment = time.monotonic()
        bases = [max(self._local.get(want.key, 0.0), moment) for want in ask]
        earned = [gcra(base, moment, want.rate, want.n) for base, want in zip(bases, ask, strict=True)]
        passed = all(found.allowed for _, found in earned)
        if passed:
            for want, (tat, _) in zip(ask, earned, strict=True):
                self._local.pop(want.key, None)
                self._local[want.key] = tat
            while len(self._local) > MAX_LOCAL:
                del self._local[next(iter(self._local))]
            return tuple(found for _, found in earned)
        return tuple(
            verdict(False, base - moment, want.rate, want.n) for base, want in zip(bases, ask, strict=True)
        )


def _wants(caller: Caller, lane: str, n: int) -> Iterator[_Want]:
    """What a call needs: of the key's (or person's) own state, and of the account's. Test keys draw on states of
    their own, so that nobody's test run slows what he sends in earnest."""
    rate = rate_for(lane, caller.tier, caller.rate_per_second, caller.rate_burst, caller.priority_per_second)
    own = key_rate(caller.key_per_second, rate)
    suffix = ("" if lane == "normal" else f":{lane}") + (":test" if caller.mode == "test" else "")
    if own is not None:
        yield _Want(f"ratelimit:{caller.account_id}:{caller.id}{suffix}", lane, own, n)
    if rate is not None:
        yield _Want(f"ratelimit:{caller.account_id}:all{suffix}", lane, rate, n)


def _policies(ask: _Ask) -> str:
    """`RateLimit-Policy`: of each lane the tighter one."""
    rates: dict[str, Rate] = {}
    for want in ask:
        known = rates.get(want.lane)
        rates[want.lane] = want.rate if known is None or want.rate.burst < known.burst else known
    return ", ".join(f'"{lane}";q={rate.burst};w={rate.window}' for lane, rate in rates.items())


def _left(ask: _Ask, found: _Found) -> str:
    """`RateLimit`: of each lane what is left where least is."""
    least: dict[str, Verdict] = {}
    for want, each in zip(ask, found, strict=True):
        known = least.get(want.lane)
        least[want.lane] = each if known is None or each.remaining < known.remaining else known
    return ", ".join(f'"{lane}";r={each.remaining};t={int(each.reset) + 1}' for lane, each in least.items())


def _refused(detail: str, wait: float, headers: Mapping[str, str]) -> Refused:
    return Refused("rate_limited", detail, 429, headers={**headers, **retry_after(wait)})
