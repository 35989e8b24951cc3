"""Sema Link from outside: a customer's client that writes its history down, and the sandbox's operator.

The client is an honest one: it sends with an Idempotency-Key, and after a timeout, a lost connection or a 503 it
asks again with the same key. What it is never told stays "maybe" in its history, and the checker resolves it.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final, Literal, Self, TypeVar
from urllib.parse import urlsplit
from uuid import UUID

import httpx

AGGREGATORS: Final = ("celcom", "africastalking")
FINAL: Final = frozenset({"delivered", "failed", "expired"})
ANSWER_SECONDS: Final = 10.0
"""Longer than any answer may take: what is later is a hang, and shows as one."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Call:
    """One message that a client asked for, and what it was told. `status` None: nothing certain."""

    account_id: UUID
    text: tuple[str, str]
    key: str | None
    status: int | None
    message_id: UUID | None = None
    code: str | None = None


@dataclass
class Client:
    """One account's API key. Every send is in `history`, which several clients may share."""

    http: httpx.AsyncClient
    account_id: UUID
    history: list[Call] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    """Answers that no fault of a dependency excuses; `insist` goes on after them."""

    @classmethod
    @asynccontextmanager
    async def open(
        cls, url: str, key: str | None, account_id: UUID | str, history: list[Call] | None = None
    ) -> AsyncIterator[Self]:
        headers = {} if key is None else {"authorization": f"Bearer {key}"}
        limits = httpx.Limits(max_connections=256, max_keepalive_connections=64)
        async with httpx.AsyncClient(
            base_url=url, headers=headers, timeout=ANSWER_SECONDS, limits=limits
        ) as http:
            yield cls(http, UUID(str(account_id)), [] if history is None else history)

    async def post(
        self, path: str, body: Any = None, key: str | None = None, **headers: str
    ) -> httpx.Response:
        """Any POST; a send is written down."""
        if key is not None:
            headers["idempotency-key"] = key
        try:
            answer = await self.http.post(path, json=body, headers=headers)
        except httpx.TransportError:
            self._note(path, body, key, None)
            raise
        self._note(path, body, key, answer)
        return answer

    async def get(self, path: str, **query: Any) -> Any:
        """The JSON of a successful GET."""
        answer = await self.http.get(path, params=query)
        assert answer.status_code == 200, f"{path}: {answer.status_code} {answer.text}"
        return answer.json()

    async def send(self, to: str, body: str, sender: str = "SEMALINK", **more: Any) -> dict[str, Any]:
        """One accepted message; AssertionError with the problem when it is not."""
        key = more.pop("key", None)
        answer = await self.post("/v1/messages", {"to": to, "from": sender, "body": body, **more}, key)
        assert answer.status_code == 202, f"{answer.status_code} {answer.text}"
        message: dict[str, Any] = answer.json()
        return message

    async def insist(self, body: Mapping[str, Any], key: str, seconds: float = 60.0) -> httpx.Response | None:
        """Send until there is a certain answer, as an honest client does; None when the time is over."""
        deadline = time.monotonic() + seconds
        pause = 0.05
        while time.monotonic() < deadline:
            try:
                answer = await self.http.post("/v1/messages", json=body, headers={"idempotency-key": key})
            except httpx.TransportError:
                pass
            else:
                if answer.status_code >= 500 and answer.status_code != 503:
                    self.broken.append(f"{answer.status_code} {answer.text[:200]}")
                elif answer.status_code not in (409, 429, 503):
                    self._note("/v1/messages", body, key, answer)
                    return answer
            await asyncio.sleep(pause)
            pause = min(pause * 2, 1.0)
        self._note("/v1/messages", body, key, None)
        return None

    async def message(self, message_id: str) -> dict[str, Any]:
        found: dict[str, Any] = await self.get(f"/v1/messages/{message_id}")
        return found

    async def events(self, message_id: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = (await self.get(f"/v1/messages/{message_id}/events"))["data"]
        return found

    async def reaches(self, message_id: str, *wanted: str, seconds: float = 20.0) -> dict[str, Any]:
        """The message as soon as it has one of these statuses (without any: a final one)."""

        async def look() -> dict[str, Any]:
            message = await self.message(message_id)
            assert message["status"] in (wanted or FINAL), message
            return message

        return await eventually(look, seconds)

    def _note(self, path: str, body: Any, key: str | None, answer: httpx.Response | None) -> None:
        """Write a send down. 409 and `outcome_unknown` tell nothing certain; a 5xx bug does not either."""
        if path == "/v1/messages":
            self._note_one(body, key, *_verdict(answer))
        elif path == "/v1/messages/batch" and isinstance(body, dict):
            status, _, code = _verdict(answer)
            results = answer.json()["data"] if answer is not None and status == 202 else []
            ids = {item["index"]: UUID(item["message"]["id"]) for item in results if "message" in item}
            for index, item in enumerate(body["messages"] if isinstance(body.get("messages"), list) else ()):
                message_id = ids.get(index)
                told = status if status != 202 or message_id is not None else 422
                self._note_one(item, key and f"{key}#{index}", told, message_id, code)

    def _note_one(
        self, body: Any, key: str | None, status: int | None, message_id: UUID | None, code: str | None
    ) -> None:
        if isinstance(body, dict) and isinstance(body.get("to"), str) and isinstance(body.get("body"), str):
            text = (body["to"], body["body"])
            self.history.append(Call(self.account_id, text, key, status, message_id, code))


def _verdict(answer: httpx.Response | None) -> tuple[int | None, UUID | None, str | None]:
    if answer is None:
        return None, None, None
    body = answer.json() if "json" in answer.headers.get("content-type", "") else {}
    code = body.get("code")
    if answer.status_code == 202:
        return 202, UUID(body["id"]) if "id" in body else None, None
    uncertain = answer.status_code in (409, 500) or code == "outcome_unknown"
    return None if uncertain else answer.status_code, None, code


@dataclass
class Sandbox:
    """The sandbox's own doors: script, witness, webhook receivers."""

    http: httpx.AsyncClient

    @classmethod
    @asynccontextmanager
    async def open(cls, url: str) -> AsyncIterator[Self]:
        async with httpx.AsyncClient(base_url=url, timeout=30.0) as http:
            yield cls(http)

    @asynccontextmanager
    async def scripted(
        self, *aggregators: Literal["celcom", "africastalking"], **script: Any
    ) -> AsyncIterator[None]:
        """These behave like this inside the block, and well again after it; without any name: both."""
        names = aggregators or AGGREGATORS
        try:
            for name in names:
                answer = await self.http.put(f"/_control/{name}", json=script)
                assert answer.status_code == 200, answer.text
            yield
        finally:
            for name in names:
                await self.http.post(f"/_control/{name}/reset")

    async def answer_hook(self, name: str, status: int = 200, latency_ms: float = 0.0) -> None:
        """How receiver `name` answers from now on."""
        script = {"status": status, "latency_ms": latency_ms}
        answer = await self.http.put(f"/_control/hooks/{name}", json=script)
        assert answer.status_code == 200, answer.text

    def hook_url(self, name: str) -> str:
        return f"{self.http.base_url}".rstrip("/") + f"/_hooks/{name}"

    async def received(self, name: str) -> list[dict[str, Any]]:
        """What receiver `name` got, oldest first."""
        data: list[dict[str, Any]] = (await self.http.get(f"/_hooks/{name}")).json()["data"]
        return data

    async def witness(self, since: int = 0, aggregator: str = "celcom") -> list[dict[str, Any]]:
        """All that this aggregator accepted, in order."""
        found: list[dict[str, Any]] = []
        path = f"/_received/{aggregator}"
        while page := (await self.http.get(path, params={"since": since})).json()["data"]:
            found += page
            since = page[-1]["seq"]
        return [{**entry, "aggregator": aggregator} for entry in found]

    async def witnesses(self) -> list[dict[str, Any]]:
        """All that any aggregator accepted."""
        return [entry for name in AGGREGATORS for entry in await self.witness(aggregator=name)]


def verify(receipt: Mapping[str, Any], secret: str, tolerance: float = 300.0) -> dict[str, Any]:
    """The event inside a webhook whose Standard Webhooks signature is right; ValueError when it is not.

    Written from the specification, not from our own code: `v1,` base64 of HMAC-SHA256 over `id.timestamp.body`
    with the decoded secret; several signatures are separated by spaces.
    """
    headers = receipt["headers"]
    body = base64.b64decode(receipt["body_base64"])
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    key = base64.b64decode(secret.removeprefix("whsec_"))
    right = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    given = [
        part.partition(",")[2] for part in headers["webhook-signature"].split(" ") if part.startswith("v1,")
    ]
    if not any(hmac.compare_digest(right, one) for one in given):
        raise ValueError("the signature is not of this secret")
    if abs(time.time() - int(headers["webhook-timestamp"])) > tolerance:
        raise ValueError("the timestamp is too far from now")
    event: dict[str, Any] = json.loads(body)
    return event


async def queue_depths(env: Mapping[str, str]) -> dict[str, int]:
    """Messages in every queue, ready or unacknowledged, as RabbitMQ counts them at this moment."""
    address = urlsplit(env["AMQP_URL"])
    auth = (address.username or "", address.password or "")
    async with httpx.AsyncClient(base_url=env["RABBITMQ_MANAGEMENT_URL"], auth=auth, timeout=30.0) as http:
        answer = await http.get("/api/queues", params={"columns": "name,messages"})
        assert answer.status_code == 200, answer.text
        return {queue["name"]: queue.get("messages", 0) for queue in answer.json()}


async def eventually(check: Callable[[], Awaitable[T]], seconds: float = 20.0) -> T:
    """Polls an async assertion until it holds; its last AssertionError when the time is over."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return await check()
        except AssertionError:
            if time.monotonic() > deadline:
                raise
        await asyncio.sleep(0.05)
