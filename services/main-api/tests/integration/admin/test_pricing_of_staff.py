"""The price list and money in staff's hands: what is made decides, ends where the next begins, and is written down."""

from collections.abc import Awaitable, Callable
from typing import Any
from uuid import uuid4

import httpx
import pytest

from sema_common.platform.db import Database
from sema_main_api.accounts.opening import Opened

Headers = dict[str, str]
StaffLogIn = Callable[..., Awaitable[Headers]]
Open = Callable[..., Awaitable[Opened]]

PRICING = "/v1/admin/pricing"


def price(amount: str, **more: Any) -> dict[str, Any]:
    money = {"amount": amount, "currency": "KES"}
    return {"country": "KE", "mno": "Telkom", "price": money, "reason": "agreed", **more}


async def shown(client: httpx.AsyncClient, auth: Headers, mno: str) -> dict[str, Any]:
    prices = (await client.get("/v1/pricing", headers=auth)).json()["data"]
    [found] = [each for each in prices if (each["country"], each["mno"]) == ("KE", mno)]
    return dict(found)


async def test_a_new_price_takes_the_place_of_the_former_one(
    client: httpx.AsyncClient, staff: StaffLogIn, auth: Headers, pipeline: Database
) -> None:
    headers = await staff()
    first = await client.post(PRICING, json=price("0.7000"), headers=headers)
    assert first.status_code == 201, first.text
    second = await client.post(PRICING, json=price("0.6000"), headers=headers)
    found = await shown(client, auth, "Telkom")
    assert (found["price"]["amount"], found["rule"]) == ("0.6000", "list price, KE Telkom")
    rows = (await client.get(f"{PRICING}?mno=Telkom", headers=headers)).json()["data"]
    assert [row["id"] for row in rows] == [second.json()["id"], first.json()["id"]]
    assert rows[1]["valid_to"] == rows[0]["valid_from"]
    again = await client.post(PRICING, json=price("0.6000"), headers=headers)
    assert again.json()["id"] == second.json()["id"], "the same price is not made twice"
    lines = await pipeline.fetch(
        "SELECT action, reason, before->'price'->>'amount', after->'price'->>'amount' FROM core.audit_log"
        " WHERE subject_type = 'price' ORDER BY id"
    )
    assert [tuple(line) for line in lines] == [
        ("price.added", "agreed", None, "0.7000"),
        ("price.changed", "agreed", "0.7000", "0.6000"),
    ]
    ended = await client.post(
        f"{PRICING}/{second.json()['id']}/end", json={"reason": "over"}, headers=headers
    )
    assert ended.status_code == 200
    gone = await client.post(f"{PRICING}/{second.json()['id']}/end", json={"reason": "over"}, headers=headers)
    assert gone.status_code == 404


async def test_volume_tiers_are_shown_with_what_was_sent(
    client: httpx.AsyncClient, staff: StaffLogIn, auth: Headers, pipeline: Database
) -> None:
    headers = await staff()
    for volume, amount in ((0, "0.9000"), (1000, "0.8000"), (5000, "0.7000")):
        await client.post(PRICING, json=price(amount, min_segments=volume), headers=headers)
    await pipeline.execute(
        "UPDATE billing.credits SET month = date_trunc('month', now()), month_segments = 1200"
    )
    answer = (await client.get("/v1/pricing", headers=auth)).json()
    assert answer["segments_this_month"] == 1200
    found = await shown(client, auth, "Telkom")
    assert found["price"]["amount"] == "0.8000"
    assert found["rule"] == "list price, KE Telkom, from 1000 segments a month"
    tiers = [(tier["from_segments"], tier["price"]["amount"]) for tier in found["volume_tiers"]]
    assert tiers == [(0, "0.9000"), (1000, "0.8000"), (5000, "0.7000")]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (price("-1"), "price.amount"),
        (price("1", country="FR"), "price"),
        (price("1", valid_from="2020-01-01T00:00:00Z"), "valid_from"),
        (price("1", account_id=str(uuid4())), "account_id"),
        (price("1", valid_from="2090-01-01T00:00:00Z", valid_to="2089-01-01T00:00:00Z"), "price"),
    ],
)
async def test_a_price_that_cannot_be_is_refused(
    client: httpx.AsyncClient, staff: StaffLogIn, body: dict[str, Any], field: str
) -> None:
    answer = await client.post(PRICING, json=body, headers=await staff())
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, field)


async def test_what_is_exported_is_imported_without_a_change(
    client: httpx.AsyncClient, staff: StaffLogIn, auth: Headers, account: Opened
) -> None:
    headers = await staff()
    await client.post(PRICING, json=price("0.5", account_id=str(account.account_id)), headers=headers)
    csv = headers | {"content-type": "text/csv"}
    table = (await client.get(f"{PRICING}/export", headers=headers)).text
    same = await client.post(f"{PRICING}/import?replace=true", content=table, headers=csv)
    assert same.status_code == 200, same.text
    assert (same.json()["changes"], same.json()["unchanged"]) == ([], same.json()["rows"])
    changed = "country,mno,price\nUG,*,3.1\nKE,Equitel,0.95\n"
    dry = (await client.post(f"{PRICING}/import?dry_run=true", content=changed, headers=csv)).json()
    assert (dry["added"], dry["changed"], dry["ended"]) == (1, 1, 0)
    assert (await client.post(f"{PRICING}/import", content=changed, headers=csv)).status_code == 200
    assert (await shown(client, auth, "Equitel"))["price"]["amount"] == "0.9500"
    wrong = await client.post(f"{PRICING}/import", content="country,price\nKE,cheap\n", headers=csv)
    assert (wrong.status_code, wrong.json()["errors"][0]["field"]) == (422, "line 2")


async def test_an_adjustment_is_booked_once_with_its_reason(
    client: httpx.AsyncClient, staff: StaffLogIn, auth: Headers, account: Opened, pipeline: Database
) -> None:
    path = f"/v1/admin/accounts/{account.account_id}/adjustments"
    body = {"amount": {"amount": "-40.5", "currency": "KES"}, "reason": "double charge of 12 Nov"}
    headers = await staff() | {"idempotency-key": "a1"}
    first = await client.post(path, json=body, headers=headers)
    again = await client.post(path, json=body, headers=headers)
    assert (first.status_code, again.json()) == (201, first.json())
    assert again.headers["idempotent-replayed"] == "true"
    assert first.json()["balance_after"]["amount"] == "59.5000"
    entry = (await client.get("/v1/ledger", headers=auth)).json()["data"][0]
    assert (entry["kind"], entry["reference"]) == ("adjustment", first.json()["id"])
    [line] = await pipeline.fetch(
        "SELECT reason, before->'balance'->>'amount', after->'balance'->>'amount' FROM core.audit_log"
        " WHERE action = 'account.adjusted'"
    )
    assert tuple(line) == ("double charge of 12 Nov", "100.0000", "59.5000")


async def test_an_adjustment_that_cannot_be_is_refused_and_moves_nothing(
    client: httpx.AsyncClient, staff: StaffLogIn, auth: Headers, account: Opened
) -> None:
    path = f"/v1/admin/accounts/{account.account_id}/adjustments"

    async def tried(amount: str, currency: str = "KES", role: str = "staff_admin", to: str = path) -> int:
        body = {"amount": {"amount": amount, "currency": currency}, "reason": "why not"}
        return (await client.post(to, json=body, headers=await staff(role))).status_code

    assert await tried("-100.0001") == 409
    assert await tried("0") == 422
    assert await tried("1", "USD") == 422
    assert await tried("1", role="staff_support") == 403
    assert await tried("1", to=f"/v1/admin/accounts/{uuid4()}/adjustments") == 404
    assert (await client.post(path, json={}, headers=auth)).status_code == 404
    assert (await client.get("/v1/balance", headers=auth)).json()["balance"]["amount"] == "100.0000"


async def test_a_commission_is_a_share_of_an_agents(
    client: httpx.AsyncClient, staff: StaffLogIn, account: Opened, open_: Open
) -> None:
    agent = await open_(type="agent")
    headers = await staff()

    async def agreed(rate: str, to: Opened) -> int:
        path = f"/v1/admin/accounts/{to.account_id}/commission"
        body = {"rate": rate, "reason": "contract"}
        return (await client.put(path, json=body, headers=headers)).status_code

    assert await agreed("0.0500", agent) == 200
    assert await agreed("1.0001", agent) == 422
    assert await agreed("0.0500", account) == 404
