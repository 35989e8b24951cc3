"""Staff's view of the routes, and what they change."""

import json
import time
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import uuid4

import httpx
import pytest

from sema_common.messages.routes import GATES_KEY, WINDOW, WINDOW_SECONDS, count_key, route_key
from sema_common.messages.store.attempts import Claim, claim
from sema_common.messages.store.outcomes import Sent, record_sent
from sema_common.platform.cache import Cache
from sema_common.platform.db import Database
from sema_common.platform.rolling import Rolling
from sema_main_api.accounts.opening import Opened
from tests.kit import seeds
from tests.kit.fixtures import TestDatabase

ROUTING = "/v1/admin/routing"
CELCOM = f"{ROUTING}/aggregators/celcom"
Staff = Callable[..., Awaitable[dict[str, str]]]


async def audited(pipeline: Database, action: str) -> list[dict[str, Any]]:
    rows = await pipeline.fetch("SELECT * FROM core.audit_log WHERE action = $1 ORDER BY id", action)
    return [dict(row) for row in rows]


async def test_the_routes_stand_in_their_order_and_nothing_is_known_of_them_yet(
    client: httpx.AsyncClient, staff: Staff
) -> None:
    shown = (await client.get(ROUTING, headers=await staff("staff_support"))).json()
    assert [(r["aggregator"], r["rank"], r["enabled"], r["state"]) for r in shown["data"]] == [
        ("celcom", 1, True, "open"),
        ("africastalking", 2, True, "open"),
    ]
    assert shown["failover"] is False
    assert shown["data"][0]["window"] == {"seconds": 60, "calls": 0, "failed": 0, "error_rate": None}


async def test_what_the_workers_tell_each_other_is_shown(
    client: httpx.AsyncClient, staff: Staff, redis_url: str
) -> None:
    airtel = route_key("celcom", "Airtel")
    now = time.time()
    async with Cache.open(redis_url) as cache:
        counts = {
            count_key("celcom", "calls"): 100,
            count_key("celcom", "failed"): 25,
            count_key(airtel, "delivered"): 30,
            count_key(airtel, "undelivered"): 10,
            count_key(airtel, "latency_ms"): 60_000,
        }
        await Rolling(cache, WINDOW, WINDOW_SECONDS).add(counts, now)
        gate = {"version": 3, "shut_at": now, "until": now + 60, "why": "account", "code": "low_credit"}
        await cache.call(lambda r: r.hset(GATES_KEY, "celcom", json.dumps(gate)))
    shown = (await client.get(ROUTING, headers=await staff())).json()
    celcom, talking = shown["data"]
    assert shown["failover"] is True
    assert (celcom["state"], celcom["why"], celcom["code"]) == ("shut", "account", "low_credit")
    assert celcom["window"]["error_rate"] == 0.25
    [network] = celcom["networks"]
    assert (network["mno"], network["delivery_rate"], network["delivery_seconds"]) == ("Airtel", 0.75, 2.0)
    assert talking["state"] == "open"


async def test_without_redis_the_switches_are_shown_all_the_same(serve: Any, staff: Staff) -> None:
    headers = await staff()
    async with serve(redis_url="redis://127.0.0.1:9/0") as client:
        shown = (await client.get(ROUTING, headers=headers)).json()
    assert [(r["aggregator"], r["state"], r["window"]) for r in shown["data"]] == [
        ("celcom", "unknown", None),
        ("africastalking", "unknown", None),
    ]


async def test_a_switch_is_thrown_and_audited(
    client: httpx.AsyncClient, staff: Staff, pipeline: Database
) -> None:
    headers = await staff()
    change = {"enabled": False, "per_second": 50, "unserved": ["KE:Telkom"], "reason": "their maintenance"}
    answer = await client.patch(CELCOM, headers=headers, json=change)
    assert answer.status_code == 200, answer.text
    assert answer.json()["enabled"] is False
    answer = await client.patch(CELCOM, headers=headers, json={"per_second": None, "reason": "over"})
    assert (answer.json()["per_second"], answer.json()["enabled"]) == (None, False)
    first, second = await audited(pipeline, "route.changed")
    assert (first["before"]["enabled"], first["after"]["enabled"]) == (True, False)
    assert first["reason"] == "their maintenance"
    assert (second["before"]["per_second"], second["after"]["per_second"]) == (50, None)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"enabled": True}, "required"),
        ({"reason": "because"}, "required"),
        ({"enabled": None, "reason": "because"}, "required"),
        ({"per_second": 0, "reason": "because"}, None),
        ({"unserved": ["Telkom"], "reason": "because"}, None),
        ({"on": True, "reason": "because"}, None),
    ],
)
async def test_a_change_that_makes_no_sense_is_refused_by_name(
    client: httpx.AsyncClient, staff: Staff, pipeline: Database, body: dict[str, Any], code: str | None
) -> None:
    answer = await client.patch(CELCOM, headers=await staff(), json=body)
    assert (answer.status_code, answer.json()["code"]) == (422, "validation_failed")
    assert code is None or answer.json()["errors"][0]["code"] == code
    assert await audited(pipeline, "route.changed") == []


async def test_an_accounts_rule_is_set_shown_listed_and_removed(
    client: httpx.AsyncClient, staff: Staff, pipeline: Database, account: Opened
) -> None:
    headers = await staff()
    path = f"{ROUTING}/accounts/{account.account_id}"
    assert (await client.get(path, headers=headers)).status_code == 404
    forced = {"aggregator": "africastalking", "mode": "forced", "reason": "their contract"}
    assert (await client.put(path, headers=headers, json=forced)).json()["mode"] == "forced"
    wanted = {"aggregator": "africastalking", "mode": "preferred", "switched_off": ["celcom"], "reason": "x"}
    assert (await client.put(path, headers=headers, json=wanted)).status_code == 200
    assert (await client.get(path, headers=headers)).json()["switched_off"] == ["celcom"]
    page = (await client.get(f"{ROUTING}/accounts", headers=headers, params={"aggregator": "celcom"})).json()
    assert [line["account_id"] for line in page["data"]] == [str(account.account_id)]
    assert (await client.get(ROUTING, headers=headers)).json()["accounts_with_rules"] == 1
    assert (await client.delete(path, headers=headers, params={"reason": "ended"})).status_code == 204
    assert (await client.delete(path, headers=headers)).status_code == 404
    lines = await audited(pipeline, "account_route.set")
    assert [(line["before"], line["after"]["mode"]) for line in lines] == [
        (None, "forced"),
        ({"aggregator": "africastalking", "mode": "forced", "switched_off": []}, "preferred"),
    ]
    [removed] = await audited(pipeline, "account_route.removed")
    assert (removed["after"], removed["account_id"]) == (None, account.account_id)


@pytest.mark.parametrize(
    "body",
    [
        {"aggregator": "celcom"},
        {"mode": "forced"},
        {},
        {"aggregator": "celcom", "mode": "forced", "switched_off": ["celcom"]},
        {"aggregator": "nobody", "mode": "forced"},
        {"switched_off": ["nobody"]},
    ],
)
async def test_a_rule_that_fits_nowhere_is_refused(
    client: httpx.AsyncClient, staff: Staff, account: Opened, body: dict[str, Any]
) -> None:
    path = f"{ROUTING}/accounts/{account.account_id}"
    answer = await client.put(path, headers=await staff(), json=body | {"reason": "because"})
    assert (answer.status_code, answer.json()["code"]) == (422, "validation_failed")


async def test_what_is_not_there_is_not_found(client: httpx.AsyncClient, staff: Staff) -> None:
    headers = await staff()
    rule = {"aggregator": "celcom", "mode": "forced", "reason": "x"}
    assert (await client.put(f"{ROUTING}/accounts/{uuid4()}", headers=headers, json=rule)).status_code == 404
    assert (await client.get(f"{ROUTING}/messages/{uuid4()}", headers=headers)).status_code == 404
    nobody = f"{ROUTING}/aggregators/nobody"
    assert (
        await client.patch(nobody, headers=headers, json={"enabled": True, "reason": "x"})
    ).status_code == 404


async def test_support_looks_and_only_admins_change_and_customers_see_nothing(
    client: httpx.AsyncClient, staff: Staff, auth: dict[str, str], account: Opened
) -> None:
    support = await staff("staff_support")
    change = {"enabled": False, "reason": "x"}
    assert (await client.patch(CELCOM, headers=support, json=change)).status_code == 403
    path = f"{ROUTING}/accounts/{account.account_id}"
    assert (await client.delete(path, headers=support)).status_code == 403
    assert (await client.get(ROUTING, headers=auth)).status_code == 404


async def test_the_way_of_a_message_shows_staff_what_a_customer_does_not_see(
    client: httpx.AsyncClient, staff: Staff, auth: dict[str, str], account: Opened, database: TestDatabase
) -> None:
    choice = {"reason": "fallback", "passed_over": [{"aggregator": "celcom", "reason": "account"}]}
    async with Database.open(database.owner_dsn, name="owner") as owner, owner.transaction() as tx:
        [message] = await seeds.accept(tx, [seeds.new_message(account.account_id)])
        key = (message.message_id, 1, message.tenant_id)
        await claim(tx, [Claim(*key, "normal", "africastalking", choice)], message.valid_until)
        await record_sent(tx, [Sent(*key, "africastalking", "id", message.enqueued_at, message.enqueued_at)])
    path = f"{ROUTING}/messages/msg_{message.message_id}"
    way = (await client.get(path, headers=await staff("staff_support"))).json()
    [step] = way["data"]
    assert (step["status"], step["aggregator"], step["reason"]) == ("sent", "africastalking", "fallback")
    assert step["passed_over"] == choice["passed_over"]
    events = (await client.get(f"/v1/messages/{message.message_id}/events", headers=auth)).json()["data"]
    assert events[-1]["detail"]["route"] == "another route, because Celcom is not available"
