"""What the quarantine needs by the clock: what a crash kept from being published, how much there is, the purge."""

from datetime import timedelta
from typing import Final

from sema_common.platform.db import Database
from sema_common.values.clock import now
from sema_main_api.admin.quarantine import metrics, store
from sema_main_api.admin.quarantine.telling import Telling

WATCH_SECONDS: Final = 15.0
TELL_AFTER: Final = timedelta(seconds=10)
PURGE_SECONDS: Final = 3600.0
KEPT: Final = timedelta(days=90)
AT_ONCE: Final = 100


class Loops:
    """One method for each period."""

    def __init__(self, db: Database, telling: Telling) -> None:
        self._db = db
        self._telling = telling

    async def watch(self) -> None:
        """Publish what was decided and not told; say how much waits for a decision."""
        async with self._db.transaction() as tx:
            found = await store.find_untold(tx, now() - TELL_AFTER, AT_ONCE)
            metrics.OPEN.set(await store.count_open(tx))
        for entry in found:
            if not await self._telling.tell(entry):
                return

    async def purge(self) -> bool:
        """Delete bodies that were decided 90 days ago, a page at a time."""
        async with self._db.transaction() as tx:
            return await store.purge(tx, now() - KEPT, AT_ONCE)
