"""What happens to one ValidateContacts.

A job is done in chunks, one transaction each, and in turns, one delivery each: after some chunks the rest
goes to the end of the queue. So a million numbers hold up nobody's ten, a shutdown waits for one turn,
and a crash repeats one chunk. How far a job has come is remembered by the contacts that are still
pending, and by nothing else. A job that is not there went with its list: nothing is left to do.
"""

import asyncio
import time
from typing import Final
from uuid import UUID

from sema_common.platform.bus import Bus, Delivery
from sema_common.platform.db import Database
from sema_common.platform.logs import get_logger
from sema_common.platform.topology import DELIVERY_LIMIT
from sema_common.values import clock, ids
from sema_common.values.errors import RetryLater, SemaError
from sema_common.values.networks import MnoRow, MnoTable
from sema_common.wire.contacts import ValidateContacts
from sema_common.wire.queues import CONTACTS_VALIDATE
from sema_phone_validator import metrics, rules, store

CHUNK: Final = 2_000
"""Contacts of one transaction: some 50 ms of arithmetic, and as long a lock on the job's row."""

CHUNKS_PER_TURN: Final = 10
"""Chunks of one delivery: a few seconds, well inside the drain."""

CHUNK_TIMEOUT: Final = 10.0
"""Seconds for one chunk, the wait for another instance's chunk of the same job included."""

REGISTRY_SECONDS: Final = 5.0
"""How old the registry in use may be: staff see a change in force within seconds."""

INTERNAL_ERROR: Final = (
    "We could not finish this validation. Nothing is wrong with your list: resume it later."
)

START: Final = UUID(int=0)

log = get_logger()


class Validator:
    """Works on jobs, with the MNO registry in hand."""

    def __init__(self, db: Database, bus: Bus) -> None:
        self._db = db
        self._bus = bus
        self._rows: list[MnoRow] = []
        self._networks = MnoTable(())
        self._read_at = -REGISTRY_SECONDS

    async def handle(self, delivery: Delivery[ValidateContacts]) -> None:
        """One turn of a job. One that fails again and again ends as `failed`, so that nobody waits for it."""
        try:
            await self._turn(delivery)
        except (SemaError, asyncio.CancelledError):
            raise
        except Exception:
            if delivery.delivery_count >= DELIVERY_LIMIT:
                async with self._db.transaction() as tx:
                    await store.fail_job(tx, delivery.message.job_id, INTERNAL_ERROR, clock.now())
                metrics.JOBS.labels("failed").inc()
            raise

    async def _turn(self, delivery: Delivery[ValidateContacts]) -> None:
        message = delivery.message
        after = START
        for _ in range(CHUNKS_PER_TURN):
            behind = await self._chunk(message, after)
            if behind is None:
                return
            after = behind
        await self._bus.publish(
            CONTACTS_VALIDATE,
            message,
            event_id=ids.event_id(CONTACTS_VALIDATE, message.job_id),
            traceparent=delivery.traceparent,
        )

    async def _chunk(self, message: ValidateContacts, after: UUID) -> UUID | None:
        """Judge the next contacts behind `after`; where to go on, or None when all is done."""
        networks = await self._current_networks()
        started = time.perf_counter()
        async with self._db.transaction(CHUNK_TIMEOUT) as tx:
            job = await store.lock_job(tx, message.job_id, message.account_id)
            if job is None:
                log.info("validation_job_gone", job_id=message.job_id, account_id=message.account_id)
                return None
            if job.status not in ("queued", "running"):
                return None
            phones = await store.read_pending(tx, message.job_id, after, CHUNK)
            region = message.default_country or job.region
            verdicts = await asyncio.to_thread(rules.judge_all, phones, region, networks)
            tally = rules.tally(verdicts.values())
            # A contact that was mended meanwhile is pending behind us: only a look from the start ends a job.
            finished = after == START and len(phones) < CHUNK
            at = clock.now()
            await store.write_verdicts(tx, verdicts, at)
            await store.save_progress(tx, message.job_id, job.tally + tally, at, finished)
        metrics.CHUNK_SECONDS.observe(time.perf_counter() - started)
        metrics.CONTACTS.labels("valid").inc(tally.valid)
        for reason, count in tally.by_reason.items():
            metrics.CONTACTS.labels(reason).inc(count)
        if finished:
            metrics.JOBS.labels("completed").inc()
            log.info("validation_completed", job_id=message.job_id, account_id=message.account_id)
            return None
        return START if len(phones) < CHUNK else next(reversed(phones))

    async def _current_networks(self) -> MnoTable:
        """The registry, at most REGISTRY_SECONDS old. An empty one is a fault of ours, not of the numbers."""
        if time.monotonic() - self._read_at >= REGISTRY_SECONDS:
            async with self._db.transaction() as tx:
                rows = await store.read_prefixes(tx)
            if rows != self._rows:
                self._networks = await asyncio.to_thread(MnoTable, rows)
                self._rows = rows
                metrics.REGISTRY_ROWS.set(len(rows))
                log.info("mno_registry_read", prefixes=len(rows))
            self._read_at = time.monotonic()
        if not self._rows:
            self._read_at = -REGISTRY_SECONDS
            raise RetryLater("the MNO registry is empty")
        return self._networks
