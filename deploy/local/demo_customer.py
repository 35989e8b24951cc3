"""The demo's customer: sends messages, hears of them by webhook, and believes no webhook unverified."""

from __future__ import annotations

import asyncio
import random
import secrets
import time
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

import httpx
from rich.console import Console
from rich.markup import escape
from standardwebhooks import Webhook

JOURNEY_SECONDS: Final = 60.0
"""A message takes half a second; a minute is for a machine that is busy with something else."""

EVENTS: Final = ["message.sent", "message.delivered", "message.failed", "message.expired"]
SENDER: Final = "SEMALINK"

console: Final = Console(highlight=False, soft_wrap=True)


@dataclass
class Sent:
    """One message of the story, and what its customer was told about it."""

    what: str
    message: dict[str, Any]
    answered_ms: float
    trace_id: str
    receipts: dict[str, datetime] = field(default_factory=dict)

    @property
    def delivered(self) -> bool:
        return "message.delivered" in self.receipts


class Story:
    """The customer's side: a key, a webhook, messages. `failures` is what did not happen as it should."""

    def __init__(self, env: dict[str, str], http: httpx.AsyncClient) -> None:
        self.env = env
        self.http = http
        self.sent: list[Sent] = []
        self.failures: list[str] = []
        self.verified = 0
        self._receivers: dict[str, tuple[Webhook, int]] = {}

    async def register(self) -> str:
        """A webhook of this run, and a receiver for a message's own callback_url; the webhook's id."""
        name = f"demo-{secrets.token_hex(4)}"
        answer = await self._post("/v1/webhooks", {"url": self.hook(name), "events": EVENTS})
        answer.raise_for_status()
        self._receivers[name] = (Webhook(answer.json()["secret"]), 0)
        console.print(
            f"  POST /v1/webhooks            → 201, receiver {self.hook(name)}, secret shown this once"
        )
        login = {"email": self.env["SEMA_OWNER_EMAIL"], "password": self.env["SEMA_OWNER_PASSWORD"]}
        token = (await self._post("/v1/auth/login", login)).raise_for_status().json()["access_token"]
        default = await self.http.get(
            "/v1/webhooks/default-secret", headers={"authorization": f"Bearer {token}"}
        )
        self.callback = f"{name}-callback"
        self._receivers[self.callback] = (Webhook(default.raise_for_status().json()["secret"]), 0)
        console.print("  POST /v1/auth/login          → 200, the owner looks up the secret for callback_url")
        identity: str = answer.json()["id"]
        return identity

    def hook(self, name: str) -> str:
        return f"{self.env['SEMA_SANDBOX_URL']}/_hooks/{name}"

    async def send(self, what: str, body: str, **more: Any) -> httpx.Response:
        """One message; its line of the story."""
        headers = {}
        if key := more.pop("key", None):
            headers["idempotency-key"] = key
        if token := more.pop("token", None):
            headers["authorization"] = f"Bearer {token}"
        to, sender = more.pop("to", number()), more.pop("sender", SENDER)
        request = {"to": to, "from": sender, "body": body, **more}
        answer, trace_id, took = await self._timed("/v1/messages", request, headers)
        known = {sent.message["id"] for sent in self.sent}
        if answer.status_code == 202 and answer.json()["id"] not in known:
            self.sent.append(Sent(what, answer.json(), took, trace_id))
        self._say(what, answer, took)
        return answer

    async def send_batch(self, what: str, bodies: list[str]) -> None:
        """One call, several messages, one of them refused: each stands alone."""
        items = [{"to": number(), "from": SENDER, "body": body} for body in bodies]
        items.append({"to": "0712", "from": SENDER, "body": "nobody can be reached there"})
        answer, trace_id, took = await self._timed("/v1/messages/batch", {"messages": items}, {})
        result = answer.raise_for_status().json()
        for item in result["data"]:
            if "message" in item:
                self.sent.append(Sent(f"{what}, item {item['index']}", item["message"], took, trace_id))
        refused = next(item["error"]["code"] for item in result["data"] if "error" in item)
        console.print(
            f"  [green]202[/] {what:<33} {took:6.1f} ms  {result['accepted']} accepted, "
            f"{result['rejected']} refused ({refused})"
        )

    def expect(self, answer: httpx.Response, status: int, code: str | None = None) -> None:
        got = (answer.status_code, answer.json().get("code"))
        if got != (status, code):
            self.failures.append(f"expected {status} {code or ''}, got {got[0]} {got[1] or ''}")

    async def listen(self) -> None:
        """Until every message has its `delivered`: take what receivers got, verify it, say it."""
        deadline = time.monotonic() + JOURNEY_SECONDS
        while time.monotonic() < deadline and not all(sent.delivered for sent in self.sent):
            for name in self._receivers:
                await self._take(name)
            await asyncio.sleep(0.05)
        missing = [sent for sent in self.sent if not sent.delivered]
        self.failures += [f"no verified message.delivered for: {sent.what}" for sent in missing]

    async def _take(self, name: str) -> None:
        webhook, since = self._receivers[name]
        url = self.hook(name)
        for receipt in (await self.http.get(url, params={"since": since})).json()["data"]:
            since = receipt["seq"]
            try:
                event = webhook.verify(receipt["body"], receipt["headers"])
            except Exception as error:
                self.failures.append(f"a webhook's signature is wrong: {error}")
                continue
            self.verified += 1
            found = next((s for s in self.sent if s.message["id"] == event["data"]["id"]), None)
            if found is None:
                continue
            at = datetime.fromisoformat(receipt["at"])
            found.receipts.setdefault(event["type"], at)
            after = milliseconds(datetime.fromisoformat(found.message["created_at"]), at)
            where = "callback_url" if name == self.callback else "webhook"
            console.print(
                f"  [cyan]+{after:6.0f} ms[/]  {event['type']:<18} {where:<13} signature ok   {found.what}"
            )
        self._receivers[name] = (webhook, since)

    async def _timed(
        self, path: str, body: Any, headers: dict[str, str]
    ) -> tuple[httpx.Response, str, float]:
        """A POST in a sampled trace of its own."""
        trace_id = secrets.token_hex(16)
        headers = headers | {"traceparent": f"00-{trace_id}-{secrets.token_hex(8)}-01"}
        started = time.perf_counter()
        answer = await self._post(path, body, headers)
        return answer, trace_id, (time.perf_counter() - started) * 1000

    async def _post(self, path: str, body: Any, headers: dict[str, str] | None = None) -> httpx.Response:
        return await self.http.post(path, json=body, headers=headers)

    def _say(self, what: str, answer: httpx.Response, took: float) -> None:
        body = answer.json()
        colour = "green" if answer.status_code == 202 else "yellow"
        if answer.status_code == 202:
            cost = f"{body['cost']['currency']} {body['cost']['amount']}"
            told = f"{body['lane']}, {body['encoding']} × {body['segments']}, {body['mno']}, {cost}"
            if answer.headers.get("idempotent-replayed"):
                told = "the first answer again (Idempotent-Replayed), nothing charged"
        else:
            told = f"{body['code']}: {body['detail']}"
        console.print(f"  [{colour}]{answer.status_code}[/] {what:<33} {took:6.1f} ms  {escape(told)}")


def number() -> str:
    """Somebody at Safaricom; never one of the magic numbers, which end in 999 and four digits."""
    return f"+25471{random.randrange(990):03}{random.randrange(10**4):04}"


def milliseconds(start: datetime, end: datetime) -> float:
    return (end - start).total_seconds() * 1000
