"""The books as staff read them."""

from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any
from uuid import uuid4

import httpx
from prometheus_client import REGISTRY

from sema_common.billing import ledger
from sema_common.platform.db import Database
from sema_main_api.accounts.opening import Opened
from sema_main_api.billing.loops import Loops
from tests.kit import seeds
from tests.kit.accounting import add_up

Headers = dict[str, str]
Open = Callable[..., Awaitable[Opened]]
StaffLogIn = Callable[..., Awaitable[Headers]]
PATH = "/v1/admin/accounting"


def kes(amount: str) -> dict[str, str]:
    return {"amount": amount, "currency": "KES"}


async def test_the_trial_balance_sums_to_zero_before_and_after_the_ledger_is_added_up(
    client: httpx.AsyncClient, open_: Open, staff: StaffLogIn, pipeline: Database
) -> None:
    direct, _ = await open_(credit="100"), await open_(type="agent", credit="50")
    headers = await staff("staff_support")

    async def lines() -> dict[Any, Any]:
        found = (await client.get(f"{PATH}/trial-balance", headers=headers)).json()
        assert found["totals"] == [{"total": kes("0.0000"), "balanced": True}]
        return {(line["side"], line["name"]): Decimal(line["amount"]["amount"]) for line in found["data"]}

    before = await lines()
    await add_up(pipeline)
    assert await lines() == before
    async with pipeline.transaction() as tx:
        await seeds.accept(tx, [seeds.new_message(direct.account_id, cost="7.5000")])
        await ledger.adjust(tx, direct.account_id, Decimal("-2.5"), uuid4(), "adjustment")
    after = await lines()
    moved = {name: amount - before.get(name, Decimal(0)) for name, amount in after.items()}
    assert {name: amount for name, amount in moved.items() if amount} == {
        ("accounts", "direct"): Decimal(-10),
        ("counter_accounts", "revenue"): Decimal("7.5"),
        ("counter_accounts", "adjustments"): Decimal("2.5"),
    }
    await add_up(pipeline)
    assert await lines() == after


async def test_a_balance_that_nothing_moved_is_seen_in_the_trial_balance_and_its_metric(
    client: httpx.AsyncClient, account: Opened, staff: StaffLogIn, pipeline: Database, owner: Database
) -> None:
    headers = await staff()
    await owner.execute(
        "UPDATE billing.credits SET balance = balance + 3 WHERE account_id = $1", account.account_id
    )
    found = (await client.get(f"{PATH}/trial-balance", headers=headers)).json()
    assert found["totals"] == [{"total": kes("3.0000"), "balanced": False}]
    await Loops(pipeline).check()
    assert REGISTRY.get_sample_value("sema_trial_balance", {"currency": "KES"}) == 3.0
    await owner.execute(
        "UPDATE billing.credits SET balance = balance - 3 WHERE account_id = $1", account.account_id
    )
    await Loops(pipeline).check()
    assert REGISTRY.get_sample_value("sema_trial_balance", {"currency": "KES"}) == 0.0
