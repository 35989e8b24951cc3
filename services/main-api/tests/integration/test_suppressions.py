import asyncio
import threading
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import httpx
import pytest

from sema_main_api.accounts.opening import Opened
from sema_main_api.suppressions import importing, rules
from tests.kit.fixtures import TestDatabase

Headers = dict[str, str]
Open = Callable[..., Awaitable[Opened]]

PHONE = "+254712345678"
CSV = {"content-type": "text/csv"}


def send(to: str = PHONE, **changes: Any) -> dict[str, Any]:
    return {"to": to, "from": "SEMALINK", "body": "Habari"} | changes


async def post(
    client: httpx.AsyncClient, path: str, body: dict[str, Any], headers: Headers
) -> httpx.Response:
    return await client.post(f"/v1/{path}", json=body, headers=headers)


async def test_an_opt_out_holds_for_the_very_next_message_until_it_is_lifted(
    client: httpx.AsyncClient, auth: Headers, account: Opened
) -> None:
    assert (await post(client, "messages", send(), auth)).status_code == 202
    before = (await client.get("/v1/balance", headers=auth)).json()
    created = await post(client, "suppressions", {"phone": PHONE, "reason": "STOP"}, auth)
    assert created.status_code == 201
    refused = await post(client, "messages", send(), auth)
    assert (refused.status_code, refused.json()["code"]) == (422, "recipient_suppressed")
    assert (await post(client, "messages", send(lane="priority", body="code 1"), auth)).status_code == 202
    both = {"messages": [send(), send("+254712345679")]}
    batch = (await post(client, "messages/batch", both, auth)).json()
    assert (batch["accepted"], batch["data"][0]["error"]["code"]) == (1, "recipient_suppressed")

    widened = await post(client, "suppressions", {"phone": PHONE, "scope": "all"}, auth)
    assert (widened.status_code, widened.json()["id"]) == (200, created.json()["id"])
    assert (await post(client, "messages", send(lane="priority"), auth)).status_code == 422
    path = f"/v1/suppressions/{created.json()['id']}"
    assert (await client.get(path, headers=auth)).json() == widened.json()
    assert (await client.delete(path, headers=auth)).status_code == 204
    assert (await client.delete(path, headers=auth)).status_code == 404
    assert (await post(client, "messages", send(), auth)).status_code == 202
    assert before["balance"]["amount"] == "99.2000", "one charge before, and three after"
    assert (await client.get("/v1/balance", headers=auth)).json()["balance"]["amount"] == "96.8000"


async def test_the_same_call_is_answered_again_even_when_its_recipient_opted_out_since(
    client: httpx.AsyncClient, auth: Headers
) -> None:
    keyed = auth | {"idempotency-key": "once"}
    first = await post(client, "messages", send(), keyed)
    await post(client, "suppressions", {"phone": PHONE}, auth)
    again = await post(client, "messages", send(), keyed)
    assert (again.status_code, again.json()["id"]) == (202, first.json()["id"])


async def test_a_table_is_taken_in_and_given_out(client: httpx.AsyncClient, auth: Headers) -> None:
    numbers = [f"+2547123{n:05}" for n in range(6_000)]
    raw = "phone,reason\n" + "\n".join(f"{number},asked" for number in numbers) + "\nnobody,\n"
    taken = await client.post("/v1/suppressions", content=raw, headers=auth | CSV)
    assert taken.status_code == 200, taken.text
    answer = taken.json()
    assert (answer["received"], answer["added"], answer["invalid"]) == (6_001, 6_000, 1)
    assert answer["errors"][0]["line"] == 6_002
    exported = await client.get("/v1/suppressions/export", headers=auth)
    assert exported.headers["content-type"] == "text/csv; charset=utf-8"
    lines = exported.text.splitlines()
    assert lines[0] == "phone,scope,reason"
    assert {line.split(",")[0].strip("\"'") for line in lines[1:]} == set(numbers)
    again = await client.post("/v1/suppressions", content=exported.content, headers=auth | CSV)
    assert (again.json()["added"], again.json()["updated"]) == (0, 6_000)
    listed = (await client.get("/v1/suppressions", params={"phone": numbers[7]}, headers=auth)).json()
    assert [entry["phone"] for entry in listed["data"]] == [numbers[7]]


async def test_a_table_is_read_in_pieces_by_a_thread_and_by_few_at_a_time(
    client: httpx.AsyncClient, auth: Headers, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = b"phone\n" + b"\n".join(b"+2547123%05d" % n for n in range(6_000))
    real = rules.Table.feed
    fed: list[int] = []

    def feed(table: rules.Table, piece: bytes) -> None:
        assert threading.current_thread() is not threading.main_thread()
        fed.append(len(piece))
        real(table, piece)

    monkeypatch.setattr(rules.Table, "feed", feed)
    assert (await client.post("/v1/suppressions", content=raw, headers=auth | CSV)).status_code == 200
    assert (sum(fed), max(fed)) == (len(raw), importing.PIECE)
    monkeypatch.setattr(importing, "OF_ACCOUNT", 0)
    answer = await client.post("/v1/suppressions", content=raw, headers=auth | CSV)
    assert (answer.status_code, answer.json()["code"]) == (429, "rate_limited")
    monkeypatch.setattr(importing, "OF_ACCOUNT", 1)
    monkeypatch.setattr(importing, "AT_ONCE", 0)
    answer = await client.post("/v1/suppressions", content=raw, headers=auth | CSV)
    assert (answer.status_code, answer.json()["code"]) == (503, "overloaded")


async def test_no_more_tables_are_held_at_once_than_have_a_turn() -> None:
    imports = importing.Imports()
    async with AsyncExitStack() as held:
        for _ in range(importing.TURNS):
            await held.enter_async_context(imports.table(b"phone\n+254712345678\n", None))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05), imports.table(b"phone\n+254712345678\n", None):
                pass
    async with imports.table(b"phone\n+254712345678\n", None) as table:
        assert table.received == 1


async def test_another_account_neither_sees_it_nor_suffers_from_it(
    client: httpx.AsyncClient, auth: Headers, open_: Open
) -> None:
    created = (await post(client, "suppressions", {"phone": PHONE}, auth)).json()
    other = {"authorization": f"Bearer {(await open_('Other')).live_key}"}
    assert (await client.get("/v1/suppressions", headers=other)).json()["data"] == []
    assert (await client.get(f"/v1/suppressions/{created['id']}", headers=other)).status_code == 404
    assert (await client.delete(f"/v1/suppressions/{created['id']}", headers=other)).status_code == 404
    assert (await post(client, "messages", send(), other)).status_code == 202


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"phone": "0712345678"}, "invalid_phone_number"),
        ({"phone": PHONE, "scope": "some"}, "invalid_choice"),
        ({"phone": PHONE, "account_id": "x"}, "unknown_field"),
    ],
)
async def test_a_wrong_field_is_named(
    client: httpx.AsyncClient, auth: Headers, database: TestDatabase, body: dict[str, Any], code: str
) -> None:
    refused = await post(client, "suppressions", body, auth)
    assert refused.status_code == 422
    assert [error["code"] for error in refused.json()["errors"]] == [code]
