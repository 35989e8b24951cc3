from collections.abc import Awaitable, Callable
from decimal import Decimal
from uuid import uuid4

import httpx

from sema_common.billing import ledger
from sema_common.platform.db import Database
from sema_main_api.accounts.opening import Opened

Headers = dict[str, str]


async def test_a_new_account_has_its_opening_credit(
    client: httpx.AsyncClient, account: Opened, auth: Headers
) -> None:
    balance = (await client.get("/v1/balance", headers=auth)).json()
    money = {"amount": "100.0000", "currency": "KES"}
    assert balance == {
        "balance": money,
        "available": money,
        "credit_limit": {"amount": "0.0000", "currency": "KES"},
        "billing_account_id": str(account.account_id),
    }
    [entry] = (await client.get("/v1/ledger", headers=auth)).json()["data"]
    assert (entry["kind"], entry["amount"], entry["balance_after"]) == ("opening", money, money)


async def test_the_ledger_pages_newest_first(
    client: httpx.AsyncClient, account: Opened, auth: Headers, pipeline: Database
) -> None:
    for _ in range(4):
        async with pipeline.transaction() as tx:
            await ledger.adjust(tx, account.account_id, Decimal("-1"), uuid4(), "adjustment")
    seen: list[str] = []
    url: str | None = "/v1/ledger?limit=2"
    pages = 0
    while url:
        page = (await client.get(url, headers=auth)).json()
        seen += [entry["balance_after"]["amount"] for entry in page["data"]]
        pages += 1
        url = f"/v1/ledger?limit=2&cursor={page['next_cursor']}" if page["has_more"] else None
    assert seen == ["96.0000", "97.0000", "98.0000", "99.0000", "100.0000"]
    assert pages == 3


async def test_an_agents_customer_has_no_balance_of_his_own(
    client: httpx.AsyncClient, open_: Callable[..., Awaitable[Opened]]
) -> None:
    agent = await open_(type="agent")
    customer = await open_(type="agent_customer", agent=agent.account_id, credit="0")
    headers = {"authorization": f"Bearer {customer.live_key}"}
    for path in ("/v1/balance", "/v1/ledger"):
        response = await client.get(path, headers=headers)
        assert (response.status_code, response.json()["code"]) == (403, "billed_to_agent")


async def test_prices_are_those_that_decide(
    client: httpx.AsyncClient, account: Opened, auth: Headers, pipeline: Database
) -> None:
    await pipeline.execute(
        "INSERT INTO billing.pricing_tiers (account_id, country, mno, currency, price)"
        " VALUES ($1, 'KE', 'Safaricom', 'KES', 0.55)",
        account.account_id,
    )
    prices = (await client.get("/v1/pricing", headers=auth)).json()["data"]
    found = {(row["country"], row["mno"]): row["price"]["amount"] for row in prices}
    assert found["KE", "Safaricom"] == "0.5500"
    assert found["KE", "*"] == "1.0000"
    assert found["UG", "*"] == "3.5000"
