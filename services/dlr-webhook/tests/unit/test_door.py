"""The door against an imagined broker; the real one is in tests/integration."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from sema_common.values.errors import BrokerUnavailable, Overloaded
from sema_common.wire.dlr import RawDlr
from sema_dlr_webhook import endpoints, rules
from sema_dlr_webhook.endpoints import Door

TOKEN = "t" * 24
PATH = f"/celcom/{TOKEN}"


class Broker:
    """Remembers what was submitted, or refuses it."""

    def __init__(self) -> None:
        self.reports: list[RawDlr] = []
        self.trouble: Exception | None = None

    async def submit(self, report: RawDlr) -> None:
        if self.trouble is not None:
            raise self.trouble
        self.reports.append(report)

    async def check(self) -> None:
        if self.trouble is not None:
            raise self.trouble


@pytest.fixture
def broker() -> Broker:
    return Broker()


@pytest.fixture
def door(broker: Broker) -> Door:
    return Door({"celcom": (TOKEN,)}, broker.submit, broker.check, max_held_bytes=1024 * 1024)


@pytest.fixture
async def http(door: Door) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(door)
    async with httpx.AsyncClient(transport=transport, base_url="http://door") as client:
        yield client


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("application/json", b'{"messageid": "1"}'),
        ("application/x-www-form-urlencoded", b"id=ATXid_1&status=Success"),
        ("text/html", b"<html>gateway error</html>"),
        ("application/json", b'{"cut off'),
        ("", b"\xff\x00\xfe"),
        ("application/octet-stream", b""),
    ],
)
async def test_any_body_of_any_type_is_taken_as_it_came(
    http: httpx.AsyncClient, broker: Broker, content_type: str, body: bytes
) -> None:
    answer = await http.post(
        PATH, content=body, headers={"content-type": content_type} if content_type else {}
    )
    assert (answer.status_code, answer.text) == (200, "OK")
    (report,) = broker.reports
    assert (report.aggregator, report.source, report.content_type, report.body) == (
        "celcom",
        "push",
        content_type,
        body,
    )


async def test_get_carries_its_report_in_the_query(http: httpx.AsyncClient, broker: Broker) -> None:
    assert (await http.get(PATH + "?id=1&status=Sent%20to%20network")).status_code == 200
    assert broker.reports[0].query == "id=1&status=Sent%20to%20network"
    assert broker.reports[0].traceparent


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/celcom",
        "/celcom/",
        f"/celcom/{TOKEN[1:]}",
        f"/nobody/{TOKEN}",
        PATH + "/",
        PATH + "/x",
        "//" + TOKEN,
    ],
)
async def test_a_wrong_token_or_name_is_not_found_and_not_repeated(
    http: httpx.AsyncClient, broker: Broker, path: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """OWASP API10:2023."""
    answer = await http.post(path, content=b"{}")
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["code"] == "not_found"
    assert TOKEN not in answer.text
    assert TOKEN not in "".join(capfd.readouterr())
    assert not broker.reports


async def test_other_methods_are_refused(http: httpx.AsyncClient) -> None:
    answer = await http.put(PATH)
    assert answer.status_code == 405
    assert answer.headers["allow"] == "GET, POST"


@pytest.mark.parametrize(("over", "status"), [(0, 200), (1, 413)])
async def test_the_limit_is_256_kib_to_the_byte(http: httpx.AsyncClient, over: int, status: int) -> None:
    answer = await http.post(PATH, content=bytes(rules.MAX_BODY + over))
    assert answer.status_code == status


async def call(door: Door, chunks: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], int]:
    """The door as the server calls it: what it sent, and how many chunks it left unread."""
    sent: list[dict[str, Any]] = []
    left = list(chunks)

    async def receive() -> dict[str, Any]:
        if left:
            return left.pop(0)
        await asyncio.Event().wait()
        raise AssertionError("unreachable")

    async def send(event: Any) -> None:
        sent.append(event)

    scope = {"type": "http", "method": "POST", "path": PATH, "query_string": b"", "headers": []}
    await door(scope, receive, send)
    return sent, len(left)


async def test_a_stream_that_is_too_long_is_cut(door: Door) -> None:
    chunk = {"type": "http.request", "body": bytes(64 * 1024), "more_body": True}
    sent, unread = await call(door, [chunk] * 50)
    assert sent[0]["status"] == 413
    assert (b"connection", b"close") in sent[0]["headers"]
    assert unread == 45


async def test_a_caller_who_leaves_is_not_answered(door: Door, broker: Broker) -> None:
    part = {"type": "http.request", "body": b"{", "more_body": True}
    sent, _ = await call(door, [part, {"type": "http.disconnect"}])
    assert not sent
    assert not broker.reports


async def test_a_body_that_trickles_is_given_up(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoints, "BODY_SECONDS", 0.01)
    sent, _ = await call(door, [{"type": "http.request", "body": b"{", "more_body": True}])
    assert sent[0]["status"] == 408


@pytest.mark.parametrize(
    ("trouble", "code"),
    [(BrokerUnavailable("away"), "unavailable"), (Overloaded("full", after=1.0), "overloaded")],
)
async def test_what_the_broker_did_not_confirm_is_503_with_retry_after(
    http: httpx.AsyncClient, broker: Broker, trouble: Exception, code: str
) -> None:
    broker.trouble = trouble
    answer = await http.post(PATH, content=b"{}")
    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) >= 1
    assert answer.json()["code"] == code
    broker.trouble = None
    assert (await http.post(PATH, content=b"{}")).status_code == 200


async def test_memory_is_bounded_by_the_bytes_in_hand_and_given_back(broker: Broker) -> None:
    taken, gate = asyncio.Event(), asyncio.Event()

    async def held(report: RawDlr) -> None:
        taken.set()
        await gate.wait()

    door = Door({"celcom": (TOKEN,)}, held, broker.check, max_held_bytes=rules.MAX_BODY)
    body = {"type": "http.request", "body": bytes(rules.MAX_BODY), "more_body": False}
    first = asyncio.create_task(call(door, [body]))
    await taken.wait()
    (refused, _) = await call(door, [body])
    assert refused[0]["status"] == 503
    gate.set()
    assert (await first)[0][0]["status"] == 200
    assert (await call(door, [body]))[0][0]["status"] == 200


async def test_health_and_readiness_answer_on_the_public_port(
    http: httpx.AsyncClient, broker: Broker
) -> None:
    broker.trouble = BrokerUnavailable("away")
    assert (await http.get("/healthz")).status_code == 200
    assert (await http.get("/readyz")).status_code == 503
    broker.trouble = None
    assert (await http.get("/readyz")).status_code == 200


async def test_problems_are_rfc_9457_without_the_path(http: httpx.AsyncClient) -> None:
    problem = json.loads((await http.post(PATH[:-1], content=b"{}")).text)
    assert problem.keys() == {"type", "title", "status", "detail", "code"}
