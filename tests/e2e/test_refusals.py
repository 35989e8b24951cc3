"""What is refused at the door: the code of the contract, a problem document, and nothing written or charged."""

import asyncio
from collections import Counter
from typing import Any
from uuid import UUID

import httpx
import pytest

from tests.e2e.conftest import Shop
from tests.kit.client import Client, eventually
from tests.kit.stack import Stack

pytestmark = pytest.mark.stack

GOOD = {"to": "+254722000001", "from": "SEMALINK", "body": "Habari"}


def refused(answer: httpx.Response, status: int, code: str, field: str | None = None) -> None:
    """A problem document with everything that the contract promises of one."""
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (status, code), answer.text
    assert {"type", "title", "status", "detail", "instance", "request_id"} <= problem.keys()
    assert answer.headers["x-request-id"] == problem["request_id"]
    if field is not None:
        assert field in {error["field"] for error in problem["errors"]}, problem


@pytest.mark.parametrize(
    ("change", "status", "code", "field"),
    [
        ({"frm": "SEMALINK"}, 422, "validation_failed", "frm"),
        ({"price": "0"}, 422, "validation_failed", "price"),
        ({"tenant_id": "me"}, 422, "validation_failed", "tenant_id"),
        ({"status": "delivered"}, 422, "validation_failed", "status"),
        ({"body": 7}, 422, "validation_failed", "body"),
        ({"to": None}, 422, "validation_failed", "to"),
        ({"body": ""}, 422, "validation_failed", "body"),
        ({"body": "  \n "}, 422, "validation_failed", "body"),
        ({"body": "a" * 1531}, 422, "validation_failed", "body"),
        ({"body": "ни" * 336}, 422, "validation_failed", "body"),
        ({"body": "NUL \x00 here"}, 422, "validation_failed", None),
        ({"lane": "express"}, 422, "validation_failed", "lane"),
        ({"validity_seconds": 59}, 422, "validation_failed", "validity_seconds"),
        ({"validity_seconds": 259_201}, 422, "validation_failed", "validity_seconds"),
        ({"metadata": {f"k{n}": "v" for n in range(21)}}, 422, "validation_failed", "metadata"),
        ({"to": "0712345678"}, 422, "invalid_phone_number", "to"),
        ({"to": "+2547123456789012"}, 422, "invalid_phone_number", "to"),
        ({"to": "+254CALLME"}, 422, "invalid_phone_number", "to"),
        ({"to": "+254900123456"}, 422, "invalid_phone_number", "to"),
        ({"to": "+33612345678"}, 422, "unsupported_destination", "to"),
        ({"to": "+2348031234567"}, 422, "unsupported_destination", "to"),
        ({"from": "MYBANK"}, 403, "sender_id_not_approved", None),
        ({"from": "SEMАLINK"}, 422, "validation_failed", "from"),
        ({"from": "SEMA\u200bLINK"}, 422, "validation_failed", "from"),
        ({"from": "TWELVELETTERS"}, 422, "validation_failed", "from"),
        ({"type": "FLASH_SMS"}, 422, "unsupported_type", None),
        ({"body": "Claim it at http://bit.ly/x1"}, 422, "content_rejected", None),
        ({"body": "Claim it at http://bi\u200dt.ly/x1"}, 422, "content_rejected", None),
        ({"callback_url": "http://169.254.169.254/latest"}, 422, "validation_failed", "callback_url"),
        ({"callback_url": "https://user@example.com/"}, 422, "validation_failed", "callback_url"),
    ],
)
async def test_a_wrong_message_is_refused_by_name(
    shop: Shop, change: dict[str, Any], status: int, code: str, field: str | None
) -> None:
    refused(await shop.api.post("/v1/messages", GOOD | change), status, code, field)
    assert await shop.balance() == "10000.0000"
    assert (await shop.api.get("/v1/messages"))["data"] == []


async def test_a_body_that_is_no_json_of_ours_is_refused(shop: Shop) -> None:
    http = shop.api.http
    as_json = {"content-type": "application/json"}
    refused(await http.post("/v1/messages", content=b"{not json", headers=as_json), 400, "malformed_body")
    refused(await http.post("/v1/messages", content=b"\xff\xfe", headers=as_json), 400, "malformed_body")
    refused(await http.post("/v1/messages", content=b"[]", headers=as_json), 422, "validation_failed")
    refused(
        await http.post("/v1/messages", content=b"to=1", headers={"content-type": "text/plain"}),
        *(415, "unsupported_media_type"),
    )
    large = b'{"body":"' + b"a" * (1 << 20) + b'"}'
    refused(await http.post("/v1/messages", content=large, headers=as_json), 413, "body_too_large")


async def test_a_body_without_a_length_is_cut_when_it_is_too_large(shop: Shop) -> None:
    async def endless() -> Any:
        for _ in range(64):
            yield b"a" * (1 << 16)

    headers = {"content-type": "application/json"}
    refused(
        await shop.api.http.post("/v1/messages", content=endless(), headers=headers), 413, "body_too_large"
    )


@pytest.mark.parametrize("messages", [[], [GOOD] * 1001, "none", None])
async def test_a_batch_of_the_wrong_size_is_refused_whole(shop: Shop, messages: Any) -> None:
    answer = await shop.api.post("/v1/messages/batch", {"messages": messages})
    refused(answer, 422, "validation_failed", "messages")


@pytest.mark.parametrize(
    "header",
    ["", "Bearer nonsense", "Basic c2VtYTpzZW1h", "Bearer sema_live_" + "a" * 36, "Bearer a.b.c"],
)
async def test_whoever_has_no_key_of_ours_is_nobody(shop: Shop, header: str) -> None:
    headers = {"authorization": header}
    refused(await shop.api.http.post("/v1/messages", json=GOOD, headers=headers), 401, "unauthenticated")


async def test_a_key_whose_last_letter_is_wrong_is_nobody(shop: Shop) -> None:
    last = "a" if shop.live_key[-1] != "a" else "b"
    headers = {"authorization": f"Bearer {shop.live_key[:-1]}{last}"}
    refused(await shop.api.http.get("/v1/messages", headers=headers), 401, "unauthenticated")


async def test_what_belongs_to_another_account_is_not_there(shop: Shop, stack: Stack) -> None:
    accepted = await shop.api.send("+254722000002", "Mine")
    hook = await shop.hook()
    stranger = await stack.open_account()
    async with Client.open(stack.env["SEMA_API_URL"], stranger.live_key, stranger.account_id) as other:
        for path in (
            f"/v1/messages/{accepted['id']}",
            f"/v1/messages/msg_{accepted['id']}/events",
            f"/v1/webhooks/{hook.id}",
            f"/v1/webhooks/{hook.id}/deliveries",
            f"/v1/messages/{UUID(int=7)}",
            "/v1/messages/not-an-id",
        ):
            refused(await other.http.get(path), 404, "not_found")
        refused(await other.http.delete(f"/v1/webhooks/{hook.id}"), 404, "not_found")
        assert (await other.get("/v1/messages"))["data"] == []
    await shop.api.reaches(accepted["id"], "delivered")


async def test_what_does_not_exist_and_what_is_not_allowed_are_told_apart(shop: Shop) -> None:
    refused(await shop.api.http.get("/v1/nothing"), 404, "not_found")
    answer = await shop.api.http.put("/v1/messages", json=GOOD)
    refused(answer, 405, "method_not_allowed")
    assert "POST" in answer.headers["allow"]
    refused(await shop.api.http.get("/v1/messages", params={"cursor": "made-up"}), 400, "invalid_cursor")
    refused(await shop.api.http.get("/v1/messages", params={"colour": "red"}), 422, "validation_failed")
    refused(await shop.api.http.get("/v1/messages", params={"limit": 201}), 422, "validation_failed")


async def test_an_idempotency_key_of_another_shape_is_refused(shop: Shop) -> None:
    refused(await shop.api.post("/v1/messages", GOOD, "k" * 256), 400, "invalid_idempotency_key")


async def test_a_refused_call_frees_its_key(shop: Shop) -> None:
    refused(
        await shop.api.post("/v1/messages", GOOD | {"from": "MYBANK"}, "one"), 403, "sender_id_not_approved"
    )
    assert (await shop.api.post("/v1/messages", GOOD, "one")).status_code == 202


async def test_a_balance_that_is_short_by_the_smallest_unit_buys_nothing(stack: Stack) -> None:
    account = await stack.open_account(credit="0.7999")
    async with Client.open(stack.env["SEMA_API_URL"], account.live_key, account.account_id) as api:
        refused(await api.post("/v1/messages", GOOD), 402, "insufficient_credit")
        assert (await api.get("/v1/balance"))["balance"]["amount"] == "0.7999"
        assert len((await api.get("/v1/ledger"))["data"]) == 1


async def test_of_200_parallel_sends_with_credit_for_10_exactly_10_are_accepted(stack: Stack) -> None:
    account = await stack.open_account(credit="8")
    async with Client.open(stack.env["SEMA_API_URL"], account.live_key, account.account_id) as api:
        answers = await asyncio.gather(
            *(api.post("/v1/messages", GOOD | {"body": f"Number {n}"}) for n in range(200))
        )
        assert Counter(answer.status_code for answer in answers) == {202: 10, 402: 190}
        assert (await api.get("/v1/balance"))["balance"]["amount"] == "0.0000"
        for answer in answers:
            if answer.status_code == 202:
                await api.reaches(answer.json()["id"], "delivered")


async def test_beyond_the_tiers_burst_a_send_is_told_when_to_come_back(stack: Stack) -> None:
    account = await stack.open_account(tier="starter")
    async with Client.open(stack.env["SEMA_API_URL"], account.live_key, account.account_id) as api:
        items = [GOOD | {"body": f"Item {n}"} for n in range(51)]
        refused(await api.post("/v1/messages/batch", {"messages": items}), 429, "rate_limited")
        taken = await api.post("/v1/messages/batch", {"messages": items[:50]})
        assert taken.status_code == 202, taken.text
        assert "ratelimit" in taken.headers
        assert "ratelimit-policy" in taken.headers
        answer = await api.post("/v1/messages/batch", {"messages": items[:20]})
        refused(answer, 429, "rate_limited")
        assert int(answer.headers["retry-after"]) >= 1


async def test_a_login_with_a_wrong_password_says_no_more_than_an_unknown_one(stack: Stack) -> None:
    async with Client.open(stack.env["SEMA_API_URL"], None, UUID(int=0)) as nobody:
        email = stack.env["SEMA_OWNER_EMAIL"]
        wrong = await nobody.post("/v1/auth/login", {"email": email, "password": "not the password"})
        unknown = await nobody.post(
            "/v1/auth/login", {"email": "x@sema.local", "password": "not the password"}
        )
    assert wrong.status_code == unknown.status_code == 401
    assert wrong.json()["detail"] == unknown.json()["detail"]


async def test_a_report_with_a_wrong_token_is_unknown_and_nonsense_is_quarantined(
    stack: Stack, shop: Shop
) -> None:
    async with httpx.AsyncClient(base_url=stack.env["SEMA_DLR_URL"]) as http:
        assert (await http.post("/celcom/wrong-token", json={})).status_code == 404
        url = f"/celcom/{stack.env['SEMA_DLR_TOKEN']}"
        assert (await http.post(url, content=b"a" * (256 * 1024 + 1))).status_code == 413
        before = await shop.db.fetchval("SELECT count(*) FROM dlr.quarantine")
        answer = await http.post(url, content=b"<html>", headers={"content-type": "text/html"})
        assert (answer.status_code, answer.text) == (200, "OK")

    async def quarantined() -> None:
        assert await shop.db.fetchval("SELECT count(*) FROM dlr.quarantine") == before + 1

    await eventually(quarantined)
