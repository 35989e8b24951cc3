"""The books as staff read them."""

from collections.abc import Awaitable, Callable
from datetime import date
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


def cost(amount: str, **changes: Any) -> dict[str, Any]:
    body = {"aggregator": "celcom", "country": "KE", "cost": kes(amount), "reason": "contract"}
    return body | {"valid_from": "2026-01-01"} | changes


async def test_a_cost_ends_where_the_next_begins_and_no_two_hold_on_a_day(
    client: httpx.AsyncClient, staff: StaffLogIn
) -> None:
    admin, path = await staff(), f"{PATH}/costs"
    first = (await client.post(path, json=cost("0.3000"), headers=admin)).json()
    assert (first["cost"], first["mno"], first["valid_to"]) == (kes("0.3000"), "*", None)
    second = await client.post(path, json=cost("0.4000", valid_from="2026-06-01"), headers=admin)
    assert second.status_code == 201, second.text
    other = await client.post(path, json=cost("9", mno="Airtel", valid_from="2026-01-01"), headers=admin)
    assert other.status_code == 201
    for day in ("2026-06-01", "2026-03-01"):
        again = await client.post(path, json=cost("0.5", valid_from=day), headers=admin)
        assert (again.status_code, again.json()["code"]) == (409, "cost_exists"), day
    listed = (await client.get(path, headers=admin, params={"country": "KE"})).json()["data"]
    assert [(row["valid_from"], row["valid_to"]) for row in listed[1:]] == [
        ("2026-06-01", None),
        ("2026-01-01", "2026-06-01"),
    ]
    end = f"{path}/{second.json()['id']}/end"
    ended = await client.post(end, json={"valid_to": "2026-05-01", "reason": "a mistake"}, headers=admin)
    assert ended.json()["valid_to"] == "2026-06-01", "it never held"
    again = await client.post(end, json={"reason": "once more"}, headers=admin)
    assert (again.status_code, again.json()["code"]) == (409, "already_ended")
    right = await client.post(path, json=cost("0.4500", valid_from="2026-06-01"), headers=admin)
    assert right.status_code == 201, "what never held stands in nobody's way"


async def test_costs_are_of_aggregators_that_there_are_and_changed_by_admins(
    client: httpx.AsyncClient, staff: StaffLogIn
) -> None:
    admin, support = await staff(), await staff("staff_support")
    path = f"{PATH}/costs"
    for wrong in (cost("0.3", aggregator="nobody"), cost("-0.3"), cost("0.3", valid_from="1999-12-31")):
        assert (await client.post(path, json=wrong, headers=admin)).status_code == 422, wrong
    for unknown in ("999999", "x", "٣", str(1 << 63)):
        answer = await client.post(f"{path}/{unknown}/end", json={"reason": "x"}, headers=admin)
        assert answer.status_code == 404, unknown
    assert (await client.post(path, json=cost("0.3"), headers=support)).status_code == 403
    assert (await client.get(path, headers=support)).status_code == 200


async def test_margins_are_revenue_less_the_cost_of_what_was_not_refunded(
    client: httpx.AsyncClient, open_: Open, staff: StaffLogIn, pipeline: Database, owner: Database
) -> None:
    admin = await staff()
    direct, agent = await open_(credit="100"), await open_(type="agent", credit="50")
    for body in (
        cost("0.3000"),
        cost("0.2000", mno="Safaricom"),
        cost("0.1000", mno="Safaricom", aggregator="africastalking"),
        cost("5.0000", country="UG", valid_from="2099-01-01"),
    ):
        assert (await client.post(f"{PATH}/costs", json=body, headers=admin)).status_code == 201

    def message(account: Opened, **changes: Any) -> Any:
        return seeds.new_message(account.account_id, **changes)

    refunded = message(direct)
    sent = [
        refunded,
        message(direct, cost="2.0000", segments=2),
        message(direct, mno="Airtel"),
        message(direct, test=True, cost="0"),
        message(agent, country="UG", mno="MTN", cost="4.0000"),
    ]
    async with pipeline.transaction() as tx:
        assert len(await seeds.accept(tx, sent)) == len(sent)
        await ledger.lock_balances(tx, [direct.account_id])
        await ledger.refund(tx, [refunded.message_id])
        await ledger.pay_commission(tx, agent.account_id, Decimal("0.7"), date(2026, 10, 1))
    await add_up(pipeline)

    async def asked(by: str) -> list[tuple[Any, ...]]:
        answer = await client.get(f"{PATH}/margins", params={"group_by": by}, headers=admin)
        assert answer.status_code == 200, answer.text
        return [
            (
                row["key"],
                row["country"],
                *(row[name]["amount"] for name in ("revenue", "cost", "margin", "commissions")),
                row["segments"],
                row["uncosted_segments"],
            )
            for row in answer.json()["data"]
        ]

    today = await owner.fetchval("SELECT max(day)::text FROM billing.usage_days")
    assert await asked("day") == [(today, None, "7.0000", "0.7000", "6.3000", "0.7000", 4, 1)]
    assert await asked("account") == [
        (str(agent.account_id), None, "4.0000", "0.0000", "4.0000", "0.7000", 1, 1),
        (str(direct.account_id), None, "3.0000", "0.7000", "2.3000", "0.0000", 3, 0),
    ]
    assert await asked("mno") == [
        ("MTN", "UG", "4.0000", "0.0000", "4.0000", "0.0000", 1, 1),
        ("Safaricom", "KE", "2.0000", "0.4000", "1.6000", "0.0000", 2, 0),
        ("Airtel", "KE", "1.0000", "0.3000", "0.7000", "0.0000", 1, 0),
    ]


async def test_margins_are_of_a_year_at_most(client: httpx.AsyncClient, staff: StaffLogIn) -> None:
    admin = await staff()
    for since, until, status in (
        ("2026-01-01", "2026-12-31", 200),
        ("2024-01-01", "2024-12-31", 200),
        ("9999-12-31", "9999-12-31", 200),
        ("2025-01-01", "2026-01-02", 422),
        ("2026-02-01", "2026-01-31", 422),
        ("1999-12-31", "2000-01-31", 422),
        ("0001-01-01", "9999-12-31", 422),
    ):
        answer = await client.get(f"{PATH}/margins", params={"from": since, "to": until}, headers=admin)
        assert answer.status_code == status, (since, until)
