"""Agents sell on: the customer pays retail and sees nothing else, the agent is charged wholesale, both to the unit."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from sema_common.billing import agents as agents_money
from sema_common.billing import ledger
from sema_common.platform.db import Database
from sema_main_api.accounts.opening import Opened
from sema_main_api.agents.loops import Loops
from sema_main_api.http.passwords import hash_password
from sema_main_api.users.people import put_owner
from tests.kit.campaigns import Campaigns, contact
from tests.kit.fixtures import TestDatabase

Headers = dict[str, str]
Open = Callable[..., Awaitable[Opened]]
Serve = Callable[..., AbstractAsyncContextManager[httpx.AsyncClient]]
StaffLogIn = Callable[..., Awaitable[Headers]]

WHOLESALE, RETAIL = Decimal("0.5000"), Decimal("1.2000")
TEXT = {"to": "+254712345678", "from": "SEMALINK", "body": "Habari"}


@dataclass(frozen=True)
class House:
    """An agent with 10 KES of credit, his boss's session, and a customer with a key."""

    agent: Opened
    boss: Headers
    customer: Opened
    theirs: Headers

    @property
    def path(self) -> str:
        return f"/v1/agent/customers/{self.customer.account_id}"


def kes(amount: str | Decimal) -> dict[str, str]:
    return {"amount": str(amount), "currency": "KES"}


LogIn = Callable[[UUID], Awaitable[Headers]]


@pytest.fixture
def log_in(client: httpx.AsyncClient, pipeline: Database) -> LogIn:
    """An owner of this account, who has logged in."""

    async def logging_in(account_id: UUID) -> Headers:
        email, password = f"{uuid4().hex}@example.com", "correct horse battery"
        async with pipeline.transaction() as tx:
            await put_owner(tx, account_id, email, hash_password(password), "test")
        response = await client.post("/v1/auth/login", json={"email": email, "password": password})
        return {"authorization": f"Bearer {response.json()['access_token']}"}

    return logging_in


@pytest.fixture
async def house(client: httpx.AsyncClient, open_: Open, log_in: LogIn, staff: StaffLogIn) -> House:
    agent = await open_(name="Agent", type="agent", credit="10")
    customer = await open_(name="Shop", type="agent_customer", agent=agent.account_id, credit="0")
    admin = await staff()
    price = {"country": "KE", "account_type": "agent", "price": kes(WHOLESALE), "reason": "contract"}
    for mno in ("*", "Safaricom", "Airtel"):
        answer = await client.post("/v1/admin/pricing", json=price | {"mno": mno}, headers=admin)
        assert answer.status_code == 201, answer.text
    path = f"/v1/admin/accounts/{agent.account_id}/commission"
    await client.put(path, json={"rate": "0.1", "reason": "contract"}, headers=admin)
    boss = await log_in(agent.account_id)
    found = House(agent, boss, customer, {"authorization": f"Bearer {customer.live_key}"})
    answer = await client.post(
        f"{found.path}/pricing", json={"country": "KE", "price": kes(RETAIL)}, headers=boss
    )
    assert answer.status_code == 201, answer.text
    return found


@pytest.fixture
async def selling(serve: Serve, house: House) -> AsyncIterator[httpx.AsyncClient]:
    """The service as it starts with the house's prices: a running one reads them within seconds."""
    async with serve() as client:
        yield client


async def agents_balance(pipeline: Database, house: House) -> Decimal:
    async with pipeline.transaction() as tx:
        found = await ledger.read_balance(tx, house.agent.account_id)
    assert found is not None
    return found.balance


async def test_a_message_costs_the_customer_retail_and_the_agent_wholesale(
    selling: httpx.AsyncClient, house: House, pipeline: Database
) -> None:
    estimate = (await selling.post("/v1/messages/estimate", json=TEXT, headers=house.theirs)).json()
    sent = await selling.post("/v1/messages", json=TEXT | {"body": "a" * 161}, headers=house.theirs)
    assert sent.status_code == 202, sent.text
    assert (estimate["cost"], sent.json()["cost"]) == (kes("1.2000"), kes("2.4000"))
    assert await agents_balance(pipeline, house) == 10 - 2 * WHOLESALE
    [entry, _] = (await selling.get("/v1/ledger", headers=house.boss)).json()["data"]
    assert (entry["kind"], entry["amount"]) == ("charge", kes("-1.0000"))
    month = (await selling.get("/v1/agent/commissions", headers=house.boss)).json()
    assert month["total"] == {
        "messages": 1,
        "segments": 2,
        "retail": kes("2.4000"),
        "wholesale": kes("1.0000"),
        "margin": kes("1.4000"),
        "commission": kes("0.1000"),
    }
    assert [row["name"] for row in month["data"]] == ["Shop"]
    [line] = (await selling.get("/v1/agent/messages", headers=house.boss)).json()["data"]
    assert (line["id"], line["retail"], line["margin"]) == (sent.json()["id"], kes("2.4000"), kes("1.4000"))
    assert "body" not in line
    one = await selling.get(f"/v1/agent/messages?customer_id={house.customer.account_id}", headers=house.boss)
    assert len(one.json()["data"]) == 1


async def test_the_customer_never_sees_what_his_agent_pays(selling: httpx.AsyncClient, house: House) -> None:
    sent = (await selling.post("/v1/messages", json=TEXT, headers=house.theirs)).json()
    seen = [
        await selling.get(path, headers=house.theirs)
        for path in ("/v1/pricing", "/v1/me", f"/v1/messages/{sent['id']}", "/v1/messages", "/v1/branding")
    ]
    assert [answer.status_code for answer in seen] == [200] * len(seen)
    for answer in seen:
        assert "0.5000" not in answer.text
    prices = seen[0].json()["data"]
    assert [p["price"]["amount"] for p in prices if p["country"] == "KE"] == ["1.2000"] * 3
    for path in ("/v1/balance", "/v1/ledger"):
        refused = await selling.get(path, headers=house.theirs)
        assert (refused.status_code, refused.json()["code"]) == (403, "billed_to_agent")


async def test_without_the_agents_credit_nothing_is_sent_and_nothing_told(
    selling: httpx.AsyncClient, house: House, pipeline: Database
) -> None:
    async with pipeline.transaction() as tx:
        await ledger.adjust(tx, house.agent.account_id, Decimal("-9.6"), uuid4(), "adjustment")
    refused = await selling.post("/v1/messages", json=TEXT, headers=house.theirs)
    assert (refused.status_code, refused.json()["code"]) == (402, "insufficient_credit")
    assert "0.4000" not in refused.text


async def test_a_limit_counts_retail_and_a_refund_frees_it(
    selling: httpx.AsyncClient, house: House, pipeline: Database
) -> None:
    limited = await selling.patch(house.path, json={"monthly_limit": kes("3")}, headers=house.boss)
    assert limited.json()["monthly_limit"] == kes("3.0000")
    batch = {"messages": [TEXT] * 3}
    sent = (await selling.post("/v1/messages/batch", json=batch, headers=house.theirs)).json()
    assert (sent["accepted"], sent["rejected"]) == (2, 1)
    assert sent["data"][2]["error"]["code"] == "spending_limit_reached"
    assert (await selling.post("/v1/messages", json=TEXT, headers=house.theirs)).status_code == 402
    async with pipeline.transaction() as tx:
        await ledger.lock_balances(tx, [house.agent.account_id])
        assert len(await ledger.refund(tx, [UUID(sent["data"][0]["message"]["id"])])) == 1
    assert (await selling.post("/v1/messages", json=TEXT, headers=house.theirs)).status_code == 202
    customer = (await selling.get(house.path, headers=house.boss)).json()
    assert customer["spent_this_month"] == kes("2.4000")
    month = (await selling.get("/v1/agent/commissions", headers=house.boss)).json()["total"]
    assert (month["messages"], month["wholesale"], month["commission"]) == (2, kes("1.0000"), kes("0.1000"))
    assert await agents_balance(pipeline, house) == 10 - 2 * WHOLESALE


async def test_a_campaign_is_reserved_at_wholesale_and_shown_at_retail(
    selling: httpx.AsyncClient, house: House, pipeline: Database, database: TestDatabase
) -> None:
    async with Database.open(database.owner_dsn, name="owner", max_size=3) as owner:
        shop = Campaigns(selling, house.theirs, house.customer.account_id, house.customer.test_key, owner)
        list_id = await shop.add_list(contact("+254712345671"), contact("+254712345672"))
        limit = kes("2.3999")
        await selling.patch(house.path, json={"monthly_limit": limit}, headers=house.boss)
        body = {"name": "C", "contact_list_id": str(list_id), "from": "SEMALINK", "message": "Habari"}
        over = await selling.post("/v1/campaigns", json=body, headers=house.theirs)
        assert (over.status_code, over.json()["code"]) == (402, "spending_limit_reached")
        await selling.patch(house.path, json={"monthly_limit": kes("2.4")}, headers=house.boss)
        campaign_id = await shop.submit(list_id)
        assert await agents_balance(pipeline, house) == 10 - 2 * WHOLESALE
        assert (await shop.read(campaign_id))["cost_estimate"] == kes("2.4000")
        full = await selling.post("/v1/messages", json=TEXT, headers=house.theirs)
        assert full.json()["code"] == "spending_limit_reached", "what a campaign holds counts"
        await shop.approve(campaign_id)
        done = await shop.until(campaign_id, lambda c: c["cost"]["amount"] == "2.4000")
    assert "0.5000" not in str(done)
    assert await agents_balance(pipeline, house) == 10 - 2 * WHOLESALE
    month = (await selling.get("/v1/agent/commissions", headers=house.boss)).json()["total"]
    assert (month["messages"], month["retail"], month["wholesale"]) == (2, kes("2.4000"), kes("1.0000"))


async def test_an_agent_takes_on_a_customer_who_is_invited_in_his_name(
    client: httpx.AsyncClient, house: House, pipeline: Database
) -> None:
    brand = {"name": "Duka SMS", "colour": "#0a7d4f", "support_email": "help@duka.example.com"}
    assert (await client.put("/v1/agent/branding", json=brand, headers=house.boss)).status_code == 200
    wanted = {"name": "Cafe", "email": "Boss@cafe.example.com", "monthly_limit": kes("50")}
    headers = house.boss | {"idempotency-key": "c1"}
    made = await client.post("/v1/agent/customers", json=wanted, headers=headers)
    again = await client.post("/v1/agent/customers", json=wanted, headers=headers)
    assert (made.status_code, again.json()["id"]) == (201, made.json()["id"])
    assert made.json()["monthly_limit"] == kes("50.0000")
    row = await pipeline.fetchrow(
        "SELECT a.type, a.billing_account_id, u.role FROM core.accounts a JOIN core.users u ON u.account_id = a.id"
        " WHERE a.id = $1 AND u.email = 'boss@cafe.example.com'",
        UUID(made.json()["id"]),
    )
    assert row is not None
    assert tuple(row) == ("agent_customer", house.agent.account_id, "owner")
    taken = await client.post("/v1/agent/customers", json=wanted, headers=house.boss)
    assert (taken.status_code, taken.json()["code"]) == (409, "email_taken")
    listed = (await client.get("/v1/agent/customers", headers=house.boss)).json()["data"]
    assert [row["name"] for row in listed] == ["Cafe", "Shop"]
    seen = (await client.get("/v1/branding", headers=house.theirs)).json()
    assert (seen["name"], seen["colour"], seen["logo_url"]) == ("Duka SMS", "#0a7d4f", None)


async def test_who_is_suspended_by_his_agent_reads_on_and_sends_nothing(
    selling: httpx.AsyncClient, house: House, staff: StaffLogIn
) -> None:
    assert (await selling.post(f"{house.path}/suspend", headers=house.boss)).status_code == 200
    refused = await selling.post("/v1/messages", json=TEXT, headers=house.theirs)
    assert (refused.status_code, refused.json()["code"]) == (403, "account_suspended")
    assert (await selling.get("/v1/messages", headers=house.theirs)).status_code == 200
    assert (await selling.post(f"{house.path}/suspend", headers=house.boss)).status_code == 409
    assert (await selling.post(f"{house.path}/resume", headers=house.boss)).status_code == 200
    assert (await selling.post("/v1/messages", json=TEXT, headers=house.theirs)).status_code == 202
    path = f"/v1/admin/accounts/{house.customer.account_id}/suspend"
    assert (await selling.post(path, json={"reason": "fraud"}, headers=await staff())).status_code == 200
    lifted = await selling.post(f"{house.path}/resume", headers=house.boss)
    assert (lifted.status_code, lifted.json()["code"]) == (409, "suspended_by_staff")


async def test_rates_below_cost_and_of_strangers_are_refused(
    client: httpx.AsyncClient, house: House, open_: Open, log_in: LogIn, account: Opened
) -> None:
    async def rated(amount: str, path: str = f"{house.path}/pricing", **more: Any) -> tuple[int, str | None]:
        body = {"country": "KE", "price": kes(amount), **more}
        answer = await client.post(path, json=body, headers=house.boss)
        return answer.status_code, answer.json().get("code")

    assert await rated("0.4999") == (422, "below_cost")
    assert await rated("0.5", mno="Safaricom") == (201, None)
    assert await rated("0.6", path="/v1/agent/pricing") == (201, None)
    assert await rated("1", country="ZA") == (422, "unsupported_destination")
    other = await open_(type="agent")
    customer = await open_(type="agent_customer", agent=other.account_id, credit="0")
    stranger = f"/v1/agent/customers/{customer.account_id}"
    assert await rated("2", path=f"{stranger}/pricing") == (404, "not_found")
    for method, path in (("GET", stranger), ("PATCH", stranger), ("POST", f"{stranger}/suspend")):
        answer = await client.request(method, path, json={"name": "Mine"}, headers=house.boss)
        assert answer.status_code == 404
    for account_id, expected in (
        (account.account_id, (403, "not_an_agent")),
        (house.customer.account_id, (422, "one_level_only")),
    ):
        answer = await client.post(
            "/v1/agent/customers", json={"name": "X"}, headers=await log_in(account_id)
        )
        assert (answer.status_code, answer.json()["code"]) == expected
    rates = (await client.get(f"{house.path}/pricing", headers=house.boss)).json()["data"]
    assert [(r["mno"], r["price"]["amount"], r["wholesale"]["amount"]) for r in rates] == [
        ("*", "1.2000", "0.5000"),
        ("Safaricom", "0.5000", "0.5000"),
    ]
    gone = f"{house.path}/pricing/{rates[1]['id']}"
    assert (await client.delete(gone, headers=house.boss)).status_code == 204
    assert (await client.delete(gone, headers=house.boss)).status_code == 404


async def test_commissions_are_paid_once_when_their_month_is_over(
    selling: httpx.AsyncClient, house: House, pipeline: Database
) -> None:
    sent = [(await selling.post("/v1/messages", json=TEXT, headers=house.theirs)).json() for _ in range(2)]
    loops = Loops(pipeline)
    await loops.pay()
    assert await agents_balance(pipeline, house) == 10 - 2 * WHOLESALE, "this month is not over"
    await pipeline.execute("UPDATE billing.agent_months SET month = month - interval '1 month'")
    await loops.pay()
    await loops.pay()
    assert await agents_balance(pipeline, house) == 10 - 2 * WHOLESALE + Decimal("0.1")
    day = datetime.now(UTC).date().replace(day=1)
    last = day.replace(year=day.year - 1, month=12) if day.month == 1 else day.replace(month=day.month - 1)
    shown = await selling.get(f"/v1/agent/commissions?month={last:%Y-%m}", headers=house.boss)
    assert shown.json()["paid"] == kes("0.1000")
    async with pipeline.transaction() as tx:  # a late refund is set off, not taken
        await ledger.lock_balances(tx, [house.agent.account_id])
        await ledger.refund(tx, [UUID(sent[0]["id"])])
        assert await agents_money.commissions_owed(tx, day) == {house.agent.account_id: Decimal("-0.05")}
