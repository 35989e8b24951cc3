"""What the room has in hand: attempts whose outcome only this process knows, work that must not be cut short,
and batches that wait for a way to open.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Coroutine, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Final, Self, TypeVar

from sema_common.messages.store.attempts import AttemptKey
from sema_common.values.errors import RetryLater
from sema_sms_worker import metrics

T = TypeVar("T")

HOLD_SECONDS: Final = 60.0
"""A batch asks for itself so long; then the bus counts a try, and after ten minutes puts it back in line."""

ASK_SECONDS: Final = 1.0
"""However long a way is expected to be shut, whether it has opened is asked this often."""


class Hands:
    """Made by `open`, before the consumers; `letting_go` is opened after them, so that it closes first."""

    def __init__(self) -> None:
        self.attempts: set[AttemptKey] = set()
        self._carried: set[asyncio.Task[Any]] = set()
        self._closing = asyncio.Event()

    @classmethod
    @asynccontextmanager
    async def open(cls) -> AsyncIterator[Self]:
        """Leaving it waits for what is carried."""
        hands = cls()
        yield hands
        if hands._carried:
            await asyncio.wait(hands._carried)

    @asynccontextmanager
    async def letting_go(self) -> AsyncIterator[None]:
        """Leaving it gives back what waits for a way, so that the consumers can finish."""
        yield
        self._closing.set()

    @contextmanager
    def holding(self, attempts: Iterable[AttemptKey]) -> Iterator[None]:
        """Say that the outcomes of these attempts are on their way here: no settlement touches them meanwhile."""
        keys = set(attempts)
        self.attempts |= keys
        try:
            yield
        finally:
            self.attempts -= keys

    async def carry(self, work: Coroutine[Any, Any, T]) -> T:
        """Run `work` to its end, even if whoever waits for it is cancelled."""
        task = asyncio.create_task(work)
        self._carried.add(task)
        task.add_done_callback(self._put_down)
        return await asyncio.shield(task)

    def _put_down(self, task: asyncio.Task[Any]) -> None:
        self._carried.discard(task)
        if not task.cancelled():
            task.exception()  # seen; whoever still waits has it as well

    async def wait(self, seconds: float, since: float) -> None:
        """Wait for a way, a moment at a time. RetryLater when the room closes, or it took too long in all."""
        if self._closing.is_set() or time.monotonic() - since > HOLD_SECONDS:
            raise RetryLater("no way to any aggregator")
        with metrics.HELD.track_inprogress(), contextlib.suppress(TimeoutError):
            async with asyncio.timeout(min(seconds, ASK_SECONDS)):
                await self._closing.wait()
