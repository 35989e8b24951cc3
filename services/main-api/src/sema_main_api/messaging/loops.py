"""What messaging does by the clock: the safety net below the relay, the purge, partitions, the drift check."""

from typing import Final

from sema_common.billing.ledger import find_drift
from sema_common.messages.store import idempotency, publishing
from sema_common.platform.db import Database
from sema_common.platform.logs import get_logger
from sema_common.values.clock import now
from sema_main_api.messaging import metrics
from sema_main_api.messaging.relay import Relay

log = get_logger()

SWEEP_SECONDS: Final = 2.0
PURGE_SECONDS: Final = 3600.0
PARTITION_SECONDS: Final = 21_600.0
WATCH_SECONDS: Final = 15.0
DRIFT_SECONDS: Final = 300.0


class Loops:
    """One method for each period."""

    def __init__(self, db: Database, relay: Relay) -> None:
        self._db = db
        self._relay = relay

    async def watch(self) -> None:
        """Say how much waits for RabbitMQ, here and in Postgres."""
        metrics.RELAY_HELD.set(len(self._relay))
        async with self._db.transaction() as tx:
            waiting, oldest = await publishing.count_unpublished(tx, now())
        metrics.UNPUBLISHED.set(waiting)
        metrics.UNPUBLISHED_AGE.set((now() - oldest).total_seconds() if oldest else 0)

    async def purge(self) -> bool:
        """Delete idempotency keys past their 48 hours, a page at a time."""
        async with self._db.transaction() as tx:
            purged = await idempotency.purge_expired(tx)
        return purged > 0

    async def partitions(self) -> None:
        """Keep three months of partitions ahead."""
        async with self._db.transaction(timeout=30.0) as tx:
            until = await publishing.ensure_partitions(tx)
        metrics.PARTITIONS_UNTIL.set(until.timestamp())

    async def drift(self) -> None:
        """Compare every balance with its ledger; a difference is an incident and is said so."""
        async with self._db.transaction(timeout=60.0) as tx:
            drift = await find_drift(tx)
        metrics.LEDGER_DRIFT.set(len(drift))
        for account_id, amount in drift.items():
            log.error("ledger_drift", account_id=str(account_id), amount=str(amount))
