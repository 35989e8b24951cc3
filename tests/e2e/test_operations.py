"""What operators rely on: health, metrics, clean stops under load, one trace, and logs that say nothing private."""

import asyncio
import json
import random
import re
import secrets
import signal
from collections.abc import Callable
from datetime import UTC, datetime

import ahocorasick
import httpx
import pytest

from deploy.local.services import SERVICES
from tests.e2e.conftest import Shop
from tests.kit.checker import check_quiet
from tests.kit.client import eventually
from tests.kit.client_load import Load
from tests.kit.stack import Stack

pytestmark = pytest.mark.stack

Number = Callable[[], str]


def ops_url(stack: Stack, name: str) -> str:
    return stack.env[f"SEMA_OPS_URL_{name.upper().replace('-', '_')}"]


@pytest.mark.parametrize("name", SERVICES)
async def test_each_room_says_that_it_lives_works_and_measures(stack: Stack, name: str) -> None:
    async with httpx.AsyncClient(base_url=ops_url(stack, name)) as http:
        assert (await http.get("/healthz")).status_code == 200

        async def ready() -> None:
            answer = await http.get("/readyz")
            assert (answer.status_code, answer.json()["status"]) == (200, "ready"), answer.text

        await eventually(ready)
        metrics = (await http.get("/metrics")).text
    assert re.search(r"^sema_ready 1\.0$", metrics, re.M)
    undocumented = re.findall(r"^# HELP (sema_\S+) *$", metrics, re.M)
    assert not undocumented, "a metric without a line of help"


async def test_the_public_ports_say_that_they_are_ready_and_what_they_offer(stack: Stack) -> None:
    async with httpx.AsyncClient(base_url=stack.env["SEMA_API_URL"]) as http:
        assert (await http.get("/readyz")).status_code == 200
        paths = (await http.get("/openapi.json")).json()["paths"]
        assert {
            "/v1/messages",
            "/v1/messages/batch",
            "/v1/messages/{id}/events",
            "/v1/webhooks",
        } <= paths.keys()
        page = await http.get("/docs")
        assert page.headers["content-type"].startswith("text/html")
        assert not re.search(r"(src|href)=[\"']https?://", page.text), "an asset from outside"
    async with httpx.AsyncClient(base_url=stack.env["SEMA_DLR_URL"]) as http:
        assert (await http.get("/healthz")).status_code == (await http.get("/readyz")).status_code == 200


async def test_one_trace_runs_through_the_rooms(stack: Stack, shop: Shop, number: Number) -> None:
    hook = await shop.hook()
    trace_id = secrets.token_hex(16)
    sampled = f"00-{trace_id}-{secrets.token_hex(8)}-01"
    answer = await shop.api.post(
        "/v1/messages", {"to": number(), "from": "SEMALINK", "body": "Followed"}, traceparent=sampled
    )
    await hook.gets("message.delivered", answer.json()["id"])

    async def seen() -> None:
        lines = (stack.layout.log / "traces.jsonl").read_text().splitlines()
        spans = [json.loads(line) for line in lines if trace_id in line]
        rooms = {span["service"] for span in spans}
        assert rooms == {"main-api", "sms-worker", "dlr-processor", "webhook-delivery"}
        ids = {span["span_id"] for span in spans}
        roots = [span for span in spans if span["parent_id"] not in ids]
        assert [span["name"] for span in roots] == ["POST /v1/messages"], "one tree"

    await eventually(seen)
    logged = {name for name in SERVICES if trace_id in stack.layout.log_file(name).read_text()}
    assert logged == {"main-api", "sms-worker", "dlr-processor", "webhook-delivery"}


DOORS = {"main-api", "dlr-webhook"}


async def test_each_room_stops_cleanly_under_load_and_nothing_is_lost(stack: Stack, shop: Shop) -> None:
    """All that work behind the doors at once, then both doors."""
    await shop.hook()
    began = datetime.now(UTC)
    rng = random.Random(7)
    async with Load(shop.api, rng, 60.0).running():
        for names in (set(SERVICES) - DOORS, DOORS):
            await asyncio.gather(*(stack.kill(name, number=signal.SIGTERM) for name in names))
            unclean = {name for name in names if exit_codes(stack, name)[-1] != 0}
            assert not unclean, f"{unclean} did not stop cleanly"
    assert all(call.status == 202 for call in shop.api.history)
    report = await check_quiet(stack.env, shop.api.history, 20.0, since=began)
    assert not report.violations, str(report)


def exit_codes(stack: Stack, name: str) -> list[int]:
    """What the room itself says of every end of it: a supervisor that has taken it over from another cannot tell."""
    log = stack.layout.log_file(name).read_text()
    return [json.loads(line)["code"] for line in log.splitlines() if '"event":"stopped"' in line]


async def test_no_log_holds_a_number_a_text_or_a_secret(stack: Stack, shop: Shop, number: Number) -> None:
    """Everything that this run has sent so far, and canaries on the ways that go wrong, against every log and metric.

    ASVS 16.2.5.
    """
    canary = f"canary {secrets.token_hex(8)}"
    hook = await shop.hook()
    to = number()
    accepted = await shop.api.send(to, canary)
    await hook.gets("message.delivered", accepted["id"])
    await shop.api.send("+254719990004", canary)
    await shop.api.post("/v1/messages", {"to": to, "from": "MYBANK", "body": canary})
    await shop.api.post("/v1/messages", {"to": f"{to}999999", "from": "SEMALINK", "body": canary})
    await shop.api.http.get("/v1/messages", params={"to": to})
    await shop.api.http.post("/v1/messages", content=f'{{"body": "{canary}'.encode())
    await shop.api.http.get(f"/v1/messages?key={shop.live_key}")
    async with httpx.AsyncClient(base_url=stack.env["SEMA_DLR_URL"]) as http:
        url = f"/celcom/{stack.env['SEMA_DLR_TOKEN']}"
        await http.post(url, content=f"{canary} {to}".encode())
        await http.post("/celcom/wrong-canary-token", content=canary.encode())
    await shop.api.reaches(accepted["id"], "delivered")
    rows = await shop.db.fetch("SELECT to_msisdn, body FROM orch.sms_messages")
    numbers = {row["to_msisdn"].removeprefix("+") for row in rows}
    private = {
        canary,
        shop.live_key,
        shop.test_key,
        *hook.secrets,
        "wrong-canary-token",
        stack.env["SEMA_DLR_TOKEN"],
    }
    private |= {stack.env[name] for name in stack.env if name.endswith(("_KEY", "_PASSWORD"))}
    private |= {row["body"] for row in rows if len(row["body"]) > 12}
    traces = stack.layout.log / "traces.jsonl"

    async def traced() -> None:
        assert traces.exists()

    await eventually(traced)
    logs = [*(stack.layout.log_file(name) for name in (*SERVICES, "postgres")), traces]
    search = ahocorasick.Automaton()
    for secret in private:
        search.add_word(secret, secret)
    search.make_automaton()
    said = {path.name: path.read_text() for path in logs}
    for name in SERVICES:
        async with httpx.AsyncClient(base_url=ops_url(stack, name)) as http:
            said[f"metrics of {name}"] = (await http.get("/metrics")).text
    for name, text in said.items():
        seen = set(re.findall(r"(?<![0-9a-f-])\d{10,15}(?![0-9a-f-])", text))
        assert not numbers & seen, f"a number in {name}"
        assert not {found for _, found in search.iter(text)}, name
    assert all(path.stat().st_size for path in logs)
