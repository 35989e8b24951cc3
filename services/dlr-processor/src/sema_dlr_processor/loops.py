"""What comes due: reports that came before their submit was recorded, messages of which no report ever came.

The loops only find; what is to be done is done by the handler of `dlr.inbound`, whose redelivery repeats it
whole after a crash, and what it has not done is found again.
"""

import time
from datetime import timedelta
from typing import Final
from uuid import UUID

from sema_common.messages.store.reports import find_submits
from sema_common.messages.store.unreported import find_overdue
from sema_common.platform.bus import Bus, Outgoing
from sema_common.platform.db import Database
from sema_common.platform.logs import get_logger
from sema_common.values.clock import now
from sema_common.values.ids import event_id
from sema_common.wire.dlr import MAX_REPORTS, KeptReport, OverdueMessages, RematchDlrs
from sema_common.wire.queues import DLR_INBOUND
from sema_dlr_processor import metrics, rules, store

log = get_logger()

REMATCH_SECONDS: Final = 1.0
WATCH_SECONDS: Final = 15.0
EXPIRE_SECONDS: Final = 10.0
PURGE_SECONDS: Final = 3600.0

OVERDUE_AT_ONCE: Final = 1000
"""Messages found in one go."""

FIND_AGAIN_SECONDS: Final = 60.0
"""What was enqueued and is not done is enqueued again after this, and not before: a queue that is behind must
not be filled with the same messages."""


class Rematch:
    """Finds unmatched reports whose submit is known by now."""

    def __init__(self, db: Database, bus: Bus, abandon_after: timedelta) -> None:
        self._db = db
        self._bus = bus
        self._abandon_after = abandon_after

    async def find(self) -> bool:
        """Look at what is due: enqueue what can be matched, postpone the rest. True: there is more."""
        at = now()
        async with self._db.transaction() as tx:
            due = await store.find_unmatched(tx, at, MAX_REPORTS)
            if not due:
                return False
            submits = await find_submits(tx, [one.key for one in due])
            # Past its time a report is left to staff even with a submit: one that is matched and comes back
            # belongs to a message that is archived, and would come back for ever.
            young = [one for one in due if at - one.received_at <= self._abandon_after]
            matched = [one for one in young if one.key in submits]
            if matched:
                reports = tuple(KeptReport(id=one.id, received_at=one.received_at) for one in matched)
                name = event_id("rematch", *(one.id for one in matched))
                await self._bus.publish(DLR_INBOUND, RematchDlrs(reports=reports), event_id=name)
            retry_at = [rules.retry_at(one.received_at, at) for one in due]
            abandoned = [at - one.received_at > self._abandon_after for one in due]
            await store.postpone(tx, due, retry_at, abandoned)
        for one, given_up in zip(due, abandoned, strict=True):
            metrics.ABANDONED.labels(one.aggregator).inc(given_up)
        if any(abandoned):
            log.warning("reports_abandoned", reports=sum(abandoned))
        return len(due) == MAX_REPORTS

    async def watch(self) -> None:
        """Say how many reports wait for their submit."""
        async with self._db.transaction() as tx:
            metrics.UNMATCHED.set(await store.count_unmatched(tx))


class Expire:
    """Finds messages whose time is over: still `sent`, or with a refund that has waited long enough."""

    def __init__(self, db: Database, bus: Bus, no_report: timedelta) -> None:
        self._db = db
        self._bus = bus
        self._no_report = no_report
        self._enqueued: dict[UUID, float] = {}

    async def find(self) -> bool:
        """Enqueue what is due. True: there is more."""
        at, started = now(), time.monotonic()
        async with self._db.transaction() as tx:
            found = await find_overdue(tx, at - self._no_report, OVERDUE_AT_ONCE)
            found += await store.find_due_refunds(tx, at, OVERDUE_AT_ONCE)
        again = started - FIND_AGAIN_SECONDS
        self._enqueued = {i: when for i, when in self._enqueued.items() if when > again}
        new = [i for i in dict.fromkeys(found) if i not in self._enqueued]
        some = [tuple(new[i : i + MAX_REPORTS]) for i in range(0, len(new), MAX_REPORTS)]
        outgoing = [
            Outgoing(DLR_INBOUND, OverdueMessages(message_ids=ids), event_id("dlr.overdue", *ids))
            for ids in some
        ]
        results = await self._bus.publish_many(outgoing)
        for ids, failed in zip(some, results, strict=True):
            if failed is not None:
                raise failed
            self._enqueued |= dict.fromkeys(ids, started)
        return len(new) >= OVERDUE_AT_ONCE


class Purge:
    """Drops stored reports that nobody needs any more, a month at a time."""

    def __init__(self, db: Database, keep_days: int) -> None:
        self._db = db
        self._keep_days = keep_days

    async def drop(self) -> None:
        """What cannot get its lock within a second is dropped the next time."""
        async with self._db.transaction(timeout=30.0) as tx:
            dropped = await store.drop_partitions(tx, self._keep_days)
        if dropped:
            log.info("report_partitions_dropped", partitions=dropped)
