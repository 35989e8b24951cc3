"""Jobs and settlements of one batch: neither waits for the other, and the worse failure is the one raised."""

import asyncio
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID

import pytest

from sema_common.platform.bus import Delivery
from sema_common.values.errors import RetryLater
from sema_common.wire.sms import SettleAttempt, SettleAttempts, SmsJobs
from sema_sms_worker.handlers.lanes import LaneHandler, Message

JOBS = SmsJobs.model_construct(jobs=())
DOUBTS = SettleAttempts(attempts=(SettleAttempt(message_id=UUID(int=1), attempt=1),))


class Part:
    """A handler that does as it is told."""

    def __init__(self, waits_for: asyncio.Event | None = None, failure: Exception | None = None) -> None:
        self.done = asyncio.Event()
        self._waits_for = waits_for
        self._failure = failure

    async def handle(self, _: Sequence[Any]) -> None:
        if self._waits_for is not None:
            await self._waits_for.wait()
        self.done.set()
        if self._failure is not None:
            raise self._failure


async def handle(submit: Part, settle: Part) -> None:
    deliveries = [SimpleNamespace(message=message) for message in (DOUBTS, JOBS)]
    handler = LaneHandler(cast(Any, submit), cast(Any, settle))
    async with asyncio.timeout(5):
        await handler.handle(cast(Sequence[Delivery[Message]], deliveries))


async def test_jobs_do_not_wait_for_a_settlement() -> None:
    submit = Part()
    await handle(submit, Part(waits_for=submit.done))


async def test_a_settlement_does_not_wait_for_jobs() -> None:
    settle = Part()
    await handle(Part(waits_for=settle.done), settle)


async def test_a_failed_settlement_is_raised_after_the_jobs_are_through() -> None:
    settle = Part(failure=RetryLater("a balance is locked"))
    submit = Part(waits_for=settle.done)
    with pytest.raises(RetryLater):
        await handle(submit, settle)
    assert submit.done.is_set()


async def test_of_two_failures_the_bug_is_raised() -> None:
    with pytest.raises(ZeroDivisionError):
        await handle(Part(failure=RetryLater("no way")), Part(failure=ZeroDivisionError()))
