"""Group commit: batches form by themselves, results find their waiters, nothing taken in is lost."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import pytest

from sema_common.platform.batching import GroupCommit
from sema_common.values.errors import Overloaded

Until = Callable[[Callable[[], bool]], Awaitable[None]]


class Store:
    """Commits by doubling; `gate` holds a commit open, as a slow disk would."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.entered = asyncio.Event()

    async def commit(self, items: list[int]) -> Sequence[int | BaseException]:
        self.batches.append(items)
        self.entered.set()
        await self.gate.wait()
        return [item * 2 for item in items]


async def test_an_idle_committer_starts_at_once_and_the_rest_share_the_next_batch(until: Until) -> None:
    store = Store()
    store.gate.clear()
    async with GroupCommit(store.commit, max_batch=100, max_queue=100) as group:
        first = asyncio.create_task(group.submit(1))
        await store.entered.wait()
        rest = [asyncio.create_task(group.submit(n)) for n in (2, 3, 4)]
        await until(lambda: len(group) >= 3)
        store.gate.set()
        assert await asyncio.gather(first, *rest) == [2, 4, 6, 8]
    assert store.batches == [[1], [2, 3, 4]]


async def test_a_batch_is_never_larger_than_allowed() -> None:
    sizes: list[int] = []
    store = Store()
    async with GroupCommit(store.commit, max_batch=3, max_queue=100, on_batch=sizes.append) as group:
        await asyncio.gather(*(group.submit(n) for n in range(8)))
    assert sizes == [3, 3, 2]


async def test_linger_waits_for_company_but_not_beyond_a_full_batch(until: Until) -> None:
    store = Store()
    async with GroupCommit(store.commit, max_batch=2, max_queue=10, linger=30.0) as group:
        one = asyncio.create_task(group.submit(1))
        await until(lambda: len(group) > 0)
        async with asyncio.timeout(5):
            assert (await group.submit(2), await one) == (4, 2)
    assert store.batches == [[1, 2]]


async def test_a_cancelled_waiter_does_not_take_its_item_back(until: Until) -> None:
    store = Store()
    store.gate.clear()
    async with GroupCommit(store.commit, max_batch=10, max_queue=10) as group:
        first = asyncio.create_task(group.submit(1))
        await store.entered.wait()
        queued = asyncio.create_task(group.submit(2))
        await until(lambda: len(group) > 0)
        for task in (first, queued):
            task.cancel()
        await asyncio.gather(first, queued, return_exceptions=True)
        store.gate.set()
    assert store.batches == [[1], [2]]


async def test_one_bad_item_fails_alone() -> None:
    async def commit(items: list[int]) -> list[int | BaseException]:
        return [ValueError("odd") if item % 2 else item for item in items]

    async with GroupCommit[int, int](commit, max_batch=10, max_queue=10) as group:
        results = await asyncio.gather(*(group.submit(n) for n in range(4)), return_exceptions=True)
    assert [type(r) for r in results] == [int, ValueError, int, ValueError]


async def test_a_failed_commit_fails_its_whole_batch_and_the_next_one_works() -> None:
    calls = 0

    async def commit(items: list[int]) -> list[int | BaseException]:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise ConnectionError
        return list(items)

    async with GroupCommit[int, int](commit, max_batch=10, max_queue=10) as group:
        results = await asyncio.gather(group.submit(1), group.submit(2), return_exceptions=True)
        assert [type(r) for r in results] == [ConnectionError, ConnectionError]
        assert await group.submit(3) == 3


async def test_too_few_results_are_a_bug_of_the_commit_not_a_hang() -> None:
    async def commit(items: list[int]) -> list[int | BaseException]:
        return []

    async with GroupCommit[int, int](commit, max_batch=10, max_queue=10) as group:
        with pytest.raises(RuntimeError, match="0 results for 1"):
            await group.submit(1)


async def test_a_full_queue_says_so_instead_of_growing(until: Until) -> None:
    store = Store()
    store.gate.clear()
    async with GroupCommit(store.commit, max_batch=1, max_queue=2) as group:
        tasks = [asyncio.create_task(group.submit(1))]
        await store.entered.wait()
        tasks += [asyncio.create_task(group.submit(n)) for n in (2, 3)]
        await until(lambda: len(group) >= 2)
        with pytest.raises(Overloaded):
            await group.submit(4)
        store.gate.set()
        assert await asyncio.gather(*tasks) == [2, 4, 6]


async def test_leaving_writes_what_is_queued_and_refuses_what_comes_later() -> None:
    store = Store()
    store.gate.clear()
    group = GroupCommit(store.commit, max_batch=2, max_queue=10)
    async with group:
        tasks = [asyncio.create_task(group.submit(n)) for n in range(5)]
        await store.entered.wait()
        store.gate.set()
    assert await asyncio.gather(*tasks) == [0, 2, 4, 6, 8]
    with pytest.raises(Overloaded):
        await group.submit(9)


async def test_a_drain_cut_short_tells_the_waiters() -> None:
    store = Store()
    store.gate.clear()
    group = GroupCommit(store.commit, max_batch=1, max_queue=10)
    await group.__aenter__()
    tasks = [asyncio.create_task(group.submit(n)) for n in (1, 2)]
    await store.entered.wait()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await group.__aexit__(None, None, None)
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(r) for r in results] == [Overloaded, Overloaded]


async def test_workers_write_side_by_side(until: Until) -> None:
    store = Store()
    store.gate.clear()
    async with GroupCommit(store.commit, max_batch=1, max_queue=10, workers=2) as group:
        tasks = [asyncio.create_task(group.submit(n)) for n in (1, 2)]
        await until(lambda: len(store.batches) == 2)
        store.gate.set()
        assert await asyncio.gather(*tasks) == [2, 4]


async def test_a_cancellation_from_within_fails_its_batch_and_not_the_worker() -> None:
    """As a client library raises it when a connection dies: nobody has asked the committer to end."""
    broken = True

    async def commit(items: list[int]) -> Sequence[int | BaseException]:
        if broken:
            raise asyncio.CancelledError
        return items

    async with asyncio.timeout(5), GroupCommit(commit, max_batch=10, max_queue=10) as group:
        with pytest.raises(RuntimeError, match="from within"):
            await group.submit(1)
        broken = False
        assert await group.submit(2) == 2


async def test_what_waits_can_be_turned_away_unwritten(until: Until) -> None:
    store = Store()
    store.gate.clear()
    async with GroupCommit(store.commit, max_batch=1, max_queue=10) as group:
        first = asyncio.create_task(group.submit(1))
        await store.entered.wait()
        rest = [asyncio.create_task(group.submit(n)) for n in (2, 3)]
        await until(lambda: len(group) == 2)
        group.turn_away(Overloaded("away"))
        assert [type(each) for each in await asyncio.gather(*rest, return_exceptions=True)] == [
            Overloaded
        ] * 2
        store.gate.set()
        assert await first == 2
        assert await group.submit(4) == 8
    assert store.batches == [[1], [4]]
