"""The content rules through staff's door: what is taken, what is refused, what a change would do, who did what."""

from collections.abc import Awaitable, Callable
from itertools import count
from typing import Any
from uuid import uuid4

import httpx
import pytest

from sema_common.platform.db import Database
from sema_common.values.ids import new_id
from sema_main_api.accounts.opening import Opened
from sema_main_api.admin.content_rules import rules
from tests.kit.client import eventually

RULES = "/v1/admin/content-rules"
REFUSALS = "/v1/admin/content-refusals"
Headers = dict[str, str]
Staff = Callable[..., Awaitable[Headers]]
SEND = {"to": "+254722000001", "from": "SEMALINK"}
NUMBERS = count(722_000_002)


@pytest.fixture
async def admin(staff: Staff) -> Headers:
    return await staff()


async def add(client: httpx.AsyncClient, admin: Headers, **rule: Any) -> dict[str, Any]:
    answer = await client.post(RULES, headers=admin, json={"kind": "word", **rule})
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def send(client: httpx.AsyncClient, auth: Headers, body: str) -> httpx.Response:
    """To a number of its own: whoever asks again and again must not meet the guard of a recipient."""
    to = f"+254{next(NUMBERS)}"
    return await client.post("/v1/messages", headers=auth, json={**SEND, "to": to, "body": body})


async def test_a_word_is_in_force_in_a_process_that_runs_and_gone_again(
    client: httpx.AsyncClient, admin: Headers, auth: Headers
) -> None:
    assert (await send(client, auth, "Fresh mangoes")).status_code == 202
    rule = await add(client, admin, value="Mangoes", language="en", note="a test")

    async def refused() -> None:
        answer = await send(client, auth, "Fresh m a n g o e s today")
        assert answer.status_code == 422, "the version is looked at every second"
        assert answer.json()["reasons"] == [
            {"check": "blocklist", "detail": "contains the blocked word 'Mangoes'"}
        ]

    await eventually(refused, 10)
    assert (await client.delete(f"{RULES}/{rule['id']}", headers=admin)).status_code == 204

    async def accepted() -> None:
        assert (await send(client, auth, "Fresh mangoes again")).status_code == 202

    await eventually(accepted, 10)


async def test_every_change_moves_the_version_and_leaves_its_line(
    client: httpx.AsyncClient, admin: Headers
) -> None:
    async def version() -> int:
        number: int = (await client.get(f"{RULES}/summary", headers=admin)).json()["version"]
        return number

    first = await version()
    rule = await add(client, admin, value="mango", note="why")
    path = f"{RULES}/{rule['id']}"
    changed = await client.patch(path, headers=admin, json={"value": "guava", "whole_word": False})
    assert changed.status_code == 200
    assert (changed.json()["value"], changed.json()["whole_word"], changed.json()["note"]) == (
        "guava",
        False,
        "why",
    )
    assert (await client.get(path, headers=admin)).json() == changed.json()
    await client.delete(path, headers=admin)
    assert (await client.get(path, headers=admin)).status_code == 404
    assert await version() == first + 3
    log = (await client.get("/v1/admin/audit-log", headers=admin, params={"action": "content_rule."})).json()[
        "data"
    ]
    assert [line["action"] for line in log] == [
        "content_rule.removed",
        "content_rule.changed",
        "content_rule.added",
    ]
    assert [(line["before"] or {}).get("value") for line in log] == ["guava", "mango", None]
    assert [(line["after"] or {}).get("value") for line in log] == [None, "guava", "mango"]
    assert {line["subject_id"] for line in log} == {str(rule["id"])}


@pytest.mark.parametrize(
    ("rule", "code", "why"),
    [
        ({"kind": "pattern", "value": "(unclosed"}, "invalid_rule", "no RE2 expression"),
        ({"kind": "pattern", "value": r"(a)\1"}, "invalid_rule", "no RE2 expression"),
        ({"kind": "pattern", "value": "(x{1,50}){1,15}y"}, "invalid_rule", "instructions"),
        ({"kind": "pattern", "value": ".*"}, "invalid_rule", "every text"),
        ({"kind": "word", "value": "!?"}, "invalid_rule", "no letter"),
        ({"kind": "word", "value": "abc", "whole_word": False}, "invalid_rule", "too short"),
        ({"kind": "shortener", "value": "https://x.y/z"}, "invalid_rule", "no domain"),
        ({"kind": "shortener", "value": "BIT.LY"}, "rule_exists", "bit.ly"),
        ({"kind": "word", "value": "ENCULE"}, "rule_exists", "enculé"),
    ],
)
async def test_a_rule_that_cannot_work_is_refused_with_its_reason(
    client: httpx.AsyncClient, admin: Headers, rule: dict[str, Any], code: str, why: str
) -> None:
    answer = await client.post(RULES, headers=admin, json=rule)
    assert answer.status_code == 422, answer.text
    [error] = answer.json()["errors"]
    assert (error["field"], error["code"]) == ("add[0].value", code)
    assert why in error["detail"]


async def test_changes_together_are_all_made_or_none(client: httpx.AsyncClient, admin: Headers) -> None:
    rule = await add(client, admin, value="mango")
    changes: dict[str, Any] = {
        "add": [{"kind": "word", "value": "papaya", "language": "en"}, {"kind": "pattern", "value": "("}],
        "remove": [rule["id"]],
        "reason": "fruit",
    }
    answer = await client.post(f"{RULES}/changes", headers=admin, json=changes)
    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == ["add[1].value"]
    assert (await client.get(f"{RULES}/{rule['id']}", headers=admin)).status_code == 200

    changes["add"][1] = {"kind": "pattern", "value": "pay [0-9]+ first"}
    seen = (await client.get(f"{RULES}/summary", headers=admin)).json()["version"]
    answer = await client.post(f"{RULES}/changes", headers=admin, json={**changes, "version": seen - 1})
    assert (answer.status_code, answer.json()["code"]) == (409, "content_rules_changed")
    answer = await client.post(f"{RULES}/changes", headers=admin, json={**changes, "version": seen})
    assert answer.status_code == 200
    assert [row["value"] for row in answer.json()["added"]] == ["papaya", "pay [0-9]+ first"]
    assert [row["id"] for row in answer.json()["removed"]] == [rule["id"]]
    assert answer.json()["version"] > seen


async def test_nothing_no_rule_and_a_rule_twice_are_no_changes(
    client: httpx.AsyncClient, admin: Headers
) -> None:
    async def status(**changes: Any) -> int:
        return (await client.post(f"{RULES}/changes", headers=admin, json=changes)).status_code

    assert await status() == 422
    assert await status(remove=[999_999]) == 404
    assert await status(remove=[1, 1]) == 422
    assert await status(change=[{"id": 1, "value": None}]) == 422
    assert await status(change=[{"id": 1, "colour": "red"}]) == 422
    assert (await client.get(f"{RULES}/one", headers=admin)).status_code == 404
    assert (await client.delete(f"{RULES}/999999", headers=admin)).status_code == 404


async def test_a_dry_run_shows_what_would_change_sides_masked_and_changes_nothing(
    client: httpx.AsyncClient, admin: Headers, auth: Headers, account: Opened
) -> None:
    rule = await add(client, admin, value="mango")

    test_key = {"authorization": f"Bearer {account.test_key}"}  # a test's messages are no recent texts

    async def refused() -> None:
        answer = await send(client, test_key, "One mango for 500")
        assert answer.status_code == 422

    await eventually(refused, 10)
    for body in ("Papaya for KES 455 a@b.example https://x.example/secret", "Your code is 482913"):
        assert (await send(client, auth, body)).status_code == 202

    async def kept() -> None:
        page = (await client.get(REFUSALS, headers=admin)).json()
        assert [(row["text"], row["refusals"] >= 1) for row in page["data"]] == [("One mango for ###", True)]
        assert page["data"][0]["reasons"][0]["check"] == "blocklist"
        assert page["data"][0]["account_id"] == str(account.account_id)

    await eventually(kept, 10)
    changes = {"add": [{"kind": "word", "value": "papaya"}], "remove": [rule["id"]]}
    before = (await client.get(f"{RULES}/summary", headers=admin)).json()
    answer = await client.post(f"{RULES}/dry-run", headers=admin, json=changes)
    assert answer.status_code == 200, answer.text
    shown = answer.json()
    assert (shown["messages"], shown["texts_accepted"], shown["texts_refused"]) == (2, 2, 1)
    assert (shown["newly_refused"]["texts"], shown["newly_refused"]["accounts"]) == (1, 1)
    [sample] = shown["newly_refused"]["samples"]
    assert sample["text"] == "Papaya for KES ### …@… https://x.example/…"
    assert sample["reasons"] == [{"check": "blocklist", "detail": "contains the blocked word 'papaya'"}]
    assert [s["text"] for s in shown["newly_allowed"]["samples"]] == ["One mango for ###"]
    assert shown["version"] == before["version"]
    assert (await client.get(f"{RULES}/summary", headers=admin)).json() == before


async def test_a_change_that_would_refuse_what_everybody_sends_wants_to_be_forced(
    client: httpx.AsyncClient,
    admin: Headers,
    auth: Headers,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rules, "BROAD_TEXTS", 3)
    for number in range(4):
        assert (await send(client, auth, f"Dear client {number}, thank you")).status_code == 202
    slip = {"kind": "word", "value": "dear"}
    answer = await client.post(RULES, headers=admin, json=slip)
    assert (answer.status_code, answer.json()["code"]) == (409, "content_rule_too_broad")
    assert "4 of the latest 4" in answer.json()["detail"]
    assert (await client.post(RULES, headers=admin, json={**slip, "force": True})).status_code == 201


async def test_a_campaign_and_a_broken_rule_do_not_stop_staff(
    client: httpx.AsyncClient, admin: Headers, pipeline: Database, account: Opened
) -> None:
    list_id = uuid4()
    await pipeline.execute(
        "INSERT INTO core.contact_lists (id, tenant_id, account_id, name) VALUES ($1, $2, $2, 'L')",
        *(list_id, account.account_id),
    )
    await pipeline.execute(
        "INSERT INTO core.campaigns (id, tenant_id, account_id, billing_account_id, contact_list_id, name, sender,"
        " message, currency) VALUES ($1, $2, $2, $2, $3, 'C', 'SEMALINK', 'Dear {{mango}}, one kiwi', 'KES')",
        *(new_id(), account.account_id, list_id),
    )
    await pipeline.execute("INSERT INTO core.content_blocklist (kind, value) VALUES ('pattern', '(')")
    page = (await client.get(RULES, headers=admin, params={"kind": "pattern", "limit": 1})).json()
    broken = page["data"][0]
    assert broken["value"] == "("
    answer = await client.post(RULES, headers=admin, json={"kind": "word", "value": "kiwi"})
    assert answer.status_code == 422
    assert "cannot be compiled" in answer.json()["detail"]
    changes = {
        "remove": [broken["id"]],
        "add": [{"kind": "word", "value": "kiwi"}, {"kind": "word", "value": "mango"}],
    }
    shown = (await client.post(f"{RULES}/dry-run", headers=admin, json=changes)).json()
    [sample] = shown["newly_refused"]["samples"]
    assert (sample["source"], sample["reasons"][0]["detail"]) == (
        "campaign",
        "contains the blocked word 'kiwi'",
    )
    assert len(sample["reasons"]) == 1, "the name of a merge field is no part of the text"
    assert (await client.delete(f"{RULES}/{broken['id']}", headers=admin)).status_code == 204


async def test_the_list_is_paged_and_found_by_kind_language_and_value(
    client: httpx.AsyncClient, admin: Headers
) -> None:
    async def found(**params: Any) -> list[str]:
        page = (await client.get(RULES, headers=admin, params=params)).json()
        return [row["value"] for row in page["data"]]

    assert "bit.ly" in await found(kind="shortener")
    assert await found(search="ENCUL") == ["enculé"]
    assert set(await found(language="sw", kind="word")) >= {"malaya", "pesa za bure"}
    first = (await client.get(RULES, headers=admin, params={"limit": 1})).json()
    again = (
        await client.get(RULES, headers=admin, params={"limit": 1, "cursor": first["next_cursor"]})
    ).json()
    assert again["data"][0]["id"] < first["data"][0]["id"]


async def test_a_verdict_is_explained_with_its_score(client: httpx.AsyncClient, admin: Headers) -> None:
    text = "Your account has been suspended. Verify your account within 24 hours http://x.example"
    shown = (await client.post(f"{RULES}/explain", headers=admin, json={"text": text})).json()
    assert not shown["allowed"]
    assert (shown["score"], shown["score_refused"]) == (6, 5)
    assert {signal["name"] for signal in shown["signals"]} >= {"has a link", "presses for haste"}
    assert shown["reasons"][0]["check"] == "spam"


async def test_support_reads_and_tries_and_only_admins_change(
    client: httpx.AsyncClient, staff: Staff, auth: Headers
) -> None:
    support = await staff("staff_support")
    rule = {"kind": "word", "value": "mango"}
    assert (await client.get(RULES, headers=support)).status_code == 200
    assert (await client.post(f"{RULES}/dry-run", headers=support, json={"add": [rule]})).status_code == 200
    for method, path in (("POST", RULES), ("POST", f"{RULES}/changes"), ("DELETE", f"{RULES}/1")):
        assert (await client.request(method, path, headers=support, json=rule)).status_code == 403
        assert (await client.request(method, path, headers=auth, json=rule)).status_code == 404
