"""The edge with routes of its own: what every request meets before and after its handler."""

import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, cast

import httpx
import pytest
from starlette.responses import Response
from starlette.types import Message, Scope

from sema_common.platform.ops import Readiness
from sema_common.platform.runtime import Room
from sema_common.platform.settings import RoomSettings
from sema_common.platform.telemetry import traceparent
from sema_common.values.errors import Overloaded
from sema_common.values.ids import api_key
from sema_main_api.http import docs, lingering, public
from sema_main_api.http.auth import Authenticator
from sema_main_api.http.bodies import Body, read_body
from sema_main_api.http.middleware import Edge
from sema_main_api.http.requests import Request
from sema_main_api.http.responses import json_response
from sema_main_api.http.routing import Operation, bind

KB = 1024


class Note(Body):
    text: str


async def echo(_: None, request: Request) -> Response:
    note = await read_body(request, Note)
    return json_response({"text": note.text, "traceparent": traceparent()})


async def show(_: None, request: Request) -> Response:
    return json_response({"id": request.path_id()})


async def crash(_: None, __: Request) -> Response:
    raise RuntimeError("a secret of ours")


async def overloaded(_: None, __: Request) -> Response:
    raise Overloaded("full")


OPERATIONS = (
    Operation("POST", "/v1/notes", echo, "", "T", public=True, max_body=KB),
    Operation("GET", "/v1/notes/{id}", show, "", "T", public=True),
    Operation("GET", "/v1/crash", crash, "", "T", public=True),
    Operation("GET", "/v1/overloaded", overloaded, "", "T", public=True),
    Operation("GET", "/v1/closed", show, "", "T"),
)


def edge() -> Edge:
    nobody = cast(Authenticator, None)
    health = public.Deps(lambda: ("ready", {}), OPERATIONS, "1.2.3", {})
    routes = [*bind(OPERATIONS, None), *bind(public.OPERATIONS, health)]
    return Edge(routes, nobody, ["https://app.example.com"])


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(edge(), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://api") as client:
        yield client


def code_of(response: httpx.Response) -> str:
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json()
    assert problem["status"] == response.status_code
    assert problem["request_id"] == response.headers["x-request-id"]
    return str(problem["code"])


async def test_a_request_gets_its_answer_and_the_headers_that_every_answer_bears(
    client: httpx.AsyncClient,
) -> None:
    """OWASP API8:2023, ASVS 3.4.3."""
    response = await client.post("/v1/notes", json={"text": "hi"})
    assert response.status_code == 200
    assert response.json()["text"] == "hi"
    assert len(response.headers["x-request-id"]) == 32
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["content-security-policy"].startswith("default-src 'none'")


async def test_a_sane_request_id_is_the_callers_and_another_is_replaced(client: httpx.AsyncClient) -> None:
    kept = await client.get("/healthz", headers={"x-request-id": "abc-1.2_3"})
    assert kept.headers["x-request-id"] == "abc-1.2_3"
    replaced = await client.get("/healthz", headers={"x-request-id": "two words"})
    assert len(replaced.headers["x-request-id"]) == 32


async def test_the_callers_trace_is_continued(client: httpx.AsyncClient) -> None:
    trace = "0af7651916cd43dd8448eb211c80319c"
    headers = {"traceparent": f"00-{trace}-b7ad6b7169203331-01"}
    response = await client.post("/v1/notes", json={"text": "hi"}, headers=headers)
    assert response.json()["traceparent"].split("-")[1] == trace


@pytest.mark.parametrize("header", ["nonsense", "00-0-0-0", "00-" + "0" * 32 + "-b7ad6b7169203331-01"])
async def test_a_malformed_trace_is_ignored(client: httpx.AsyncClient, header: str) -> None:
    response = await client.post("/v1/notes", json={"text": "hi"}, headers={"traceparent": header})
    assert response.status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/", 404, "not_found"),
        ("GET", "/v1/notes/", 404, "not_found"),
        ("GET", "/v1/notes/1/2", 404, "not_found"),
        ("GET", "/v1/notes/not-a-uuid", 404, "not_found"),
        ("GET", "/v1/notes", 405, "method_not_allowed"),
        ("DELETE", "/v1/notes", 405, "method_not_allowed"),
        ("BREW", "/v1/notes", 405, "method_not_allowed"),
        ("GET", "/v1/closed", 401, "unauthenticated"),
        ("GET", "/v1/overloaded", 503, "overloaded"),
        ("GET", "/v1/crash", 500, "internal_error"),
    ],
)
async def test_every_failure_is_a_problem(
    client: httpx.AsyncClient, method: str, path: str, status: int, code: str
) -> None:
    response = await client.request(method, path)
    assert (response.status_code, code_of(response)) == (status, code)
    assert "a secret of ours" not in response.text


async def test_405_says_what_is_allowed_and_options_answers_the_same(client: httpx.AsyncClient) -> None:
    assert (await client.get("/v1/notes")).headers["allow"] == "POST"
    options = await client.options("/v1/notes")
    assert (options.status_code, options.headers["allow"]) == (204, "POST")


async def test_head_is_get_without_a_body(client: httpx.AsyncClient) -> None:
    assert (await client.head("/healthz")).status_code == 200


@pytest.mark.parametrize(
    ("content_type", "status"),
    [
        ("application/json", 200),
        ("application/json; charset=utf-8", 200),
        ("Application/JSON;charset=UTF-8", 200),
        ("application/json; charset=utf-16", 415),
        ("text/plain", 415),
        ("application/x-www-form-urlencoded", 415),
        ("application/jsonp", 415),
        ("", 415),
    ],
)
async def test_only_json_is_taken(client: httpx.AsyncClient, content_type: str, status: int) -> None:
    response = await client.post(
        "/v1/notes", content=b'{"text": "x"}', headers={"content-type": content_type}
    )
    assert response.status_code == status


def body_of(size: int) -> bytes:
    frame = b'{"text": ""}'
    return b'{"text": "' + b"x" * (size - len(frame)) + b'"}'


async def test_a_body_of_exactly_the_limit_passes_and_one_more_byte_does_not(
    client: httpx.AsyncClient,
) -> None:
    headers = {"content-type": "application/json"}
    assert (await client.post("/v1/notes", content=body_of(KB), headers=headers)).status_code == 200
    response = await client.post("/v1/notes", content=body_of(KB + 1), headers=headers)
    assert (response.status_code, code_of(response)) == (413, "body_too_large")


async def test_a_stream_without_end_is_answered_and_then_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lingering, "LINGER_BYTES", 4 * KB)
    taken = 0

    async def receive() -> Message:
        nonlocal taken
        taken += 512
        return {"type": "http.request", "body": b"x" * 512, "more_body": True}

    sent = await call(
        edge(), receive, [(b"transfer-encoding", b"chunked"), (b"content-type", b"application/json")]
    )
    assert sent[0]["status"] == 413
    assert (b"connection", b"close") in sent[0]["headers"]
    assert [message["more_body"] for message in sent[1:]] == [True, False]
    assert taken <= (1 + 4 + 1) * KB


@pytest.mark.parametrize("path", ["/v1/notes", "/nowhere", "/v1/closed"])
async def test_a_client_that_streams_too_much_still_reads_its_answer(path: str) -> None:
    """Over a real socket: hanging up at once would reset the connection under the answer."""

    async def three_megabytes() -> AsyncIterator[bytes]:
        for _ in range(3 * KB):
            yield b"x" * KB

    room = Room("main-api", RoomSettings(environment="test", amqp_url="amqp://nowhere/"), Readiness())
    port = await room.serve_http(edge(), "127.0.0.1", 0)
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
        headers = {"content-type": "application/json"}
        response = await client.post(path, content=three_megabytes(), headers=headers)
    assert await room.close(time.monotonic() + 5) == []
    assert response.status_code in (413, 404, 405)
    assert response.headers["connection"] == "close"


async def test_a_client_that_leaves_is_no_error() -> None:
    async def receive() -> Message:
        return {"type": "http.disconnect"}

    assert await call(edge(), receive, [(b"content-type", b"application/json")]) == []


async def call(
    app: Edge, receive: Callable[[], Awaitable[Message]], headers: list[tuple[bytes, bytes]]
) -> list[Message]:
    """One POST /v1/notes below the client library, for what a client library does not do."""
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    scope: Scope = {
        "type": "http",
        "method": "POST",
        "path": "/v1/notes",
        "query_string": b"",
        "headers": headers,
        "client": ("192.0.2.1", 1),
    }
    await app(scope, receive, send)
    return sent


@pytest.mark.parametrize("where", ["/v1/notes?key={key}", "/v1/notes/{key}", "/nowhere?x=y&token={key}"])
async def test_a_key_in_a_url_is_refused_and_its_owner_told(client: httpx.AsyncClient, where: str) -> None:
    """ASVS 14.2.1."""
    key = api_key("live").text
    response = await client.get(where.format(key=key))
    assert (response.status_code, code_of(response)) == (400, "credentials_in_url")
    assert key not in response.text


async def test_pages_of_known_origins_may_call(client: httpx.AsyncClient) -> None:
    origin = {"origin": "https://app.example.com"}
    preflight = await client.options("/v1/notes", headers=origin | {"access-control-request-method": "POST"})
    assert preflight.status_code == 204
    assert preflight.headers["access-control-allow-origin"] == "https://app.example.com"
    assert "idempotency-key" in preflight.headers["access-control-allow-headers"]
    response = await client.post("/v1/notes", json={"text": "x"}, headers=origin)
    assert response.headers["access-control-allow-origin"] == "https://app.example.com"
    assert response.headers["vary"] == "origin"


async def test_pages_of_other_origins_may_not(client: httpx.AsyncClient) -> None:
    """OWASP API8:2023, ASVS 3.4.2."""
    response = await client.options("/v1/notes", headers={"origin": "https://evil.example"})
    assert "access-control-allow-origin" not in response.headers


async def test_health_and_readiness_on_the_public_port(client: httpx.AsyncClient) -> None:
    assert (await client.get("/healthz")).text == "ok"
    assert (await client.get("/readyz")).json() == {"status": "ready"}


async def test_the_docs_need_nothing_from_outside(client: httpx.AsyncClient) -> None:
    document: dict[str, Any] = json.loads((await client.get("/openapi.json")).text)
    assert document["openapi"] == "3.1.0"
    assert document["info"]["version"] == "1.2.3"
    page = await client.get("/docs")
    assert page.headers.get_list("content-security-policy") == [docs.CSP]
    assert "<script" not in page.text
    assert "src=" not in page.text
    assert "http://" not in page.text
    assert "POST /v1/notes" in page.text


async def test_two_routes_of_one_name_are_a_mistake() -> None:
    with pytest.raises(ValueError, match="declared twice"):
        Edge(bind((OPERATIONS[0], OPERATIONS[0]), None), cast(Authenticator, None))
