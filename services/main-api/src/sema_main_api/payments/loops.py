"""What payments need by the clock, or sooner when woken. Every claim is committed before what it is for is done."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, date, datetime, timedelta
from typing import Final

from sema_common.billing.payments import notices, receipts, reconciling, top_ups
from sema_common.billing.payments.reconciling import Reconciliation
from sema_common.billing.payments.top_ups import TopUp
from sema_common.platform.db import Database, Tx
from sema_common.platform.faults import fault
from sema_common.platform.logs import get_logger
from sema_common.values.clock import now
from sema_common.values.errors import RetryLater
from sema_main_api.payments import metrics, settling
from sema_main_api.payments.clients import Daraja
from sema_main_api.payments.pushing import Pace
from sema_main_api.payments.rules import daraja as wire
from sema_main_api.payments.rules import top_ups as rules

log = get_logger()

AT_ONCE: Final = 20
"""Calls to Daraja that one instance makes at a time."""

LIST_OVERLAP: Final = timedelta(minutes=30)
"""How far behind a reading of the list looks back: what was late to be listed is found all the same."""

TRUSTED_AFTER: Final = timedelta(minutes=30)
"""What the list does not have by then is missing from it."""

LIST_REACH: Final = timedelta(hours=47)
"""How far back the list goes (48 hours), a little less."""

NEVER: Final = datetime(1970, 1, 1, tzinfo=UTC)
"""How far a list was read that nobody has read yet: before it there is nothing to miss."""

MAX_PAGES: Final = 1_000
RECONCILE_EVERY: Final = timedelta(minutes=15)
DAYS: Final = 3
"""Reports that are made again: today's, and those whose payments the list still has."""

KEPT: Final = timedelta(days=90)
PURGED_AT_ONCE: Final = 1_000

WATCH_SECONDS: Final = 15.0
PURGE_SECONDS: Final = 3600.0


class Loops:
    """One method for each period."""

    def __init__(self, db: Database, daraja: Daraja, business: wire.Business, pace: Pace) -> None:
        self._db = db
        self._daraja = daraja
        self._business = business
        self._pace = pace

    async def ask(self) -> bool:
        """Ask what became of pushes that are due for it; when to ask again is written first."""
        moment = now()
        async with self._db.transaction() as tx:
            claimed = await top_ups.claim_queries(tx, moment, self._pace.unit, rules.GAPS, AT_ONCE)
        await _each(claimed, self._ask)
        return len(claimed) == AT_ONCE

    async def _ask(self, top_up: TopUp) -> None:
        result = None
        if top_up.checkout_request_id is not None:
            answer = await self._daraja.query(self._business.query(now(), top_up.checkout_request_id))
            result = wire.read_query(answer.status, answer.body)
            if result.verdict == "unknown":
                log.warning("unknown_result", top_up_id=str(top_up.id), code=result.code)
        fault("payments.after_query")
        async with self._db.transaction() as tx:
            await settling.settle_asked(tx, top_up, result, now(), self._pace.unit)
        fault("payments.after_commit")

    async def read_list(self) -> None:
        """Read the provider's list from where it was read before, and settle what is new in it."""
        moment = now()
        async with self._db.transaction() as tx:
            done_to = await notices.claim(tx, "list", moment, moment + self._pace.list_every)
        if done_to is not None:
            reach = moment - LIST_REACH
            await self._read(max(done_to - LIST_OVERLAP, reach), moment)
            unread = rules.unread_days(done_to - LIST_OVERLAP, reach) if done_to > NEVER else ()
            async with self._db.transaction() as tx:
                await reconciling.put_not_read(tx, unread, moment)
                await notices.set_done_to(tx, "list", moment)
            if unread:
                log.error("list_not_read", first_day=str(unread[0]), last_day=str(unread[-1]))
        await self.settle_listed()

    async def _read(self, since: datetime, until: datetime) -> None:
        offset = 0
        for _ in range(MAX_PAGES):
            answer = await self._daraja.list(self._business.span(since, until, offset))
            page = wire.read_list(answer.status, answer.body)
            if page is None:
                raise RetryLater(f"Daraja gives no list: HTTP {answer.status}")
            rows = wire.count_rows(answer.body)
            if not rows:
                return
            if page:
                async with self._db.transaction() as tx:
                    await receipts.put_listed(tx, page, now())
                fault("payments.after_list")
            offset += rows
        raise RetryLater(f"Daraja's list does not end: {offset} rows")

    async def settle_listed(self) -> None:
        """Every listed payment that nobody has settled, one transaction each."""
        while True:
            async with self._db.transaction() as tx:
                payment = await settling.settle_listed(tx, now())
            if payment is None:
                return

    async def reconcile(self) -> None:
        """Make the last days' reports again; the list may have learnt more."""
        moment = now()
        async with self._db.transaction() as tx:
            if await notices.claim(tx, "reconcile", moment, moment + RECONCILE_EVERY) is None:
                return
        for day, start, end in rules.days(moment, DAYS):
            async with self._db.transaction(timeout=30.0) as tx:
                await _report(tx, day, start, end, moment)

    async def watch(self) -> None:
        """What waits, in numbers."""
        moment = now()
        first_day, *_ = rules.days(moment, DAYS)[-1]
        async with self._db.transaction() as tx:
            waiting = await top_ups.waiting(tx)
            metrics.UNASSIGNED.set(await receipts.count_unassigned(tx))
            done_to = await notices.done_to(tx, "list")
            metrics.MISMATCHES.set(await reconciling.count_mismatches(tx, first_day))
        metrics.HELD.set(waiting.held)
        metrics.PENDING_OLDEST.set((moment - waiting.oldest).total_seconds() if waiting.oldest else 0)
        metrics.LIST_AGE.set((moment - done_to).total_seconds() if done_to else 0)

    async def purge(self) -> bool:
        """Delete old notices: they hold numbers."""
        async with self._db.transaction() as tx:
            return await notices.purge(tx, now() - KEPT, PURGED_AT_ONCE)


async def _report(tx: Tx, day: date, start: datetime, end: datetime, at: datetime) -> None:
    """The report of one day, as far as the list was read."""
    done_to = await notices.done_to(tx, "list") or start
    found = await reconciling.mismatches(tx, start, end, done_to - TRUSTED_AFTER)
    totals = await reconciling.totals(tx, start, end)
    complete = done_to - TRUSTED_AFTER >= end
    await reconciling.put(tx, Reconciliation(day, at, complete, totals, found))
    if found:
        log.warning(
            "payments_differ", day=str(day), mismatches=len(found), kinds=sorted({f["kind"] for f in found})
        )


async def _each(claimed: list[TopUp], act: Callable[[TopUp], Awaitable[None]]) -> None:
    """All of them at once; one that fails takes no other along. What was in the way is raised in the end."""
    results = await asyncio.gather(*(act(top_up) for top_up in claimed), return_exceptions=True)
    failures = [result for result in results if isinstance(result, BaseException)]
    for failure in failures:
        if not isinstance(failure, RetryLater):
            raise failure
    if failures:
        raise failures[0]
