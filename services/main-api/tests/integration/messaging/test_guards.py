"""The guards on a real Redis and without one, and as customers meet them. OWASP API6:2023 throughout: sensitive
business flows (one-time codes, money) are held back where somebody pumps them."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any
from uuid import uuid4

import httpx
import pytest
import redis.asyncio

from sema_common.platform.cache import Cache
from sema_common.platform.db import Database
from sema_main_api.accounts.opening import Opened
from sema_main_api.http.callers import Caller
from sema_main_api.messaging.guarding import Guards
from tests.kit.seeds import new_message

NOBODY = "redis://127.0.0.1:1/0"
Open = Callable[..., Awaitable[Opened]]
StaffLogIn = Callable[..., Awaitable[dict[str, str]]]


def caller(tier: str = "starter", **changes: Any) -> Caller:
    account = uuid4()
    own = Caller("key", account, account, account, tier, "KES", "active", "direct", key_id=uuid4())
    return replace(own, **changes)


@pytest.fixture(params=["redis", "alone"])
async def guards(request: pytest.FixtureRequest, redis_url: str) -> AsyncIterator[Guards]:
    url = redis_url if request.param == "redis" else NOBODY
    async with Cache.open(url) as cache, Guards.open(cache) as guards:
        yield guards


async def passed(guards: Guards, who: Caller, numbers: list[str], cost: str = "0.8000") -> int:
    messages = [new_message(who.account_id, cost, to=number) for number in numbers]
    return (await guards.take(who, messages)).count(None)


def numbers(count: int, begin: str = "+25471200") -> list[str]:
    return [f"{begin}{number:04d}" for number in range(count)]


async def test_one_recipient_gets_ten_and_others_go_on(guards: Guards) -> None:
    who = caller()
    assert await passed(guards, who, ["+254712345678"] * 25) == 10
    assert await passed(guards, who, ["+254712345678"]) == 0
    assert await passed(guards, who, ["+254712345679"]) == 1


async def test_many_at_once_are_counted_together(guards: Guards) -> None:
    who = caller()
    found = await asyncio.gather(*(passed(guards, who, ["+254712345678"]) for _ in range(60)))
    assert sum(found) == 10


async def test_a_range_of_numbers_gets_a_hundred_and_the_next_range_goes_on(guards: Guards) -> None:
    who = caller()
    assert await passed(guards, who, numbers(130)) == 100
    assert await passed(guards, who, numbers(5, "+25471201")) == 5


async def test_an_hours_spending_is_capped_to_the_last_cent(guards: Guards) -> None:
    who = caller("enterprise", spend_per_hour=Decimal("8.0001"))
    assert await passed(guards, who, numbers(20)) == 10
    assert await passed(guards, who, numbers(1), cost="0.0002") == 0
    assert await passed(guards, who, numbers(1), cost="0.0001") == 1


async def test_one_account_does_not_use_up_anothers(guards: Guards) -> None:
    assert await passed(guards, caller(), ["+254712345678"] * 12) == 10
    assert await passed(guards, caller(), ["+254712345678"]) == 1


async def test_a_batch_of_a_thousand_is_judged_in_its_order(guards: Guards) -> None:
    who = caller("growth")
    messages = [new_message(who.account_id, to=number) for number in [*numbers(985), *["+254799000000"] * 15]]
    found = await guards.take(who, messages)
    assert [held is None for held in found] == [True] * 995 + [False] * 5


async def test_what_was_not_sent_does_not_count(guards: Guards) -> None:
    who = caller()
    messages = [new_message(who.account_id) for _ in range(10)]
    assert (await guards.take(who, messages)).count(None) == 10
    await guards.give_back(who, messages[:4])
    assert await passed(guards, who, [messages[0].to] * 10) == 4


async def test_an_account_without_guards_asks_nobody() -> None:
    async with Cache.open(NOBODY) as cache, Guards.open(cache) as guards:
        who = caller("enterprise")
        assert await guards.take(who, [new_message(who.account_id)] * 3) == [None] * 3
        assert not guards._local


async def test_windows_do_not_stay_and_hold_no_number(redis_url: str) -> None:
    """ASVS 14.2.4."""
    who = caller()
    async with Cache.open(redis_url) as cache, Guards.open(cache) as guards:
        await passed(guards, who, ["+254712345678"])
        async with redis.asyncio.Redis.from_url(redis_url, decode_responses=True) as client:
            keys = [key async for key in client.scan_iter(f"guard:{who.account_id}:*")]
            lives = [await client.ttl(key) for key in keys]
            assert [max(lives) > 3900, min(lives) > 600, len(lives)] == [True, True, 3]
            assert not any("712345678" in key for key in keys)
            await guards.give_back(who, [new_message(who.account_id, "0.8000", to="+254712345678")])
            await passed(guards, who, ["+254798000000"])
            left = [key async for key in client.scan_iter(f"guard:{who.account_id}:*")]
    assert len(left) == 3  # the new message's; what was given back in full is gone


BODY = {"from": "SEMALINK", "body": "Your code is 4711"}


async def test_the_same_number_fifty_times_is_told_to_wait_and_pays_for_what_went(
    client: httpx.AsyncClient, account: Opened, auth: dict[str, str]
) -> None:
    sends = [
        client.post("/v1/messages", json={**BODY, "to": "+254712345678"}, headers=auth) for _ in range(50)
    ]
    answers = await asyncio.gather(*sends)
    sent = [answer.json() for answer in answers if answer.status_code == 202]
    held = [answer for answer in answers if answer.status_code == 429]
    assert (len(sent), len(held)) == (10, 40)
    assert {answer.json()["code"] for answer in held} == {"recipient_rate_limited"}
    assert {answer.json()["guard"] for answer in held} == {"recipient"}
    assert all(0 < int(answer.headers["retry-after"]) <= 660 for answer in held)
    spent = 100 - Decimal((await client.get("/v1/balance", headers=auth)).json()["balance"]["amount"])
    assert spent == sum(Decimal(message["cost"]["amount"]) for message in sent)


async def test_the_items_of_a_batch_are_held_back_each_alone(
    client: httpx.AsyncClient, auth: dict[str, str]
) -> None:
    to = ["+254712345678"] * 12 + ["+254712345679", "not a number"]
    answer = await client.post(
        "/v1/messages/batch", json={"messages": [{**BODY, "to": each} for each in to]}, headers=auth
    )
    body = answer.json()
    assert (answer.status_code, body["accepted"], body["rejected"]) == (202, 11, 3)
    codes = [entry["error"]["code"] if "error" in entry else None for entry in body["data"]]
    assert codes == [None] * 10 + ["recipient_rate_limited"] * 2 + [None, "invalid_phone_number"]
    assert body["data"][10]["error"]["retry_after"] > 0


async def test_a_refused_send_and_a_replay_count_for_nothing(client: httpx.AsyncClient, open_: Open) -> None:
    account = await open_(credit="1")  # one message and no more
    auth = {"authorization": f"Bearer {account.live_key}", "idempotency-key": "once"}
    message = {**BODY, "to": "+254712345678"}
    first = await client.post("/v1/messages", json=message, headers=auth)
    for _ in range(15):
        again = await client.post("/v1/messages", json=message, headers=auth)
        assert (again.status_code, again.json()) == (202, first.json())
    del auth["idempotency-key"]
    for _ in range(15):
        assert (await client.post("/v1/messages", json=message, headers=auth)).status_code == 402


async def test_a_call_that_was_answered_is_answered_again_though_a_guard_would_hold_it_now(
    client: httpx.AsyncClient, pipeline: Database, account: Opened, auth: dict[str, str]
) -> None:
    await pipeline.execute(
        "UPDATE core.accounts SET recipient_per_10_minutes = 1 WHERE id = $1", account.account_id
    )
    message = {**BODY, "to": "+254712345678"}
    key = {"idempotency-key": "once"}
    first = await client.post("/v1/messages", json=message, headers=auth | key)
    assert (await client.post("/v1/messages", json=message, headers=auth)).status_code == 429
    again = await client.post("/v1/messages", json=message, headers=auth | key)
    assert (again.status_code, again.json()) == (202, first.json())


async def test_staff_cap_what_an_enterprise_spends_in_an_hour_and_it_holds_at_once(
    client: httpx.AsyncClient, open_: Open, staff: StaffLogIn
) -> None:
    """OWASP API4:2023: what an account may consume has an end that staff set."""
    account = await open_(tier="enterprise")
    path, office = f"/v1/admin/accounts/{account.account_id}", await staff()
    assert set((await client.get(path, headers=office)).json()["guards"].values()) == {None}
    auth = {"authorization": f"Bearer {account.live_key}"}
    assert (await client.get("/v1/me", headers=auth)).status_code == 200
    cap = {"amount": "2.0000", "currency": "KES"}
    change = {"spend_per_hour": cap, "recipient_per_10_minutes": 7, "reason": "New contract."}
    changed = (await client.patch(path, json=change, headers=office)).json()
    assert changed["guards"] == {"recipient": 7, "prefix": None, "spend": cap}
    answers = [
        await client.post("/v1/messages", json={**BODY, "to": number}, headers=auth) for number in numbers(8)
    ]
    accepted = [answer.json() for answer in answers if answer.status_code == 202]
    held = answers[-1].json()
    assert 0 < sum(Decimal(message["cost"]["amount"]) for message in accepted) <= 2
    assert (held["status"], held["code"], held["guard"]) == (429, "recipient_rate_limited", "spend")
    test = {"authorization": f"Bearer {account.test_key}"}
    free = await client.post("/v1/messages", json={**BODY, "to": "+254712345678"}, headers=test)
    assert free.status_code == 202
    lines = (await client.get("/v1/admin/audit-log", headers=office)).json()["data"]
    [line] = [line for line in lines if line["subject_id"] == str(account.account_id) and line["before"]]
    assert (line["before"]["spend_per_hour"], line["after"]["spend_per_hour"]) == (None, "2.0000")
    off = await client.patch(path, json={"spend_per_hour": None, "reason": "Back."}, headers=office)
    assert off.json()["spend_per_hour"] is None


async def test_a_cap_in_another_currency_or_of_nothing_is_refused(
    client: httpx.AsyncClient, account: Opened, staff: StaffLogIn
) -> None:
    path, office = f"/v1/admin/accounts/{account.account_id}", await staff()
    for amount, currency in (("2", "UGX"), ("0", "KES"), ("-1", "KES")):
        change = {"spend_per_hour": {"amount": amount, "currency": currency}, "reason": "x"}
        assert (await client.patch(path, json=change, headers=office)).status_code == 422
