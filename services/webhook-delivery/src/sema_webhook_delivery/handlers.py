"""What is done with a batch of `webhooks.outbound`: fan facts out, make wishes for redelivery true.

Rows are committed before the acknowledgement, so nothing is lost; their ids are derived, so nothing is owed
twice. What there is space for is attempted at once from memory, the rest when Postgres says that it is due.
"""

import time
from collections.abc import Sequence
from uuid import UUID

from sema_common.platform.bus import Delivery
from sema_common.platform.db import Database
from sema_common.platform.faults import fault
from sema_common.platform.logs import get_logger
from sema_common.values.clock import now
from sema_common.wire.envelope import WireMessage
from sema_common.wire.webhook import Fact, Facts, Redeliver
from sema_webhook_delivery import metrics, rules, store
from sema_webhook_delivery.dispatch import Dispatcher
from sema_webhook_delivery.rules import LEASE, Owed
from sema_webhook_delivery.subscribers import Subscribers

log = get_logger()

MESSAGES = (Facts, Redeliver)


class Outbound:
    """The handler of the queue."""

    def __init__(self, db: Database, subscribers: Subscribers, dispatcher: Dispatcher) -> None:
        self._db = db
        self._subscribers = subscribers
        self._dispatcher = dispatcher

    async def handle(self, deliveries: Sequence[Delivery[WireMessage]]) -> None:
        facts = [f for each in deliveries if isinstance(each.message, Facts) for f in each.message.facts]
        wishes = [
            (each.message.delivery_id, each.message.account_id)
            for each in deliveries
            if isinstance(each.message, Redeliver)
        ]
        if facts:
            await self._fan_out(facts)
        if wishes:
            await self._redeliver(wishes)

    async def _fan_out(self, facts: Sequence[Fact]) -> None:
        subscribers = await self._subscribers.of(fact.account_id for fact in facts)
        at, claimed_at = now(), time.monotonic()
        owed: list[Owed] = []
        for fact in facts:
            subscriber = subscribers.get(fact.account_id)
            if subscriber is None:
                log.error("fact_of_unknown_account", account_id=str(fact.account_id), type=fact.type)
                continue
            owed.extend(rules.fan_out(fact, subscriber, at))
        due = [self._dispatcher.due_at(each.target, at) for each in owed]
        new: set[UUID] = set()
        if owed:
            async with self._db.transaction() as tx:
                new = await store.insert_deliveries(tx, owed, [when or at + LEASE for when in due])
                fault("hook.before_claim")
            fault("hook.after_claim")
        metrics.FACTS.inc(len(facts))
        metrics.DELIVERIES.labels("created").inc(len(new))
        ours = {
            each.id: each for each, when in zip(owed, due, strict=True) if when is None and each.id in new
        }
        self._dispatcher.take(list(ours.values()), subscribers, claimed_at)

    async def _redeliver(self, wishes: Sequence[tuple[UUID, UUID]]) -> None:
        subscribers = await self._subscribers.of(account_id for _, account_id in wishes)
        claimed_at = time.monotonic()
        async with self._db.transaction() as tx:
            owed = await store.redeliver(tx, wishes, now() + LEASE)
        metrics.DELIVERIES.labels("redelivered").inc(len(owed))
        self._dispatcher.take(owed, subscribers, claimed_at)
