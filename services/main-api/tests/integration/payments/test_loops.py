"""When the provider is asked, and what of his list was never read."""

import random
from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, cast

import pytest
from pydantic_core import to_json

from sema_common.billing.payments import reconciling, top_ups
from sema_common.platform.db import Database
from sema_common.platform.http import Answer
from sema_common.values.clock import now
from sema_common.values.errors import RetryLater
from sema_common.values.ids import new_id
from sema_main_api.accounts.opening import Opened
from sema_main_api.payments import loops
from sema_main_api.payments.clients import Daraja
from sema_main_api.payments.pushing import Pace
from sema_main_api.payments.rules import top_ups as rules
from sema_main_api.payments.rules.daraja import NAIROBI, Business

UNIT = timedelta(minutes=1)


async def test_a_push_without_a_result_is_asked_about_after_1_3_8_23_and_then_every_60_minutes(
    pipeline: Database, account: Opened
) -> None:
    pushed_at = moment = now()
    reference = rules.account_reference(random.randbytes(16))
    who = account.account_id
    async with pipeline.transaction() as tx:
        await top_ups.insert(
            tx, new_id(), who, who, Decimal(100), "KES", "+254712345678", reference, pushed_at
        )
        await top_ups.claim_pushes(tx, pushed_at, pushed_at + UNIT * rules.GAPS[0], 1)
        asked = []
        for _ in range(6):
            moment = await tx.fetchval("SELECT query_at FROM billing.top_ups")
            asked.append((moment - pushed_at) / UNIT)
            [_] = await top_ups.claim_queries(tx, moment, UNIT, rules.GAPS, 1)
    assert asked == [1, 3, 8, 23, 83, 143]


class Listing:
    """A provider whose list has these pages, the last of them for ever."""

    def __init__(self, *pages: Sequence[dict[str, Any]]) -> None:
        self._pages = list(pages)

    async def list(self, _: Any) -> Answer:
        page = self._pages.pop(0) if len(self._pages) > 1 else self._pages[0]
        return Answer(200, {}, to_json({"ResponseCode": "1000", "Response": [page]}))


def reader(db: Database, listing: Listing) -> loops.Loops:
    return loops.Loops(db, cast(Daraja, listing), Business("600986", "key"), Pace(UNIT, timedelta(0)))


async def read_to(db: Database, moment: datetime) -> None:
    await db.execute(
        "UPDATE billing.payment_tasks SET due_at = now(), done_to = $1 WHERE name = 'list'", moment
    )


async def test_days_that_the_list_has_forgotten_are_never_complete(
    pipeline: Database, owner: Database
) -> None:
    moment = now()
    away = moment - timedelta(hours=70)
    periodic = reader(pipeline, Listing([]))
    await read_to(owner, away)
    await periodic.read_list()
    unread = rules.unread_days(away, moment - loops.LIST_REACH)
    await read_to(owner, moment + timedelta(days=2))
    for _ in range(2):
        await owner.execute("UPDATE billing.payment_tasks SET due_at = now() WHERE name = 'reconcile'")
        await periodic.reconcile()
    async with pipeline.transaction() as tx:
        reports = [await reconciling.read(tx, day) for day in unread]
        today = await reconciling.read(tx, moment.astimezone(NAIROBI).date())
    assert all(reports)
    for report in filter(None, reports):
        assert (report.complete, [each["kind"] for each in report.mismatches]) == (False, ["not_read"])
    assert today is not None
    assert (today.complete, today.mismatches) == (True, [])


async def test_a_list_that_is_read_for_the_first_time_has_no_hole(
    pipeline: Database, owner: Database
) -> None:
    await reader(pipeline, Listing([])).read_list()
    assert await owner.fetchval("SELECT done_to FROM billing.payment_tasks WHERE name = 'list'")
    assert await owner.fetchval("SELECT count(*) FROM billing.payment_reconciliations") == 0


async def test_a_list_that_does_not_end_was_not_read(
    pipeline: Database, owner: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loops, "MAX_PAGES", 3)
    moment = now() - timedelta(hours=1)
    await read_to(owner, moment)
    with pytest.raises(RetryLater, match="does not end"):
        await reader(pipeline, Listing([{"transactionId": "?"}])).read_list()
    assert await owner.fetchval("SELECT done_to FROM billing.payment_tasks WHERE name = 'list'") == moment
