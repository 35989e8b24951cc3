"""The sweep beside workers that are quicker than it: what they say of an attempt stands."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, cast

import pytest

from sema_common.messages.store.attempts import Claim, claim
from sema_common.messages.store.outcomes import Waiting, record_waiting
from sema_common.platform.bus import Bus, Outgoing
from sema_common.platform.db import Tx
from sema_common.values.clock import now
from sema_common.wire.sms import SmsJob
from sema_sms_worker.loops import Sweep
from sema_sms_worker.rules.doubt import LOOK_AGAIN

from .conftest import World  # type: ignore[import-not-found]  # mypy knows no package with a dash


class QuickBus:
    """A bus on which a worker has had every job before its confirm comes."""

    def __init__(self, meanwhile: Callable[[], Awaitable[None]] | None = None) -> None:
        self.published: list[Outgoing] = []
        self._meanwhile = meanwhile

    async def publish_many(self, outgoing: Sequence[Outgoing]) -> list[None]:
        self.published += outgoing
        if self._meanwhile is not None and outgoing:
            await self._meanwhile()
        return [None] * len(outgoing)


async def put_off(tx: Tx, job: SmsJob, due_at: datetime) -> None:
    told = {"reason": "none", "passed_over": [{"aggregator": "celcom", "reason": "switched_off"}]}
    await record_waiting(
        tx, [Waiting(job.message_id, 1, job.tenant_id, job.lane, "celcom", told, now(), due_at)]
    )


async def take(tx: Tx, job: SmsJob, due_at: datetime) -> None:
    await claim(tx, [Claim(job.message_id, 1, job.tenant_id, job.lane, "celcom")], due_at)


async def waiting(world: World, **about: Any) -> SmsJob:
    [job] = await world.accept(1, lane="priority", **about)
    async with world.pipeline.transaction() as tx:
        await put_off(tx, job, now() - timedelta(seconds=1))
    return cast(SmsJob, job)


@pytest.mark.parametrize("step", [put_off, take])
async def test_what_a_worker_says_before_the_confirm_stands(
    world: World, step: Callable[[Tx, SmsJob, datetime], Awaitable[None]]
) -> None:
    job = await waiting(world)
    theirs = now() + timedelta(seconds=7)

    async def meanwhile() -> None:
        async with world.pipeline.transaction() as tx:
            await step(tx, job, theirs)

    await Sweep(world.pipeline, cast(Bus, QuickBus(meanwhile)))()
    [attempt] = await world.attempts(job)
    assert attempt["due_at"] == theirs


async def test_what_nobody_has_had_yet_is_looked_at_again_at_its_end(world: World) -> None:
    job = await waiting(world)
    await Sweep(world.pipeline, cast(Bus, QuickBus()))()
    [attempt] = await world.attempts(job)
    assert attempt["due_at"] == job.valid_until


async def test_at_its_end_it_is_published_once_and_not_every_second(world: World) -> None:
    job = await waiting(world, valid_for=-1)
    bus = QuickBus()
    sweep = Sweep(world.pipeline, cast(Bus, bus))
    began = now()
    for _ in range(3):
        await sweep()
    [attempt] = await world.attempts(job)
    assert len(bus.published) == 1
    assert attempt["due_at"] >= began + LOOK_AGAIN
