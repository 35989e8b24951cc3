"""What dead letters need by the clock: what a crash kept from being told, how many there are, the purge."""

from datetime import timedelta
from typing import Final

from sema_common.platform.db import Database
from sema_common.values.clock import now
from sema_common.wire.queues import QUEUES
from sema_main_api.admin.dead_letters import metrics, store
from sema_main_api.admin.dead_letters.telling import Telling

TELL_SECONDS: Final = 10.0
TELL_AFTER: Final = timedelta(seconds=10)
"""Younger decisions are still being told by the call that made them."""

WATCH_SECONDS: Final = 15.0
PURGE_SECONDS: Final = 3600.0
KEPT: Final = timedelta(days=90)
"""As long as messages are kept: a decided letter holds numbers and texts like them."""

AT_ONCE: Final = 100


class Loops:
    """One method for each period."""

    def __init__(self, db: Database, telling: Telling) -> None:
        self._db = db
        self._telling = telling

    async def tell(self) -> bool:
        """Publish decisions that were committed and not told."""
        async with self._db.transaction() as tx:
            found = await store.find_untold(tx, now() - TELL_AFTER, AT_ONCE)
        told = await self._telling.tell(found)
        metrics.UNTOLD.set(len(found) - len(told))
        return len(found) == AT_ONCE and bool(told)

    async def watch(self) -> None:
        """Say how many letters wait for a decision, and how long the oldest has."""
        async with self._db.transaction() as tx:
            counts = await store.count(tx)
        for queue in QUEUES:
            waiting, oldest = counts.get((queue, "open"), (0, None))
            metrics.OPEN.labels(queue).set(waiting)
            metrics.OLDEST.labels(queue).set((now() - oldest).total_seconds() if oldest else 0)

    async def purge(self) -> bool:
        """Delete letters that were decided 90 days ago, a page at a time."""
        async with self._db.transaction() as tx:
            return await store.purge(tx, now() - KEPT, AT_ONCE)
