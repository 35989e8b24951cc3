"""What customers ask for: paid once, refused in words, and known to be paid only because the provider said so."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from decimal import Decimal
from typing import Any

import httpx

from sema_main_api.accounts.opening import Opened
from tests.kit.client import eventually
from tests.kit.payments import Desk, Json, phone

Serve = Callable[..., AbstractAsyncContextManager[httpx.AsyncClient]]
OpenDesk = Callable[..., AbstractAsyncContextManager[Desk]]


async def test_a_paid_top_up_is_credited_once_whoever_tells_of_it(desk: Desk) -> None:
    desk.script(callback={"duplicate": 4}, c2b={"duplicate": 2})
    to = phone()
    asked = await desk.top_up("150.0000", to)
    assert (asked["status"], asked["phone"]) == ("pending", to)
    await desk.becomes(asked, "succeeded")
    await desk.list_is_read()
    paid = await desk.read(asked)
    [payment] = desk.payments()
    assert (paid["receipt"], paid["reason"]) == (payment["receipt"], None)
    assert paid["pay_bill"] == {"business_number": "600986", "account_number": payment["account_reference"]}
    await desk.credited(150)
    [push] = desk.pushes()
    assert (push["to"], push["amount"], push["client_id"]) == (to, 150, payment["account_reference"])
    balance = (await desk.api.get("/v1/balance", headers=desk.auth)).json()
    assert balance["balance"]["amount"] == "250.0000"
    [entry, _] = (await desk.api.get("/v1/ledger", headers=desk.auth)).json()["data"]
    assert (entry["kind"], entry["reference"]) == ("top_up", asked["id"])
    [listed] = (await desk.api.get("/v1/top-ups?status=succeeded", headers=desk.auth)).json()["data"]
    assert listed == paid


NOT_PAID = {
    1: "insufficient_funds",
    17: "repeated_too_soon",
    1025: "prompt_not_sent",
    1032: "cancelled",
    1037: "no_answer",
    2001: "wrong_pin",
}


async def test_what_the_payer_did_not_do_is_said(desk: Desk) -> None:
    asked = {code: await desk.top_up(to=phone(code)) for code in NOT_PAID}
    for code, reason in NOT_PAID.items():
        failed = await desk.becomes(asked[code], "failed")
        assert (failed["reason"], failed["receipt"]) == (reason, None)
    assert await desk.credits() == []


async def test_odd_callbacks_and_answers_change_nothing(desk: Desk) -> None:
    """Lost, told twice, told before the push is answered, and a push that is never answered at all."""
    asked = [await desk.top_up(to=phone(magic)) for magic in (8001, 8002, 8003, 8004)]
    for top_up in asked:
        await desk.becomes(top_up, "succeeded")
    await desk.list_is_read()
    await desk.credited(100, 100, 100, 100)
    assert len(desk.pushes()) == 4
    receipts = {payment["receipt"] for payment in desk.payments()}
    assert {(await desk.read(top_up))["receipt"] for top_up in asked} == receipts


async def test_without_answer_and_callback_the_list_tells_and_nothing_is_pushed_again(desk: Desk) -> None:
    desk.script(
        mode="reset_after_accept",
        callback={"enabled": False},
        c2b={"enabled": False},
        list={"mode": "http_500"},
    )
    asked = await desk.top_up()
    await eventually(lambda: _asked(desk, 2))
    assert (await desk.read(asked))["status"] == "pending"
    desk.script(list={"mode": "ok"})
    await desk.becomes(asked, "succeeded")
    await desk.credited(100)
    assert len(desk.pushes()) == 1


async def test_what_nobody_ever_heard_of_expires_and_a_payment_still_wins(desk: Desk) -> None:
    desk.script(mode="garbage", callback={"enabled": False}, result_code=4999)
    asked = await desk.top_up()
    await eventually(lambda: _pushed(desk))
    await desk.owner.execute("UPDATE billing.top_ups SET created_at = created_at - interval '1 day'")
    expired = await desk.becomes(asked, "expired")
    assert expired["reason"] == "no_result"
    await desk.pay(expired["pay_bill"]["account_number"])
    paid = await desk.becomes(asked, "succeeded")
    assert paid["receipt"] == desk.payments()[0]["receipt"]
    await desk.credited(100)


async def _pushed(desk: Desk) -> None:
    assert len(desk.pushes()) == 1


async def test_a_status_query_without_a_verdict_is_asked_again(desk: Desk) -> None:
    desk.script(query="http_500", list={"mode": "http_500"})
    asked = await desk.top_up()
    await eventually(lambda: _called_back(desk))
    await eventually(lambda: _asked(desk, 1))
    desk.script(query="processing")
    await eventually(lambda: _asked(desk, 3))
    assert (await desk.read(asked))["status"] == "pending"
    desk.script(query="ok")
    await desk.becomes(asked, "succeeded")
    await desk.credited(100)


async def _asked(desk: Desk, times: int) -> None:
    assert await desk.owner.fetchval("SELECT queries FROM billing.top_ups") >= times


async def _called_back(desk: Desk) -> None:
    assert await desk.owner.fetchval("SELECT count(*) FROM billing.payment_notices WHERE kind = 'push'")


async def test_a_result_that_nobody_knows_decides_nothing(desk: Desk) -> None:
    asked = await desk.top_up(to=phone(5555))
    await eventually(lambda: _called_back(desk))
    await eventually(lambda: _asked(desk, 2))
    assert (await desk.read(asked))["status"] == "pending"


async def test_a_push_that_is_refused_has_failed(desk: Desk) -> None:
    for mode, reason in {"refuse": "phone_refused", "subscriber_locked": "phone_busy"}.items():
        desk.script(mode=mode)
        failed = await desk.becomes(await desk.top_up(), "failed")
        assert failed["reason"] == reason
    assert desk.pushes() == []


async def test_a_busy_provider_is_tried_again_while_somebody_waits(desk: Desk) -> None:
    desk.script(mode="spike_arrest")
    asked = await desk.top_up()

    async def tried() -> None:
        log = "SELECT count(*) FROM billing.top_ups WHERE callback_hash IS NOT NULL AND push_at IS NOT NULL"
        assert await desk.owner.fetchval(log) == 1

    await eventually(tried)
    desk.script(mode="ok")
    await desk.becomes(asked, "succeeded")
    desk.script(mode="spike_arrest")
    late = await desk.top_up()
    await desk.owner.execute(
        "UPDATE billing.top_ups SET created_at = created_at - interval '1 minute' WHERE status = 'pending'"
    )
    assert (await desk.becomes(late, "failed"))["reason"] == "provider_busy"


async def test_processes_share_one_token_and_fetch_another_when_it_is_refused(
    desk: Desk, serve: Serve, daraja_settings: Json
) -> None:
    await desk.becomes(await desk.top_up(), "succeeded")
    async with serve(**daraja_settings, daraja_base_url=desk.daraja_url):
        await desk.list_is_read()
        await desk.becomes(await desk.top_up(), "succeeded")
        assert desk.daraja.stats()["tokens"] == 1
    desk.daraja.forget_token()
    await desk.becomes(await desk.top_up(), "succeeded")
    assert desk.daraja.stats()["tokens"] == 2
    await desk.credited(100, 100, 100)


async def test_top_ups_are_made_while_redis_is_away(open_desk: OpenDesk) -> None:
    async with open_desk(redis_url="redis://127.0.0.1:1/0") as desk:
        await desk.becomes(await desk.top_up(), "succeeded")
        await desk.credited(100)


async def test_the_same_key_is_the_same_top_up(desk: Desk) -> None:
    to = phone()
    first = await desk.ask(to=to, **{"idempotency-key": "k"})
    again = await desk.ask(to=to, **{"idempotency-key": "k"})
    assert again.headers["idempotent-replayed"] == "true"
    assert first.json()["id"] == again.json()["id"]
    await desk.becomes(first.json(), "succeeded")
    assert len(desk.pushes()) == 1
    other = await desk.ask("101.0000", to, **{"idempotency-key": "k"})
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")


async def test_a_phone_is_not_lit_up_again_and_again(desk: Desk) -> None:
    to = phone(1032)
    answers = await asyncio.gather(*(desk.ask(to=to) for _ in range(10)))
    assert sorted(answer.status_code for answer in answers) == [202] * 5 + [429] * 5
    refused = next(answer for answer in answers if answer.status_code == 429)
    assert (refused.json()["code"], refused.headers["retry-after"]) == ("rate_limited", "60")


async def test_who_may_top_up(desk: Desk, open_: Callable[..., Awaitable[Opened]]) -> None:
    agent = await open_(type="agent")
    customer = await open_(type="agent_customer", agent=agent.account_id, credit="0")
    other = await open_()
    body = {"amount": {"amount": "10", "currency": "KES"}, "phone": "+254712345678"}

    async def ask(key: str) -> tuple[int, str]:
        headers = {"authorization": f"Bearer {key}"}
        answer = await desk.api.post("/v1/top-ups", json=body, headers=headers)
        return answer.status_code, answer.json().get("code", "")

    assert await ask(customer.live_key) == (403, "billed_to_agent")
    assert await ask(desk.account.test_key) == (403, "forbidden")
    assert await ask(agent.live_key) == (202, "")
    mine = await desk.top_up()
    path = f"/v1/top-ups/{mine['id']}"
    headers = {"authorization": f"Bearer {other.live_key}"}
    assert (await desk.api.get(path, headers=headers)).status_code == 404
    assert (await desk.api.get("/v1/top-ups", headers=headers)).json()["data"] == []


async def test_without_m_pesa_everything_else_works(client: httpx.AsyncClient, auth: dict[str, str]) -> None:
    body: dict[str, Any] = {"amount": {"amount": "10", "currency": "KES"}, "phone": "+254712345678"}
    answer = await client.post("/v1/top-ups", json=body, headers=auth)
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    assert (await client.get("/v1/top-ups", headers=auth)).json()["data"] == []
    assert (await client.post("/v1/callbacks/payments/abc", json={})).status_code == 404
    balance = (await client.get("/v1/balance", headers=auth)).json()["balance"]["amount"]
    assert Decimal(balance) == 100
