"""What happens to one ScreenCampaign: read, judge, write the verdict, tell the customer of a rejection."""

import asyncio
import time

from sema_common.messages.campaigns import CampaignRow, rejected_fact
from sema_common.messages.rejecting import reject_campaign
from sema_common.messages.store.campaigns import read_campaign
from sema_common.platform.bus import Bus, Delivery
from sema_common.platform.db import Database
from sema_common.platform.faults import fault
from sema_common.platform.logs import get_logger
from sema_common.values import clock
from sema_common.values.errors import Park, RetryLater
from sema_common.wire.content import ScreenCampaign
from sema_common.wire.queues import WEBHOOKS_OUTBOUND
from sema_common.wire.webhook import Facts
from sema_content_checker import BadRule, Rule, RuleSet, Verdict, check_template
from sema_content_worker import metrics, rules, store
from sema_content_worker.clients import Verdicts, cache_key

log = get_logger()


class Screener:
    """Judges campaigns, with the compiled blocklist in hand."""

    def __init__(self, db: Database, bus: Bus, verdicts: Verdicts) -> None:
        self._db = db
        self._bus = bus
        self._verdicts = verdicts
        self._ruleset: RuleSet | None = None
        self._version = 0  # read last, compiled or not

    async def handle(self, delivery: Delivery[ScreenCampaign]) -> None:
        """Commit the verdict, then publish it, then let the message be acknowledged; Park if nobody knows the
        campaign. A repeat finds the verdict and only publishes again."""
        message = delivery.message
        campaign = await self._read(message)
        if campaign.status in rules.WAITING:
            await self._record(campaign, await self._judge(campaign))
            campaign = await self._read(message)
        if campaign.status == "rejected":
            fact = rejected_fact(campaign)
            await self._bus.publish(WEBHOOKS_OUTBOUND, Facts(facts=(fact,)), event_id=fact.event_id)
            fault("screen.after_publish")

    async def _read(self, message: ScreenCampaign) -> CampaignRow:
        async with self._db.transaction() as tx:
            campaign = await read_campaign(tx, message.campaign_id)
        if campaign is None or campaign.account_id != message.account_id:
            raise Park("unknown_campaign")
        return campaign

    async def _judge(self, campaign: CampaignRow) -> Verdict:
        ruleset = await self._current_rules()
        key = cache_key(ruleset.version, campaign.message)
        known = await self._verdicts.find(key)
        if known is not None:
            return known
        started = time.perf_counter()
        verdict = await asyncio.to_thread(check_template, campaign.message, ruleset)
        metrics.JUDGE_SECONDS.observe(time.perf_counter() - started)
        await self._verdicts.keep(key, verdict)
        return verdict

    async def _record(self, campaign: CampaignRow, verdict: Verdict) -> None:
        """Write the verdict, unless somebody was quicker (a cancellation, another instance)."""
        async with self._db.transaction() as tx:
            if verdict.allowed:
                written = await store.approve(tx, campaign.id, clock.now())
            else:
                reasons = rules.reasons_as_json(verdict.reasons)
                written = await reject_campaign(tx, campaign, reasons, clock.now()) is not None
        if not written:
            return
        outcome = "approved" if verdict.allowed else "rejected"
        metrics.VERDICTS.labels(outcome).inc()
        for reason in verdict.reasons:
            metrics.REASONS.labels(reason.check).inc()
        checks = sorted({reason.check for reason in verdict.reasons})
        log.info(
            "campaign_screened",
            campaign_id=campaign.id,
            account_id=campaign.account_id,
            verdict=outcome,
            checks=checks,
        )

    async def _current_rules(self) -> RuleSet:
        """The rules as they are now; those that do not compile leave the last good ones in force."""
        async with self._db.transaction() as tx:
            changed = await store.read_version(tx) != self._version
            version, found = await store.read_rules(tx) if changed else (self._version, [])
        if changed:
            await self._compile(version, found)
            self._version = version
        if self._ruleset is None:
            raise RetryLater("the blocklist cannot be compiled")
        return self._ruleset

    async def _compile(self, version: int, found: list[Rule]) -> None:
        try:
            self._ruleset = await asyncio.to_thread(RuleSet, str(version), found)
        except BadRule as bad:
            metrics.RULES_BROKEN.set(1)
            log.error("blocklist_broken", version=version, detail=str(bad))
            return
        metrics.RULES.set(len(found))
        metrics.RULES_VERSION.set(version)
        metrics.RULES_BROKEN.set(0)
        log.info("blocklist_compiled", rules=len(found), version=version)
