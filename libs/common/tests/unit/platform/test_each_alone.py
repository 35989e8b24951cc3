"""A batch that fails is tried item by item; one that fails because a dependency is away is not."""

import asyncio
from collections.abc import Sequence

import pytest

from sema_common.platform.batching import GroupCommit, each_alone
from sema_common.values.errors import LockBusy, Overloaded, StoreUnavailable


class Store:
    """Fails whenever the item it dislikes is in the batch."""

    def __init__(self, failure: Exception) -> None:
        self.failure = failure
        self.batches: list[list[int]] = []

    async def commit(self, items: list[int]) -> Sequence[int | BaseException]:
        self.batches.append(items)
        if 2 in items:
            raise self.failure
        return items


async def test_one_bad_item_fails_alone() -> None:
    store = Store(ValueError("bad"))
    answers = await each_alone(store.commit)([1, 2, 3])
    assert answers == [1, store.failure, 3]
    assert store.batches == [[1, 2, 3], [1], [2], [3]]


async def test_with_the_store_away_nobody_is_tried_again() -> None:
    store = Store(StoreUnavailable("away"))
    with pytest.raises(StoreUnavailable):
        await each_alone(store.commit)([1, 2, 3])
    assert store.batches == [[1, 2, 3]]


async def test_what_is_about_one_item_is_worth_it() -> None:
    store = Store(LockBusy("locked"))
    answers = await each_alone(store.commit, also=(LockBusy,))([1, 2])
    assert answers == [1, store.failure]


async def test_the_bound_of_a_queue_counts_weight_and_a_heavy_item_still_passes_an_empty_one() -> None:
    hold = asyncio.Event()

    async def commit(items: list[int]) -> list[int]:
        await hold.wait()
        return items

    async with GroupCommit(commit, max_batch=10, max_queue=100, weigh=lambda n: n) as group:
        first = asyncio.create_task(group.submit(500))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        second = asyncio.create_task(group.submit(60))
        await asyncio.sleep(0)
        with pytest.raises(Overloaded):
            await group.submit(60)
        hold.set()
        assert (await first, await second) == (500, 60)
