"""phone-validator is told of a job after its commit; where that failed, a loop tells it again."""

from typing import Final
from uuid import UUID

from sema_common.platform.bus import Bus, Outgoing
from sema_common.platform.db import Database
from sema_common.platform.logs import get_logger
from sema_common.platform.telemetry import traceparent
from sema_common.values.clock import now
from sema_common.values.errors import RetryLater
from sema_common.values.ids import event_id
from sema_common.wire.contacts import ValidateContacts
from sema_common.wire.queues import CONTACTS_VALIDATE
from sema_main_api.contacts import metrics
from sema_main_api.contacts.store import jobs as store

SWEEP_SECONDS: Final = 5.0
SWEEP_AGE: Final = 10.0
"""Seconds after the commit at which the loop takes a job up: whoever committed it has given up by then."""

WATCH_SECONDS: Final = 15.0
SWEEP_LIMIT: Final = 100

log = get_logger()


class Telling:
    """Publishes jobs. Telling twice is harmless: a job is what is still pending of it."""

    def __init__(self, db: Database, bus: Bus) -> None:
        self._db = db
        self._bus = bus

    async def tell(self, job: store.Untold) -> None:
        """Publish one job that was committed just now; a broker that is away delays it, and nothing else."""
        try:
            await self._bus.publish(
                CONTACTS_VALIDATE, _message(job), event_id=_event_id(job.job_id), traceparent=traceparent()
            )
            async with self._db.transaction() as tx:
                await store.mark_told(tx, [job.job_id])
        except RetryLater as exc:
            log.warning("validation_job_untold", job_id=job.job_id, detail=exc.detail)

    async def sweep(self) -> bool:
        """Publish jobs that nobody was told of; True when there may be more."""
        async with self._db.transaction() as tx:
            found = await store.lock_untold(tx, SWEEP_AGE, SWEEP_LIMIT)
            if not found:
                return False
            results = await self._bus.publish_many(
                [Outgoing(CONTACTS_VALIDATE, _message(job), _event_id(job.job_id)) for job in found]
            )
            told = [job.job_id for job, failure in zip(found, results, strict=True) if failure is None]
            await store.mark_told(tx, told)
        return len(told) == SWEEP_LIMIT

    async def watch(self) -> None:
        """Say how many jobs wait to be told, and how long the oldest living one has taken."""
        async with self._db.transaction() as tx:
            untold, oldest = await store.watch_jobs(tx)
        metrics.UNTOLD.set(untold)
        metrics.OLDEST_JOB.set((now() - oldest).total_seconds() if oldest else 0)


def _message(job: store.Untold) -> ValidateContacts:
    return ValidateContacts(
        job_id=job.job_id,
        account_id=job.account_id,
        contact_list_id=job.contact_list_id,
        default_country=job.default_country,
    )


def _event_id(job_id: UUID) -> UUID:
    return event_id(CONTACTS_VALIDATE, job_id)
