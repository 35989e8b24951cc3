"""What a settlement and a mixed gathering lock, and in which order: messages before attempts, as whoever else does."""

import asyncio
from datetime import timedelta

import pytest

from sema_common.messages.store.outcomes import Sent, Unfinished, record_unfinished
from sema_common.values.clock import now
from sema_common.wire.sms import SettleAttempt, SettleAttempts, SmsJob
from sema_sms_worker.handlers.gathering import Gathering, Noted
from sema_sms_worker.handlers.hands import Hands
from sema_sms_worker.handlers.settle import Settle
from sema_sms_worker.rules.outcomes import RetryPolicy

from .conftest import World  # type: ignore[import-not-found]  # mypy knows no package with a dash

LEASE = timedelta(seconds=60)
HOLD = timedelta(seconds=300)
POLICY = RetryPolicy(3, timedelta(seconds=5), HOLD)


def doubt_of(job: SmsJob) -> Unfinished:
    """One whose hold is over."""
    return Unfinished(job.message_id, 1, job.tenant_id, "in_doubt", "timeout", "", now() - 2 * HOLD, now())


def sent_of(job: SmsJob) -> Sent:
    return Sent(job.message_id, 1, job.tenant_id, "celcom", f"id-{job.message_id}", now(), now())


async def settle(world: World, gathering: Gathering, jobs: list[SmsJob]) -> None:
    attempts = tuple(SettleAttempt(message_id=job.message_id, attempt=1) for job in jobs)
    handler = Settle(world.pipeline, world.bus, gathering, Hands(), POLICY, LEASE)
    await handler.handle([SettleAttempts(attempts=attempts)])


async def in_doubt(world: World, count: int) -> list[SmsJob]:
    jobs: list[SmsJob] = await world.accept(count)
    for job in jobs:
        await world.claimed_by_a_dead_worker(job)
    async with world.pipeline.transaction() as tx:
        await record_unfinished(tx, [doubt_of(job) for job in jobs])
    return jobs


@pytest.mark.parametrize("what", ["settlement", "outcomes"])
async def test_no_attempt_is_locked_before_its_message(world: World, what: str) -> None:
    first, second = await in_doubt(world, 2)
    async with Gathering.open(world.pipeline, world.bus, LEASE) as gathering:

        async def work() -> None:
            if what == "settlement":
                await settle(world, gathering, [first, second])
            else:
                key = (second.message_id, second.attempt)
                await gathering.note(Noted(unfinished=[doubt_of(first)], unclaimed=[key]))

        async with world.owner.transaction() as holder:
            await holder.execute(
                "SELECT FROM orch.sms_messages WHERE message_id = $1 FOR NO KEY UPDATE", second.message_id
            )
            working = asyncio.create_task(work())
            while not await holder.fetchval(
                "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND transactionid = pg_current_xact_id()::xid)"
            ):
                assert not working.done()
            async with world.owner.transaction() as tx:
                await tx.execute("SELECT FROM orch.submit_attempts FOR NO KEY UPDATE NOWAIT")
        await working


async def test_settlements_and_late_outcomes_in_opposite_orders_do_not_deadlock(world: World) -> None:
    jobs = await in_doubt(world, 100)
    async with Gathering.open(world.pipeline, world.bus, LEASE) as gathering:

        async def arrive(some: list[SmsJob]) -> None:
            await gathering._write_noted([Noted(sent=[sent_of(job) for job in some])])

        await asyncio.gather(
            *(settle(world, gathering, jobs[::step]) for step in (1, -1) * 3),
            *(arrive(jobs[::step]) for step in (1, -1) * 3),
        )
    assert {(await world.message(job))["status"] for job in jobs} <= {"sent", "failed"}
    await world.balance()
