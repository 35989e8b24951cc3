"""What the scheduler does by the clock, or sooner when it is woken: one method for each period."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Final

from sema_common.messages.campaigns import CampaignRow, campaign_fact
from sema_common.messages.store.campaigns import count_by_status
from sema_common.platform.bus import Bus, Outgoing
from sema_common.platform.db import Database
from sema_common.platform.faults import fault
from sema_common.platform.logs import get_logger
from sema_common.values.clock import now
from sema_common.values.errors import BrokerUnavailable, RetryLater
from sema_common.values.ids import event_id
from sema_common.wire.content import ScreenCampaign
from sema_common.wire.queues import SMS_CONTENT, WEBHOOKS_OUTBOUND
from sema_common.wire.webhook import Facts
from sema_main_api.scheduler import metrics, rules
from sema_main_api.scheduler.store import moving as store

log = get_logger()

START_SECONDS: Final = 30.0
"""The safety net: who was not woken looks this often."""

FEED_SECONDS: Final = 5.0
"""How often an idle feeder looks for campaigns that a dead instance has left."""

FINISH_SECONDS: Final = 1.0
SETTLE_SECONDS: Final = 60.0
PURGE_SECONDS: Final = 600.0
WATCH_SECONDS: Final = 15.0

LONG_SECONDS: Final = 30.0
"""Longest statement over all messages or recipients of a campaign: a million, on a busy machine."""

AT_ONCE: Final = 100
PURGED_AT_ONCE: Final = 20_000

SETTLED_AFTER: Final = timedelta(days=4)
"""By then every message has ended or expired: the longest life is 72 h, and so is the wait for a report."""

RECIPIENTS_KEPT: Final = timedelta(days=30)


class Scheduler:
    """`feed` is told whenever a campaign has become due; `ask_again(seconds)` sets the alarm for the next one."""

    def __init__(
        self, db: Database, bus: Bus, feed: Callable[[], object], ask_again: Callable[[float], object]
    ) -> None:
        self._db = db
        self._bus = bus
        self._feed = feed
        self._ask_again = ask_again

    async def start(self) -> bool:
        """Ask for verdicts, then move what is approved or due. True: there is more."""
        unscreened: RetryLater | None = None
        try:
            more = await self._screen()
        except RetryLater as exc:  # RabbitMQ is away: what was approved before starts all the same
            unscreened, more = exc, False
        moment = now()
        async with self._db.transaction() as tx:
            moved = await store.start(tx, moment, AT_ONCE)
            due = await store.next_due(tx)
        for campaign_id, account_id, status in moved:
            log.info(
                "campaign_started" if status == "queued" else "campaign_scheduled",
                campaign_id=str(campaign_id),
                account_id=str(account_id),
            )
        if any(status == "queued" for _, _, status in moved):
            self._feed()
        if due is not None:
            self._ask_again(max(0.0, (due - moment).total_seconds()))
        if unscreened is not None:
            raise unscreened
        return more or len(moved) == AT_ONCE

    async def _screen(self) -> bool:
        """Publish what waits for its verdict, then mark it: repeated by whoever comes next, if this dies between."""
        async with self._db.transaction(timeout=15.0) as tx:
            found = await store.find_unscreened(tx, AT_ONCE)
            if not found:
                return False
            results = await self._bus.publish_many(
                [
                    Outgoing(
                        SMS_CONTENT,
                        ScreenCampaign(campaign_id=each.id, account_id=each.account_id),
                        event_id("campaign.screen", each.id),
                        each.traceparent,
                    )
                    for each in found
                ]
            )
            asked = [each.id for each, failure in zip(found, results, strict=True) if failure is None]
            if asked:
                await store.pend(tx, asked)
        for failure in results:
            if failure is not None:
                raise failure
        return len(found) == AT_ONCE

    async def finish(self) -> bool:
        """Complete campaigns whose last message was submitted: told first, marked after."""
        async with self._db.transaction(LONG_SECONDS) as tx:
            finished = await store.find_finished(tx, AT_ONCE, LONG_SECONDS)
        await self._each(finished, self._complete)
        return len(finished) == AT_ONCE

    async def _complete(self, campaign: CampaignRow) -> None:
        moment = now()
        counts = await self._count(campaign)
        fact = campaign_fact(rules.completed(campaign, moment), counts, moment)
        await self._bus.publish(
            WEBHOOKS_OUTBOUND,
            Facts(facts=(fact,)),
            event_id=fact.event_id,
            traceparent=campaign.traceparent,
        )
        fault("finish.after_publish")
        async with self._db.transaction() as tx:
            if not await store.complete(tx, campaign.id, moment):
                return
        metrics.COMPLETED.inc()
        log.info(
            "campaign_completed",
            campaign_id=str(campaign.id),
            account_id=str(campaign.account_id),
            messages=campaign.expanded,
            refused=campaign.refused,
        )

    async def settle(self) -> bool:
        """Keep the last count of campaigns whose messages have all ended."""
        async with self._db.transaction(LONG_SECONDS) as tx:
            found = await store.find_unsettled(tx, now() - SETTLED_AFTER, AT_ONCE, LONG_SECONDS)
        await self._each(found, self._settle)
        return len(found) == AT_ONCE

    async def _settle(self, campaign: CampaignRow) -> None:
        counts = await self._count(campaign)
        async with self._db.transaction() as tx:
            await store.settle(tx, campaign.id, counts)

    async def _count(self, campaign: CampaignRow) -> dict[str, int]:
        """Its messages by status: of a million, longer than a statement may usually take."""
        async with self._db.transaction(LONG_SECONDS) as tx:
            counts = await count_by_status(tx, [campaign.id], campaign.created_at, LONG_SECONDS)
        return counts[campaign.id]

    async def _each(
        self, found: Sequence[CampaignRow], work: Callable[[CampaignRow], Awaitable[None]]
    ) -> None:
        """Work on each; what fails for one is raised when the others have had theirs. Without RabbitMQ none has."""
        failed: RetryLater | None = None
        for campaign in found:
            try:
                await work(campaign)
            except BrokerUnavailable:
                raise
            except RetryLater as exc:
                log.warning("campaign_not_moved", campaign_id=str(campaign.id), error=str(exc))
                failed = exc
        if failed is not None:
            raise failed

    async def purge(self) -> bool:
        """Forget recipients and parts 30 days after their campaign's end, a page of one campaign at a time."""
        async with self._db.transaction(LONG_SECONDS) as tx:
            campaign_id = await store.find_unpurged(tx, now() - RECIPIENTS_KEPT)
            if campaign_id is None:
                return False
            gone = await store.purge_recipients(tx, campaign_id, PURGED_AT_ONCE, LONG_SECONDS)
            if gone < PURGED_AT_ONCE:
                await store.purged(tx, campaign_id, now())
        return True

    async def watch(self) -> None:
        """Say which campaigns have not moved for longer than they may."""
        moment = now()
        async with self._db.transaction() as tx:
            still = await store.find_still(tx, moment, rules.STILL_AFTER)
        stuck = [
            each
            for each in still
            if rules.is_stuck(each.status, each.expanded, each.waits_until, moment - each.moved_at, moment)
        ]
        counts = Counter(each.status for each in stuck)
        for status in rules.MOVING:
            metrics.STUCK.labels(status).set(counts[status])
        for each in stuck:
            log.warning("campaign_stuck", campaign_id=str(each.id), account_id=str(each.account_id))


class Alarm:
    """Wakes a loop once, after so many seconds."""

    def __init__(self) -> None:
        self._wake: Callable[[], object] = lambda: None
        self._handle: asyncio.TimerHandle | None = None

    def wakes(self, wake: Callable[[], object]) -> None:
        """What it wakes."""
        self._wake = wake

    def set(self, seconds: float) -> None:
        """Ring in `seconds`; the last setting counts. Far times are left to the loop's own clock."""
        if self._handle is not None:
            self._handle.cancel()
        if seconds < 2 * START_SECONDS:
            self._handle = asyncio.get_running_loop().call_later(seconds, lambda: self._wake())
