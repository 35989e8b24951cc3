"""When the provider is asked, and what of his list was never read."""

import random
from datetime import timedelta
from decimal import Decimal

from sema_common.billing.payments import top_ups
from sema_common.platform.db import Database
from sema_common.values.clock import now
from sema_common.values.ids import new_id
from sema_main_api.accounts.opening import Opened
from sema_main_api.payments.rules import top_ups as rules

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
