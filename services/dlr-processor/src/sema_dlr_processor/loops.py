"""Reports that came before their submit was recorded: looked at again until it is there.

The loop only finds; the match itself is made by the handler of `dlr.inbound`, whose redelivery repeats it
whole after a crash.
"""

from datetime import timedelta
from typing import Final

from sema_common.messages.store.reports import find_submits
from sema_common.platform.bus import Bus
from sema_common.platform.db import Database
from sema_common.platform.logs import get_logger
from sema_common.values.clock import now
from sema_common.values.ids import event_id
from sema_common.wire.dlr import MAX_REPORTS, KeptReport, RematchDlrs
from sema_common.wire.queues import DLR_INBOUND
from sema_dlr_processor import metrics, rules, store

log = get_logger()

REMATCH_SECONDS: Final = 1.0
WATCH_SECONDS: Final = 15.0


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
        if any(abandoned):
            log.warning("reports_abandoned", reports=sum(abandoned))
        return len(due) == MAX_REPORTS

    async def watch(self) -> None:
        """Say how many reports wait for their submit."""
        async with self._db.transaction() as tx:
            metrics.UNMATCHED.set(await store.count_unmatched(tx))
