"""What many bulks write together, when something goes wrong in the middle."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import LiteralString, cast

import pytest

from sema_common.messages.ending import Ending
from sema_common.messages.store.attempts import Claim
from sema_common.messages.store.outcomes import Ended, Sent
from sema_common.platform.db import Database, Tx
from sema_common.values.clock import now
from sema_common.values.errors import OutcomeUnknown, StoreUnavailable
from sema_common.wire.sms import SmsJob
from sema_sms_worker import metrics
from sema_sms_worker.handlers.gathering import Gathering, Noted

from .conftest import COST, OPENING, World  # type: ignore[import-not-found]  # mypy knows no package with a dash

LEASE = timedelta(seconds=60)


class Unlucky:
    """A database that commits (or does not) and does not say so, so many times."""

    def __init__(self, db: Database, times: int, commits: bool) -> None:
        self._db = db
        self.times = times
        self._commits = commits

    @asynccontextmanager
    async def transaction(self, timeout: float = 5.0) -> AsyncIterator[Tx]:
        async with self._db.transaction(timeout) as tx:
            yield tx
            if self.times and not self._commits:
                self.times -= 1
                raise OutcomeUnknown("the connection was lost before COMMIT did anything")
        if self.times:
            self.times -= 1
            raise OutcomeUnknown("the answer to COMMIT was lost")

    async def execute(self, sql: LiteralString, *args: object) -> str:
        return await self._db.execute(sql, *args)


@asynccontextmanager
async def gathering(world: World, unlucky: int = 0, commits: bool = True) -> AsyncIterator[Gathering]:
    db = cast(Database, Unlucky(world.pipeline, unlucky, commits))
    async with Gathering.open(db, world.bus, LEASE) as opened:
        yield opened


def claim_of(job: SmsJob) -> Claim:
    return Claim(job.message_id, job.attempt, job.tenant_id, job.lane, "celcom")


def failed(job: SmsJob) -> Ending:
    record = Ended(job.message_id, 1, job.tenant_id, "failed", "code", "detail", now(), "celcom")
    return Ending(record, job.billing_account_id)


async def test_a_claim_whose_commit_went_unanswered_is_still_ours(world: World) -> None:
    [job, other] = await world.accept(2)
    await world.claimed_by_a_dead_worker(other, seconds_ago=1)
    async with gathering(world, unlucky=1) as gathered:
        assert await gathered.claim([claim_of(job), claim_of(other)]) == {(job.message_id, 1)}
        assert await gathered.claim([claim_of(job)]) == set()


async def test_a_claim_whose_commit_never_happened_is_tried_again_and_not_taken_for_somebody_elses(
    world: World,
) -> None:
    [job, other] = await world.accept(2)
    await world.claimed_by_a_dead_worker(other, seconds_ago=1)
    async with gathering(world, unlucky=1, commits=False) as gathered:
        with pytest.raises(StoreUnavailable):
            await gathered.claim([claim_of(job), claim_of(other)])
        assert await gathered.claim([claim_of(job), claim_of(other)]) == {(job.message_id, 1)}


async def test_two_bulks_that_ask_for_one_attempt_do_not_both_get_it(world: World) -> None:
    [job] = await world.accept(1)
    async with gathering(world) as gathered:
        first = await gathered._write_claims([[claim_of(job)], [claim_of(job)]])
    assert first == [{(job.message_id, 1)}, set()]


async def test_an_ending_whose_commit_went_unanswered_refunds_once(world: World) -> None:
    [job] = await world.accept(1)
    async with gathering(world, unlucky=2) as gathered:
        assert await gathered.end([failed(job)]) == {job.message_id}
    assert await world.refunds(job) == 1
    assert await world.balance() == OPENING


async def test_an_ending_that_was_rolled_back_is_counted_once(world: World) -> None:
    def counted() -> tuple[float, float]:
        return metrics.REFUNDS._value.get(), metrics.ENDED.labels("failed", "code")._value.get()

    [job] = await world.accept(1)
    before = counted()
    async with gathering(world, unlucky=2, commits=False) as gathered:
        assert await gathered.end([failed(job)]) == {job.message_id}
    assert counted() == (before[0] + 1, before[1] + 1)


async def test_a_message_that_was_delivered_meanwhile_does_not_end(world: World) -> None:
    [job] = await world.accept(1)
    await world.owner.execute("UPDATE orch.sms_messages SET status = 'delivered'")
    async with gathering(world) as gathered:
        assert await gathered.end([failed(job)]) == set()
    assert await world.balance() == OPENING - COST


async def test_one_bad_outcome_fails_alone(world: World) -> None:
    good, bad = await world.accept(2)

    def sent(job: SmsJob, aggregator_id: str) -> Noted:
        key = (job.message_id, job.attempt, job.tenant_id)
        return Noted(sent=[Sent(*key, "celcom", aggregator_id, now(), now())])

    async with gathering(world) as gathered:
        await gathered.claim([claim_of(good), claim_of(bad)])
        results = await gathered._noted._commit([sent(bad, "no \x00 text"), sent(good, "id")])
    assert isinstance(results[0], Exception)
    assert results[1] is None
    assert [(await world.message(job))["status"] for job in (good, bad)] == ["sent", "queued"]
