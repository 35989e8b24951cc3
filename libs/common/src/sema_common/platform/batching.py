"""Group commit: whatever arrived while the last batch was being written becomes the next batch.

No timer is needed: an idle committer starts at once, a busy one finds more to take. Nothing here knows what a
batch is written to, and an item that was taken in is written even if nobody waits for its result any more.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from types import TracebackType
from typing import Generic, Self, TypeVar

from sema_common.platform.cancelling import is_asked
from sema_common.platform.logs import get_logger
from sema_common.values.errors import Overloaded, RetryLater

log = get_logger()

T = TypeVar("T")
R = TypeVar("R")


class GroupCommit(Generic[T, R]):
    """Gathers single submits into batches of at most `max_batch`, written by `workers` at a time.

    `commit(items)` answers in the order of its items, each with a result or an exception for that item
    alone; if it raises, every waiter of the batch gets that exception. `linger` (seconds) lets a batch wait
    for company; the default takes what is there. `weigh(item)` counts an item as more than one towards
    `max_batch` (one that is heavier than a whole batch goes alone) and `max_queue`. `on_batch(size)` is
    told of every batch, for metrics. Leaving the context writes what is queued; later submits, and those
    beyond `max_queue`, raise `Overloaded`.
    """

    def __init__(
        self,
        commit: Callable[[list[T]], Awaitable[Sequence[R | BaseException]]],
        *,
        max_batch: int,
        max_queue: int,
        linger: float = 0.0,
        workers: int = 1,
        weigh: Callable[[T], int] | None = None,
        on_batch: Callable[[int], object] | None = None,
    ) -> None:
        self._commit = commit
        self._max_batch = max_batch
        self._max_queue = max_queue
        self._linger = linger
        self._workers = workers
        self._weigh = weigh
        self._on_batch = on_batch
        self._queue: deque[tuple[T, asyncio.Future[R]]] = deque()
        self._arrived = asyncio.Event()
        self._full = asyncio.Event()
        self._waiting = 0
        self._closing = False
        self._tasks: list[asyncio.Task[None]] = []

    def __len__(self) -> int:
        """Items that wait for a batch."""
        return len(self._queue)

    async def submit(self, item: T) -> R:
        """Hand in one item and wait for its result; cancelling the wait does not take the item back."""
        weight = 1 if self._weigh is None else self._weigh(item)
        if self._closing or self._waiting + weight > max(self._max_queue, weight):
            raise Overloaded(
                "shutting down" if self._closing else "too much waiting to be written", after=1.0
            )
        waiter: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._queue.append((item, waiter))
        self._waiting += weight
        self._arrived.set()
        if len(self._queue) >= self._max_batch:
            self._full.set()
        return await waiter

    def turn_away(self, reason: Exception) -> None:
        """Answer what waits for a batch with `reason`, unwritten: a store that has just failed slowly would only
        fail each further batch as slowly."""
        for _, waiter in self._queue:
            if not waiter.done():
                waiter.set_exception(reason)
        self._queue.clear()
        self._waiting = 0

    async def __aenter__(self) -> Self:
        self._tasks = [asyncio.create_task(self._work()) for _ in range(self._workers)]
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        self._closing = True
        self._arrived.set()
        self._full.set()
        try:
            await asyncio.gather(*self._tasks)
        finally:  # only when the drain itself was cut short is anything left
            for task in self._tasks:
                task.cancel()
            for _, waiter in self._queue:
                if not waiter.done():
                    waiter.set_exception(Overloaded("shut down before it was written"))
            self._queue.clear()

    async def _work(self) -> None:
        while True:
            while not self._queue:
                if self._closing:
                    return
                self._arrived.clear()
                await self._arrived.wait()
            if self._linger and not self._closing and len(self._queue) < self._max_batch:
                await self._wait_for_company()
            batch = self._take()
            if batch:  # another worker may have been quicker
                await self._write(batch)

    def _take(self) -> list[tuple[T, asyncio.Future[R]]]:
        batch: list[tuple[T, asyncio.Future[R]]] = []
        weight = 0
        while self._queue:
            each = 1 if self._weigh is None else self._weigh(self._queue[0][0])
            if batch and weight + each > self._max_batch:
                break
            weight += each
            batch.append(self._queue.popleft())
        self._waiting -= weight
        return batch

    async def _wait_for_company(self) -> None:
        self._full.clear()
        try:
            async with asyncio.timeout(self._linger):
                await self._full.wait()
        except TimeoutError:
            return

    async def _write(self, batch: list[tuple[T, asyncio.Future[R]]]) -> None:
        if self._on_batch is not None:
            self._on_batch(len(batch))
        results: Sequence[R | BaseException]
        try:
            results = await self._commit([item for item, _ in batch])
            if len(results) != len(batch):
                raise RuntimeError(f"commit answered {len(results)} results for {len(batch)} items")
        except asyncio.CancelledError as exc:
            if not is_asked(exc):
                results = [RuntimeError("the commit was cancelled from within")] * len(batch)
            else:
                for _, waiter in batch:
                    if not waiter.done():
                        waiter.set_exception(Overloaded("shut down while it was being written"))
                raise
        except Exception as exc:
            results = [exc] * len(batch)
        for (_, waiter), result in zip(batch, results, strict=True):
            if waiter.done():
                continue
            if isinstance(result, BaseException):
                waiter.set_exception(result)
            else:
                waiter.set_result(result)


def each_alone(
    commit: Callable[[list[T]], Awaitable[Sequence[R | BaseException]]],
    *,
    also: tuple[type[RetryLater], ...] = (),
) -> Callable[[list[T]], Awaitable[Sequence[R | BaseException]]]:
    """`commit`, but when a batch fails each of its items is tried alone: one bad item fails alone.

    With a dependency away (RetryLater) that would only multiply the waits, so the batch fails together;
    `also` names the kinds of RetryLater that are about one item, such as a locked row.
    """

    async def guarded(items: list[T]) -> Sequence[R | BaseException]:
        try:
            return await commit(items)
        except Exception as exc:
            if len(items) == 1 or (isinstance(exc, RetryLater) and not isinstance(exc, also)):
                raise
            log.warning("batch_split", items=len(items), error=type(exc).__name__)
        return [answer for item in items for answer in await alone(item)]

    async def alone(item: T) -> Sequence[R | BaseException]:
        try:
            return await commit([item])
        except Exception as exc:
            return [exc]

    return guarded
