"""What many bulks write together: one INSERT of claims, one transaction of outcomes, one publish of facts.

Endings lock balances, and a locked balance may keep them waiting, so they have a gathering of their own: the
outcomes of everybody else do not wait with them.
"""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Final, Self, TypeVar
from uuid import UUID

from sema_common.messages.ending import Ending, Endings, end_messages
from sema_common.messages.store import attempts as orch
from sema_common.messages.store.attempts import AttemptKey, Claim
from sema_common.messages.store.outcomes import (
    Sent,
    Unfinished,
    Waiting,
    record_sent,
    record_unfinished,
    record_waiting,
)
from sema_common.messages.store.reading import lock_status
from sema_common.platform.batching import GroupCommit, each_alone
from sema_common.platform.bus import Bus, Outgoing
from sema_common.platform.db import Database, Tx
from sema_common.platform.faults import fault
from sema_common.platform.logs import get_logger
from sema_common.values import clock
from sema_common.values.errors import OutcomeUnknown, RetryLater, StoreUnavailable
from sema_common.wire.queues import WEBHOOKS_OUTBOUND
from sema_common.wire.webhook import Fact, bundle_facts
from sema_sms_worker import metrics
from sema_sms_worker.settings import CLAIM_LOOK_SECONDS

log = get_logger()

T = TypeVar("T")
R = TypeVar("R")

AT_ONCE: Final = 15
"""Bulks in one gathering: 300 rows, above which a batch only takes longer."""

WRITERS: Final = 2
LINGER_SECONDS: Final = 0.003
"""A gathering waits so long for company: it doubles what is written together and saves a tenth of a message's CPU."""

WAITING: Final = 10_000
"""Bulks that may wait. Senders bound it far below; it is no limit that is meant to be met."""

SOURCE: Final = "sms-worker"
"""Who says, in a message's history, that it ended."""

AGAIN_FIRST: Final = 0.1
AGAIN_LAST: Final = 2.0


@dataclass(frozen=True, slots=True)
class Noted:
    """Outcomes of one bulk that move no money; `unclaimed` are attempts that were never made, `waiting` put off."""

    sent: Sequence[Sent] = ()
    unfinished: Sequence[Unfinished] = ()
    unclaimed: Sequence[AttemptKey] = ()
    waiting: Sequence[Waiting] = ()


class Gathering:
    """The gatherings of this room. Made by `open`; leaving it writes what is in hand."""

    def __init__(self, db: Database, bus: Bus, lease: timedelta) -> None:
        self._db = db
        self._bus = bus
        self._lease = lease
        # When a gathering fails each of its bulks is tried alone, so that one bad row fails alone. Of endings also
        # while the store is slow: one locked balance looks the same.
        self._claims = _gather("claims", each_alone(self._write_claims))
        self._noted = _gather("noted", each_alone(self._write_noted))
        self._endings = _gather("endings", each_alone(self._write_endings, also=(RetryLater,)))
        self._facts = _gather("facts", self._publish)

    @classmethod
    @asynccontextmanager
    async def open(cls, db: Database, bus: Bus, lease: timedelta) -> AsyncIterator[Self]:
        gathering = cls(db, bus, lease)
        async with AsyncExitStack() as stack:
            for each in (gathering._facts, gathering._endings, gathering._noted, gathering._claims):
                await stack.enter_async_context(each)
            yield gathering

    async def claim(self, claims: Sequence[Claim]) -> set[AttemptKey]:
        """Which of these attempts are now ours, until the lease is over. RetryLater: none is."""
        return await self._claims.submit(claims)

    async def note(self, noted: Noted) -> None:
        """Record outcomes, however long it takes: nobody else knows them."""
        await _until_done(partial(self._noted.submit, noted))

    async def end(self, endings: Sequence[Ending]) -> set[UUID]:
        """End messages and refund them, however long it takes; those that stand ended as it says."""
        return await _until_done(partial(self._endings.submit, endings))

    async def tell(self, facts: Sequence[Fact]) -> None:
        """Publish facts, confirmed. RetryLater: some may not have been taken, tell all again."""
        if facts:
            await self._facts.submit(facts)

    # --- one gathering each

    async def _write_claims(self, many: list[Sequence[Claim]]) -> list[set[AttemptKey]]:
        claims = [claim for each in many for claim in each]
        due_at = clock.now() + self._lease
        try:
            async with self._db.transaction() as tx:
                won = await orch.claim(tx, claims, due_at)
                fault("sender.in_claim")
            fault("sender.after_claim")
        except OutcomeUnknown:
            # The end of the lease, to the microsecond, tells our claims from anybody else's.
            stored = await self._look([claim.message_id for claim in claims])
            if any((claim.message_id, claim.attempt) not in stored for claim in claims):
                # It did not happen. To say "claimed before" would drop jobs that nobody has.
                raise StoreUnavailable("the claims were not committed") from None
            won = {
                key for key, found in stored.items() if found.state == "claimed" and found.due_at == due_at
            }
        answers: list[set[AttemptKey]] = []
        for each in many:
            mine = {(claim.message_id, claim.attempt) for claim in each} & won
            won -= mine  # two bulks may ask for the same attempt: the first one has it
            answers.append(mine)
        return answers

    async def _look(self, message_ids: Sequence[UUID]) -> dict[AttemptKey, orch.Attempt]:
        until = time.monotonic() + CLAIM_LOOK_SECONDS - 5.0  # the last look itself may take 5 s
        while True:
            try:
                async with self._db.transaction() as tx:
                    found = await orch.read_attempts(tx, message_ids)
                return {(a.message_id, a.attempt): a for each in found.values() for a in each}
            except RetryLater:
                if time.monotonic() > until:
                    raise
            await asyncio.sleep(AGAIN_FIRST)

    async def _write_noted(self, many: list[Noted]) -> list[None]:
        sent = [record for noted in many for record in noted.sent]
        unfinished = [record for noted in many for record in noted.unfinished]
        unclaimed = [key for noted in many for key in noted.unclaimed]
        waiting = [record for noted in many for record in noted.waiting]
        fault("sender.before_commit")
        if not (unfinished or unclaimed or waiting):  # nearly always: one statement, which may happen twice
            await record_sent(self._db, sent)
            return [None] * len(many)
        async with self._db.transaction() as tx:
            # More than one statement on attempts: one order for all of them.
            ids = [record.message_id for record in sent] + [record.message_id for record in unfinished]
            ids += [message_id for message_id, _ in unclaimed] + [record.message_id for record in waiting]
            await lock_status(tx, ids)
            if sent:
                await record_sent(tx, sent)
            if unfinished:
                await record_unfinished(tx, unfinished)
            if unclaimed:
                await orch.unclaim(tx, unclaimed)
            if waiting:
                await record_waiting(tx, waiting)
        return [None] * len(many)

    async def _write_endings(self, many: list[Sequence[Ending]]) -> list[set[UUID]]:
        async with self._db.transaction() as tx:
            ended = await end(tx, [ending for each in many for ending in each])
        fault("refund.after_commit")
        count(ended)
        return [{e.record.message_id for e in each} & ended.standing for each in many]

    async def _publish(self, many: list[Sequence[Fact]]) -> list[BaseException | None]:
        """Bundles are cut across bulks; a bulk succeeds when all bundles do, since a repeat is harmless."""
        facts = [fact for each in many for fact in each]
        results = await self._bus.publish_many(
            [Outgoing(WEBHOOKS_OUTBOUND, message, event_id) for message, event_id in bundle_facts(facts)]
        )
        failed = next((result for result in results if result is not None), None)
        return [failed] * len(many)


async def end(tx: Tx, endings: Sequence[Ending]) -> Endings:
    """End messages and refund what ended now."""
    return await end_messages(tx, endings, SOURCE)


def count(ended: Endings) -> None:
    """Into the metrics, once, after the commit."""
    metrics.REFUNDS.inc(ended.refunds)
    for (status, code), number in Counter((each.status, each.code) for each in ended.now).items():
        metrics.ENDED.labels(status, code).inc(number)


def _gather(
    what: str, commit: Callable[[list[T]], Awaitable[Sequence[R | BaseException]]]
) -> GroupCommit[T, R]:
    return GroupCommit(
        commit,
        max_batch=AT_ONCE,
        max_queue=WAITING,
        linger=LINGER_SECONDS,
        workers=WRITERS,
        on_batch=metrics.GATHERED.labels(what).observe,
    )


async def _until_done(write: Callable[[], Awaitable[R]]) -> R:
    delay = AGAIN_FIRST
    while True:
        try:
            return await write()
        except RetryLater as exc:
            log.warning("outcome_kept", detail=exc.detail, delay=delay)
        await asyncio.sleep(delay)
        delay = min(delay * 2, AGAIN_LAST)
