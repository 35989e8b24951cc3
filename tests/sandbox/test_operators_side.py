"""What tests and benches hold in their hands: the script, the witness, the webhook receiver."""

import base64
import contextlib
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from deploy.sandbox.app import Sandbox
from deploy.sandbox.control import Script
from deploy.sandbox.witness import Witness
from tests.sandbox.conftest import Stand

DEFAULTS: dict[str, Any] = {
    "latency_ms": 0,
    "error_rate": 0,
    "timeout_rate": 0,
    "mode": "ok",
    "dlr": {
        "enabled": True,
        "delay_ms": 0,
        "duplicate": 0,
        "shuffle": False,
        "drop_rate": 0,
        "before_response": False,
    },
}


@contextlib.asynccontextmanager
async def in_process(sandbox: Sandbox | None = None) -> AsyncIterator[httpx.AsyncClient]:
    sandbox = sandbox or Sandbox()
    transport = httpx.ASGITransport(app=sandbox)
    async with sandbox.running(), httpx.AsyncClient(transport=transport, base_url="http://sandbox") as client:
        yield client


async def test_a_script_is_changed_in_part_shown_and_reset() -> None:
    async with in_process() as client:
        assert (await client.get("/_control/celcom")).json() == DEFAULTS
        changed = await client.put("/_control/celcom", json={"latency_ms": 20, "dlr": {"delay_ms": 5}})
        assert (changed.status_code, changed.json()["dlr"]["delay_ms"]) == (200, 5)
        await client.put("/_control/celcom", json={"mode": "refuse", "dlr": {"shuffle": True}})
        shown = (await client.get("/_control/celcom")).json()
        assert (shown["latency_ms"], shown["mode"]) == (20, "refuse")
        assert (shown["dlr"]["delay_ms"], shown["dlr"]["shuffle"]) == (5, True)
        assert (await client.post("/_control/celcom/reset")).json() == DEFAULTS
        assert (await client.get("/_control/celcom")).json() == DEFAULTS


@pytest.mark.parametrize(
    ("script", "fields"),
    [
        ({"mode": "sulk"}, {"mode"}),
        ({"latency_ms": -1, "error_rate": 1.1}, {"latency_ms", "error_rate"}),
        ({"latency_ms": "20"}, {"latency_ms"}),
        ({"latencyms": 20}, {"latencyms"}),
        ({"dlr": {"delay": 1, "drop_rate": 2}}, {"dlr.delay", "dlr.drop_rate"}),
        ({"dlr": None}, {"dlr"}),
        ([], {""}),
    ],
)
async def test_wrong_values_are_named_and_change_nothing(script: Any, fields: set[str]) -> None:
    async with in_process() as client:
        answer = await client.put("/_control/celcom", json=script)
        assert answer.status_code == 422
        assert {error["field"] for error in answer.json()["errors"]} == fields
        assert (await client.put("/_control/celcom", content=b"{")).status_code == 422
        assert (await client.get("/_control/celcom")).json() == DEFAULTS


async def test_nobody_else_is_simulated() -> None:
    async with in_process() as client:
        for method, path in (
            ("GET", "/_control/nobody"),
            ("PUT", "/_control/nobody"),
            ("POST", "/_control/nobody/reset"),
            ("GET", "/_control/nobody/stats"),
            ("GET", "/_received/nobody"),
        ):
            assert (await client.request(method, path)).status_code == 404
        assert (await client.get("/healthz")).text == "ok"


@given(
    st.dictionaries(
        st.sampled_from(["mode", "latency_ms", "dlr", "x"]), st.none() | st.integers() | st.text()
    )
)
def test_a_script_takes_anything_and_refuses_what_is_wrong(changes: dict[str, Any]) -> None:
    with contextlib.suppress(ValidationError):
        assert isinstance(Script().changed(changes), Script)


async def test_the_witness_is_read_in_pages_without_gap_or_double() -> None:
    sandbox = Sandbox()
    witness = sandbox.simulated["celcom"].witness
    witness.accept([(at, f"+2547{at:08d}", 'Ha"bari €\n') for at in range(1, 2501)], 1_795_000_000.123)
    async with in_process(sandbox) as client:
        seen: list[dict[str, Any]] = []
        while True:
            since = seen[-1]["seq"] if seen else 0
            answer = await client.get("/_received/celcom", params={"since": since, "limit": 999})
            page = answer.json()["data"]
            if not page:
                break
            assert len(page) <= 999
            seen += page
        assert [entry["seq"] for entry in seen] == list(range(1, 2501))
        assert seen[0] == {
            "seq": 1,
            "client_id": 1,
            "to": "+254700000001",
            "text": 'Ha"bari €\n',
            "at": "2026-11-18T11:06:40.123Z",
        }
        assert len((await client.get("/_received/celcom")).json()["data"]) == 2500
        assert (await client.get("/_received/celcom?since=9999")).json() == {"data": []}
        assert len((await client.get("/_received/celcom?since=-5&limit=1")).json()["data"]) == 1
        assert (await client.get("/_received/celcom?since=x")).status_code == 422


def test_a_long_book_is_no_slower_to_write_or_read() -> None:
    witness = Witness()
    entries = [(at, "+254712345678", "Habari") for at in range(20)]
    for _ in range(5_000):
        witness.accept(entries, 1_795_000_000.0)
    started = time.process_time()
    assert witness.read(len(witness) - 10, 20).count(b'"seq"') == 10
    assert time.process_time() - started < 0.05
    witness.close()


async def test_a_hook_keeps_exactly_what_came() -> None:
    async with in_process() as client:
        body = b'{"type":"message.delivered"}\xff'
        for _ in range(2):
            await client.post("/_hooks/demo", content=body, headers={"webhook-id": "evt_1"})
        first, second = (await client.get("/_hooks/demo")).json()["data"]
        assert base64.b64decode(first["body_base64"]) == body
        assert (first["headers"]["webhook-id"], first["answered"], first["seq"]) == ("evt_1", 200, 1)
        assert (await client.get("/_hooks/demo?since=1")).json()["data"] == [second]
        assert (await client.get("/_hooks/other")).json() == {"data": []}
        assert (await client.get("/_hooks/demo?since=x")).status_code == 422
        assert (await client.post("/_hooks/demo", content=b"x" * (2**20 + 1))).status_code == 413


async def test_a_hook_answers_as_scripted() -> None:
    async with in_process() as client:
        scripted = await client.put("/_control/hooks/demo", json={"status": 410, "latency_ms": 50})
        assert scripted.json() == {"status": 410, "latency_ms": 50}
        started = time.monotonic()
        assert (await client.post("/_hooks/demo", content=b"{}")).status_code == 410
        assert time.monotonic() - started >= 0.05
        assert (await client.get("/_control/hooks/demo")).json() == {"status": 410, "latency_ms": 50}
        wrong = await client.put("/_control/hooks/demo", json={"status": 99, "body": ""})
        assert {error["field"] for error in wrong.json()["errors"]} == {"status", "body"}


async def test_the_whole_sandbox_opens_and_closes(stand: Stand) -> None:
    assert (await stand.client.get("/healthz")).status_code == 200


async def test_each_aggregator_has_a_script_and_a_book_of_its_own() -> None:
    async with in_process() as client:
        await client.put("/_control/africastalking", json={"mode": "refuse"})
        assert (await client.get("/_control/africastalking")).json() == DEFAULTS | {"mode": "refuse"}
        assert (await client.get("/_control/celcom")).json() == DEFAULTS
        assert (await client.get("/_received/africastalking")).json() == {"data": []}


def test_reports_of_all_aggregators_never_go_to_one_address() -> None:
    with pytest.raises(ValueError, match="aggregator"):
        Sandbox("http://127.0.0.1/celcom/token")
