"""What messaging does by the clock: the safety net below the relay, the purge, partitions, the drift check."""

from datetime import timedelta
from decimal import Decimal
from typing import Final
from uuid import UUID

from sema_common.billing import ledger
from sema_common.messages.store import idempotency, publishing
from sema_common.platform.db import Database
from sema_common.platform.logs import get_logger
from sema_common.values.clock import now
from sema_main_api.messaging import metrics, store
from sema_main_api.messaging.relay import Relay
from sema_main_api.messaging.rules.refusals import Refusals

log = get_logger()

SWEEP_SECONDS: Final = 2.0
PURGE_SECONDS: Final = 3600.0
REFUSALS_SECONDS: Final = 2.0
REFUSALS_KEPT: Final = timedelta(days=30)
PARTITION_SECONDS: Final = 21_600.0
WATCH_SECONDS: Final = 15.0
DRIFT_SECONDS: Final = 21_600.0
DRIFT_AT_ONCE: Final = 100
"""Accounts whose whole histories are summed in one transaction."""


class Loops:
    """One method for each period."""

    def __init__(self, db: Database, relay: Relay, refusals: Refusals) -> None:
        self._db = db
        self._relay = relay
        self._refusals = refusals

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

    async def keep_refusals(self) -> None:
        """Write down what the content rules refused: staff try their changes on it."""
        refused = self._refusals.take()
        if refused:
            async with self._db.transaction() as tx:
                await store.keep_refusals(tx, refused)

    async def purge_refusals(self) -> bool:
        """Forget refused texts after 30 days, a page at a time."""
        async with self._db.transaction() as tx:
            return await store.purge_refusals(tx, now() - REFUSALS_KEPT) > 0

    async def partitions(self) -> None:
        """Keep three months of partitions ahead."""
        async with self._db.transaction(timeout=30.0) as tx:
            until = await publishing.ensure_partitions(tx)
        metrics.PARTITIONS_UNTIL.set(until.timestamp())

    async def drift(self) -> None:
        """Compare every balance with all of its history, a hundred accounts at a time; a difference is an incident.

        The sums so far are checked every five minutes (`billing.loops`): this is the slow pass that trusts no sum.
        """
        found: dict[UUID, Decimal] = {}
        after: UUID | None = ledger.FIRST
        while after is not None:
            async with self._db.transaction(timeout=300.0) as tx:
                drift, after = await ledger.find_drift_among(tx, after, DRIFT_AT_ONCE)
            found |= drift
        metrics.LEDGER_DRIFT.set(len(found))
        for account_id, amount in found.items():
            log.error("ledger_drift", account_id=str(account_id), amount=str(amount))
