"""Accounts through staff's door: found, changed, suspended; each change with its line in the audit log."""

from collections.abc import Awaitable, Callable
from typing import Any
from uuid import uuid4

import httpx
import pytest

from sema_common.platform.db import Database
from sema_main_api.accounts.opening import Opened

PATH = "/v1/admin/accounts"
Headers = dict[str, str]
Staff = Callable[..., Awaitable[Headers]]
Open = Callable[..., Awaitable[Opened]]
SEND = {"to": "+254712345678", "from": "SEMALINK", "body": "Habari"}
WHY = {"reason": "contract 7"}


def money(amount: str, currency: str = "KES") -> dict[str, str]:
    return {"amount": amount, "currency": currency}


def bearer(opened: Opened) -> Headers:
    return {"authorization": f"Bearer {opened.live_key}"}


@pytest.fixture
async def admin(staff: Staff) -> Headers:
    return await staff()


async def audits(owner: Database, account: Opened) -> list[dict[str, Any]]:
    rows = await owner.fetch(
        "SELECT action, actor, before, after, reason FROM core.audit_log WHERE account_id = $1"
        " AND actor = 'staff' ORDER BY id",
        account.account_id,
    )
    return [dict(row) for row in rows]


async def test_accounts_are_found_by_what_staff_know_of_them(
    client: httpx.AsyncClient, admin: Headers, open_: Open
) -> None:
    agent = await open_("Reseller", "agent")
    customer = await open_("Duka la Amina", "agent_customer", credit="0", agent=agent.account_id)
    plain = await open_("Mama Mboga", tier="growth")

    async def found(**params: str) -> list[str]:
        answer = await client.get(PATH, headers=admin, params=params)
        assert answer.status_code == 200, answer.text
        return [line["id"] for line in answer.json()["data"]]

    assert await found() == [str(each.account_id) for each in (plain, customer, agent)]
    assert await found(name="AMINA") == [str(customer.account_id)]
    assert await found(agent_id=str(agent.account_id)) == [str(customer.account_id)]
    assert await found(tier="growth", type="direct") == [str(plain.account_id)]
    assert await found(status="suspended") == []
    assert await found(email="nobody@example.com") == []


async def test_an_account_is_shown_with_its_money_and_the_rates_that_hold(
    client: httpx.AsyncClient, admin: Headers, open_: Open
) -> None:
    agent = await open_("Reseller", "agent", credit="25")
    customer = await open_("Customer", "agent_customer", credit="0", agent=agent.account_id)
    shown = (await client.get(f"{PATH}/{agent.account_id}", headers=admin)).json()
    assert (shown["balance"], shown["credit_limit"]) == (money("25.0000"), money("0.0000"))
    assert shown["normal_rate"] == {"per_second": 10, "burst": 50}
    his = (await client.get(f"{PATH}/{customer.account_id}", headers=admin)).json()
    assert (his["balance"], his["agent_id"]) == (None, str(agent.account_id))
    assert (await client.get(f"{PATH}/{uuid4()}", headers=admin)).status_code == 404


async def test_what_staff_change_holds_at_once_and_is_written_down(
    client: httpx.AsyncClient, admin: Headers, account: Opened, auth: Headers, owner: Database
) -> None:
    assert (await client.get("/v1/me", headers=auth)).json()["account"]["tier"] == "starter"
    body = {"tier": "growth", "rate_per_second": 40, "credit_limit": money("500.00"), "reason": "contract 7"}
    changed = await client.patch(f"{PATH}/{account.account_id}", headers=admin, json=body)
    assert changed.status_code == 200, changed.text
    assert changed.json()["normal_rate"] == {"per_second": 40, "burst": 200}
    sent = await client.post("/v1/messages", headers=auth, json=SEND)
    assert sent.headers["ratelimit-policy"].startswith('"normal";q=200;w=5')
    balance = (await client.get("/v1/balance", headers=auth)).json()
    assert balance["credit_limit"] == money("500.0000")
    (line,) = await audits(owner, account)
    assert (line["action"], line["reason"]) == ("account.changed", "contract 7")
    assert (line["before"]["tier"], line["after"]["tier"]) == ("starter", "growth")
    assert (line["before"]["credit_limit"], line["after"]["credit_limit"]) == ("0.0000", "500.0000")
    back = await client.patch(
        f"{PATH}/{account.account_id}", headers=admin, json={"rate_per_second": None} | WHY
    )
    assert back.json()["normal_rate"] == {"per_second": 100, "burst": 500}


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({}, 422, "validation_failed"),
        ({"tier": None} | WHY, 422, "validation_failed"),
        ({"tier": "gold"} | WHY, 422, "validation_failed"),
        ({"rate_per_second": 0} | WHY, 422, "validation_failed"),
        ({"tier": "growth"}, 422, "validation_failed"),
        ({"status": "suspended"} | WHY, 422, "validation_failed"),
        ({"credit_limit": money("-1")} | WHY, 422, "validation_failed"),
        ({"credit_limit": money("1.00001")} | WHY, 422, "validation_failed"),
        ({"credit_limit": money("1", "USD")} | WHY, 422, "validation_failed"),
    ],
)
async def test_a_change_that_makes_no_sense_leaves_nothing(
    client: httpx.AsyncClient,
    admin: Headers,
    account: Opened,
    owner: Database,
    body: dict[str, Any],
    status: int,
    code: str,
) -> None:
    answer = await client.patch(f"{PATH}/{account.account_id}", headers=admin, json=body)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert await audits(owner, account) == []


async def test_a_limit_is_not_taken_from_under_what_is_owed(
    client: httpx.AsyncClient, admin: Headers, open_: Open
) -> None:
    agent = await open_("Reseller", "agent", credit="0")
    path = f"{PATH}/{agent.account_id}"
    await client.patch(path, headers=admin, json={"credit_limit": money("10")} | WHY)
    assert (await client.post("/v1/messages", headers=bearer(agent), json=SEND)).status_code == 202
    refused = await client.patch(path, headers=admin, json={"credit_limit": money("0.5")} | WHY)
    assert (refused.status_code, refused.json()["code"]) == (409, "credit_in_use")
    customer = await open_("Customer", "agent_customer", credit="0", agent=agent.account_id)
    his = await client.patch(
        f"{PATH}/{customer.account_id}", headers=admin, json={"credit_limit": money("5")} | WHY
    )
    assert (his.status_code, his.json()["code"]) == (403, "billed_to_agent")


async def test_a_suspended_account_reads_on_and_sends_nothing_until_it_is_let_in_again(
    client: httpx.AsyncClient, admin: Headers, staff: Staff, account: Opened, auth: Headers, owner: Database
) -> None:
    """OWASP API6:2023."""
    path, support = f"{PATH}/{account.account_id}", await staff("staff_support")
    assert (await client.post("/v1/messages", headers=auth, json=SEND)).status_code == 202
    assert (await client.post(f"{path}/suspend", headers=support, json=WHY)).json()["status"] == "suspended"
    refused = await client.post("/v1/messages", headers=auth, json=SEND)
    assert (refused.status_code, refused.json()["code"]) == (403, "account_suspended")
    assert (await client.get("/v1/balance", headers=auth)).status_code == 200
    again = await client.post(f"{path}/suspend", headers=admin, json=WHY)
    assert (again.status_code, again.json()["code"]) == (409, "already_suspended")
    assert (await client.post(f"{path}/reactivate", headers=support, json=WHY)).status_code == 403
    assert (await client.post(f"{path}/reactivate", headers=admin, json=WHY)).status_code == 200
    assert (await client.post("/v1/messages", headers=auth, json=SEND)).status_code == 202
    written = [(line["action"], line["before"]["status"]) for line in await audits(owner, account)]
    assert written == [("account.suspended", "active"), ("account.reactivated", "suspended")]


async def test_who_an_agent_pays_for_is_suspended_with_him(
    client: httpx.AsyncClient, admin: Headers, open_: Open
) -> None:
    agent = await open_("Reseller", "agent")
    customer = await open_("Customer", "agent_customer", credit="0", agent=agent.account_id)
    assert (await client.post("/v1/messages", headers=bearer(customer), json=SEND)).status_code == 202
    await client.post(f"{PATH}/{agent.account_id}/suspend", headers=admin, json=WHY)
    refused = await client.post("/v1/messages", headers=bearer(customer), json=SEND)
    assert refused.json()["code"] == "account_suspended"
    own = (await client.get(f"{PATH}/{customer.account_id}", headers=admin)).json()
    assert own["status"] == "active", "he himself did nothing: he is in again with his agent"


async def test_what_an_agent_has_suspended_staff_may_take_over(
    client: httpx.AsyncClient, admin: Headers, open_: Open, owner: Database
) -> None:
    agent = await open_("Reseller", "agent")
    customer = await open_("Customer", "agent_customer", credit="0", agent=agent.account_id)
    path = f"{PATH}/{customer.account_id}"
    await owner.execute(
        "UPDATE core.accounts SET status = 'suspended', suspended_by = 'agent' WHERE id = $1",
        customer.account_id,
    )
    taken = await client.post(f"{path}/suspend", headers=admin, json=WHY)
    assert (taken.status_code, taken.json()["suspended_by"]) == (200, "staff")
    assert (await client.post(f"{path}/suspend", headers=admin, json=WHY)).status_code == 409
    free = await client.post(f"{path}/reactivate", headers=admin, json=WHY)
    assert (free.json()["status"], free.json()["suspended_by"]) == ("active", None)


async def test_support_reads_and_changes_nothing_and_customers_see_no_such_place(
    client: httpx.AsyncClient, staff: Staff, account: Opened, auth: Headers
) -> None:
    path, support = f"{PATH}/{account.account_id}", await staff("staff_support")
    assert (await client.get(path, headers=support)).status_code == 200
    assert (await client.patch(path, headers=support, json={"tier": "growth"} | WHY)).status_code == 403
    for call in (client.get(PATH, headers=auth), client.get(path, headers=auth)):
        assert (await call).status_code == 404
