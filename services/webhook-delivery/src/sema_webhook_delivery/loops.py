"""What happens by the clock: due deliveries are claimed, old ones deleted, the oldest due one is measured."""

import time
from typing import Final

from sema_common.platform.db import Database
from sema_common.values.clock import now
from sema_webhook_delivery import metrics, store
from sema_webhook_delivery.dispatch import Dispatcher
from sema_webhook_delivery.rules import KEEP, LEASE
from sema_webhook_delivery.subscribers import Subscribers

CLAIM_EVERY: Final = 1.0
CLAIM_BATCH: Final = 500
PURGE_EVERY: Final = 600.0
PURGE_BATCH: Final = 2_000
MEASURE_EVERY: Final = 10.0


class Loops:
    """The periodic work of the room; each returns True when there is more of it right away."""

    def __init__(self, db: Database, subscribers: Subscribers, dispatcher: Dispatcher) -> None:
        self._db = db
        self._subscribers = subscribers
        self._dispatcher = dispatcher

    async def claim_due(self) -> bool:
        """Hand due deliveries over: retries, what found no space, what a dead process left behind."""
        if not self._dispatcher.has_space:
            return False
        claimed_at, at = time.monotonic(), now()
        async with self._db.transaction() as tx:
            claimed = await store.claim_due(tx, at, at + LEASE, CLAIM_BATCH)
        if claimed:
            subscribers = await self._subscribers.of(owed.account_id for owed in claimed)
            self._dispatcher.take(claimed, subscribers, claimed_at)
        return len(claimed) == CLAIM_BATCH

    async def purge(self) -> bool:
        """Forget what ended and is older than 30 days, in batches that hold no lock for long."""
        async with self._db.transaction() as tx:
            purged = await store.purge(tx, now() - KEEP, PURGE_BATCH)
        metrics.PURGED.inc(purged)
        return purged == PURGE_BATCH

    async def measure(self) -> None:
        """How far behind we are; 0 when nothing is due."""
        due = await store.oldest_due(self._db)
        metrics.OVERDUE.set(max((now() - due).total_seconds(), 0.0) if due is not None else 0.0)
