"""What a decision publishes, after it is committed: the letter again, or the facts of what a discard ended.

It may be told twice, never not at all: `told_at` is set last, and the loop tells what it is missing from.
"""

import asyncio
from collections.abc import Sequence
from uuid import UUID

from sema_common.messages.campaigns import rejected_fact
from sema_common.messages.store.campaigns import read_campaign
from sema_common.messages.store.reading import read_messages
from sema_common.messages.view import of_row, status_fact
from sema_common.platform.bus import Bus, Outgoing
from sema_common.platform.db import Database
from sema_common.platform.logs import get_logger
from sema_common.values.clock import now
from sema_common.values.errors import RetryLater
from sema_common.values.ids import event_id
from sema_common.wire.queues import SMS_CONTENT, WEBHOOKS_OUTBOUND
from sema_common.wire.webhook import Facts, bundle_facts
from sema_main_api.admin.dead_letters import store
from sema_main_api.admin.dead_letters.rules.deciding import was_dead_lettered
from sema_main_api.admin.dead_letters.rules.letters import Letter, open_letter

log = get_logger()


class Telling:
    def __init__(self, db: Database, bus: Bus) -> None:
        self._db = db
        self._bus = bus

    async def tell(self, letters: Sequence[Letter]) -> set[UUID]:
        """Publish what was decided; the ids of the letters that are told. The rest is told by the loop."""
        waiting = [letter for letter in letters if letter.state != "open" and letter.told_at is None]
        outcomes = await asyncio.gather(*map(self._tell, waiting), return_exceptions=True)
        told: set[UUID] = set()
        failures: list[BaseException] = []
        for letter, outcome in zip(waiting, outcomes, strict=True):
            if outcome is None:
                told.add(letter.id)
            elif isinstance(outcome, RetryLater):
                log.warning("dead_letter_not_told", letter_id=str(letter.id), detail=outcome.detail)
            else:
                failures.append(outcome)
        if told:
            async with self._db.transaction() as tx:
                await store.mark_told(tx, list(told), now())
        for (
            failure
        ) in failures:  # after the mark: what one letter fails on must not have the others told for ever
            raise failure
        return told

    async def _tell(self, letter: Letter) -> None:
        if letter.state == "republished":
            await self._republish(letter)
        elif letter.queue == SMS_CONTENT:
            await self._tell_rejection(letter)
        else:
            await self._tell_failures(letter)

    async def _republish(self, letter: Letter) -> None:
        name = (
            letter.event_id if letter.sent_body is None else None
        )  # rows are named after it: other body, other id
        await self._bus.publish_raw(
            letter.queue,
            letter.body if letter.sent_body is None else letter.sent_body,
            type=letter.sent_type or letter.type,
            version=letter.sent_version or 1,
            event_id=name or event_id("dead_letter.sent", letter.id),
            traceparent=letter.traceparent,
        )

    async def _tell_rejection(self, letter: Letter) -> None:
        campaign_id = open_letter(letter).named.campaign_id
        if campaign_id is None:
            return
        async with self._db.transaction() as tx:
            campaign = await read_campaign(tx, campaign_id)
        if campaign is None or campaign.status != "rejected":
            return
        fact = rejected_fact(campaign)
        await self._bus.publish(
            WEBHOOKS_OUTBOUND,
            Facts(facts=(fact,)),
            event_id=fact.event_id,
            traceparent=campaign.traceparent,
        )

    async def _tell_failures(self, letter: Letter) -> None:
        ids = list(open_letter(letter).named.jobs)
        if not ids:
            return
        async with self._db.transaction() as tx:
            rows = (await read_messages(tx, ids)).values()
        facts = [
            status_fact(
                of_row(row),
                message_id=row.message_id,
                account_id=row.account_id,
                status="failed",
                occurred_at=row.status_at,
                callback_url=row.callback_url,
                traceparent=row.traceparent,
            )
            for row in rows
            if was_dead_lettered(row)
        ]
        outgoing = [Outgoing(WEBHOOKS_OUTBOUND, bundle, name) for bundle, name in bundle_facts(facts)]
        for outcome in await self._bus.publish_many(outgoing):
            if outcome is not None:
                raise outcome
