"""The simulated Daraja, asked as main-api asks the real one."""

import base64
from collections.abc import AsyncIterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import httpx
import pytest

from deploy.sandbox.app import DARAJA, Sandbox
from sema_common.values.clock import now
from sema_main_api.payments.rules.daraja import Business, read_list, read_push, read_query
from tests.kit.client import eventually
from tests.kit.serving import DEADLINE, serving

BUSINESS = Business(DARAJA.short_code, DARAJA.pass_key)
BASIC = "Basic " + base64.b64encode(f"{DARAJA.key}:{DARAJA.secret}".encode()).decode()
PUSH, QUERY = "/mpesa/stkpush/v1/processrequest", "/mpesa/stkpushquery/v1/query"


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with serving(Sandbox()) as url, httpx.AsyncClient(base_url=url, timeout=DEADLINE) as client:
        (await client.put("/_control/daraja", json={"answer_ms": 20})).raise_for_status()
        yield client


async def token(client: httpx.AsyncClient) -> dict[str, str]:
    path = "/oauth/v1/generate?grant_type=client_credentials"
    given = (await client.get(path, headers={"authorization": BASIC})).json()
    return {"authorization": f"Bearer {given['access_token']}"}


def push(client: httpx.AsyncClient, phone: str = "+254712345678") -> dict[str, Any]:
    url = f"{client.base_url}/_hooks/daraja"
    return BUSINESS.push(now(), Decimal(10), phone, "ABCDEFGHJK", url)


async def test_books_are_empty_before_anything_has_happened(client: httpx.AsyncClient) -> None:
    for name in ("daraja", "daraja-payments", "celcom", "africastalking"):
        assert (await client.get(f"/_received/{name}")).json() == {"data": []}
    assert (await client.get("/_received/nobody")).status_code == 404


async def test_a_new_token_ends_the_one_before(client: httpx.AsyncClient) -> None:
    old, new = await token(client), await token(client)
    refused = await client.post(PUSH, json=push(client), headers=old)
    assert (refused.status_code, refused.json()["errorCode"]) == (404, "404.001.03")
    assert (await client.post(PUSH, json=push(client), headers=new)).status_code == 200
    wrong = await client.get(
        "/oauth/v1/generate?grant_type=client_credentials", headers={"authorization": "Basic eA=="}
    )
    assert wrong.json()["errorCode"] == "400.008.01"


async def test_a_push_is_undecided_then_paid_told_and_listed(client: httpx.AsyncClient) -> None:
    headers = await token(client)
    answer = await client.post(PUSH, json=push(client), headers=headers)
    pushed = read_push(answer.status_code, answer.content)
    assert pushed.outcome == "accepted"

    async def ask() -> str:
        query = BUSINESS.query(now(), pushed.checkout_request_id)
        told = await client.post(QUERY, json=query, headers=headers)
        return read_query(told.status_code, told.content).verdict

    async def paid() -> None:
        assert await ask() == "paid"

    await client.put("/_control/daraja", json={"query": "processing"})
    assert await ask() == "pending"
    await client.put("/_control/daraja", json={"query": "ok"})
    await eventually(paid)

    async def told() -> None:
        [receipt] = (await client.get("/_hooks/daraja")).json()["data"]
        assert pushed.checkout_request_id in receipt["body"]

    await eventually(told)
    span = BUSINESS.span(now() - timedelta(hours=1), now(), 0)
    page = await client.post("/pulltransactions/v1/query", json=span, headers=headers)
    [listed] = read_list(page.status_code, page.content) or []
    [payment] = (await client.get("/_received/daraja-payments")).json()["data"]
    assert (listed.receipt, listed.bill_reference) == (payment["receipt"], "ABCDEFGHJK")
    later = await client.post("/pulltransactions/v1/query", json=span | {"OffSetValue": "1"}, headers=headers)
    assert read_list(later.status_code, later.content) == []


async def test_wrong_fields_and_wrong_passwords_are_refused(client: httpx.AsyncClient) -> None:
    headers, good = await token(client), push(client)
    for change in (
        {"Amount": 0},
        {"Amount": 250_001},
        {"PhoneNumber": "0712345678"},
        {"AccountReference": "longer than twelve"},
        {"CallBackURL": "https://x.example.com/mpesa"},
    ):
        answer = await client.post(PUSH, json=good | change, headers=headers)
        assert answer.json()["errorCode"] == "400.002.02", change
    answer = await client.post(PUSH, json=good | {"Password": "x"}, headers=headers)
    assert (answer.status_code, answer.json()["errorMessage"]) == (500, "Wrong credentials")
    wrong = await client.put("/_control/daraja", json={"mode": "sulk"})
    assert (wrong.status_code, wrong.json()["errors"][0]["field"]) == (422, "mode")
