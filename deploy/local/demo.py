"""`make demo`: the main job on a fresh machine, told line by line, up to the customer's signed webhook.

A customer registers a webhook, has a contact list validated and a campaign text judged, and sends an OTP
and a few ordinary texts. The demo is that customer: it runs the receiver and checks every signature with
a library that is not ours. It exits 0 only if a verified `message.delivered` came for every message.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import time
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final

import httpx
import uvicorn
from deploy.local import control, demo_rooms
from deploy.local.credentials import read_env
from standardwebhooks.webhooks import Webhook, WebhookVerificationError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sema_common.platform import logs

# A message's whole way takes well under a second here; a minute forgives a busy machine.
DELIVERED_SECONDS: Final = 60.0
STATUSES: Final = ("sent", "delivered", "failed", "expired")
OTP: Final = {
    "to": "+254712345678",
    "lane": "priority",
    "body": "481 920 is your Sema code, valid for 5 minutes.",
}
TEXTS: Final = (
    {"to": "+254722000101", "body": "Your parcel is at the Kenyatta Avenue counter. Bring your ID."},
    {"to": "+254733000102", "body": "Meter 4471: 52.5 units bought. Asante."},
    {"to": "+254757000103", "body": "Habari! Mkutano ni kesho saa nne, ukumbi wa juu."},
    {
        "to": "+254790000104",
        "body": "Karibu 🎉 Your account is open.",
    },  # one emoji: UCS-2, 70 units a segment
)


@dataclass
class Customer:
    """Who listens: what came signed and verified, by message, in order."""

    secret: str = ""
    facts: dict[str, list[str]] = field(default_factory=dict)
    forged: int = 0
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def take(self, request: Request) -> Response:
        body = await request.body()
        try:
            Webhook(self.secret).verify(body, dict(request.headers))
        except WebhookVerificationError as error:
            self.forged += 1
            tell(f"webhook with a bad signature: {error}")
            return Response(status_code=400)
        fact = json.loads(body)
        message = fact["data"]
        kinds = self.facts.setdefault(message["id"], [])
        if fact["type"] not in kinds:  # at least once: a repeat is allowed, and told once
            kinds.append(fact["type"])
            tell(f"customer ← {fact['type']:<18} {message['to']}  signature verified")
        async with self.changed:
            self.changed.notify_all()
        return Response(status_code=204)

    async def await_delivered(self, ids: list[str]) -> bool:
        """True as soon as every id has its delivered fact; False when the time is over."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(DELIVERED_SECONDS), self.changed:
                await self.changed.wait_for(lambda: not self.missing(ids))
        return not self.missing(ids)

    def missing(self, ids: list[str]) -> list[str]:
        return [one for one in ids if "message.delivered" not in self.facts.get(one, [])]


def main() -> None:
    tell("starting Postgres, Redis, RabbitMQ, the sandbox aggregator and the seven services")
    logs.setup("demo", "error", fd=2)
    layout = control.up(control.find())
    told = asyncio.run(story(read_env(layout.env_file), layout.port("webhook-receiver")))
    if not told:
        sys.exit("The demo did not succeed. Logs: .local/log/, state: make status")
    tell("done. The stack keeps running (make down stops it); try it with the values of .local/stack.env")


async def story(env: dict[str, str], port: int) -> bool:
    """Tells it all; True only if every message was delivered and every webhook verified."""
    customer = Customer()
    headers = {"Authorization": f"Bearer {env['SEMA_API_KEY']}"}
    async with (
        httpx.AsyncClient(base_url=env["SEMA_API_URL"], headers=headers, timeout=10) as api,
        receiver(customer, port),
    ):
        before = await balance(api)
        tell(f"balance {before:,.4f} KES")
        endpoint = await call(
            api,
            "/v1/webhooks",
            {"url": f"http://127.0.0.1:{port}/", "events": [f"message.{status}" for status in STATUSES]},
        )
        customer.secret = endpoint["secret"]
        tell(f"webhook registered: {endpoint['url']}, secret {customer.secret[:9]}…")
        try:
            rooms_answered = await demo_rooms.visit(env, tell)
            ids, cost = await send(api)
            delivered = await customer.await_delivered(ids)
            for one in customer.missing(ids):
                tell(f"no delivered webhook for {one}")
            return delivered and rooms_answered and await account_for(api, env, customer, ids, before - cost)
        finally:
            await api.delete(f"/v1/webhooks/{endpoint['id']}")


async def send(api: httpx.AsyncClient) -> tuple[list[str], Decimal]:
    """One OTP on the priority lane, the rest as a batch; the ids and what they cost."""
    otp = await call(api, "/v1/messages", {"from": "SEMALINK", **OTP})
    batch = await call(
        api, "/v1/messages/batch", {"messages": [{"from": "SEMALINK", **text} for text in TEXTS]}
    )
    messages = [otp, *(item["message"] for item in batch["data"])]
    for message in messages:
        tell(
            f"customer → {message['to']}  {message['mno']}, {message['lane']} lane, {message['encoding']}, "
            f"{message['segments']} segment(s), {message['cost']['amount']} {message['cost']['currency']}"
        )
    return [message["id"] for message in messages], sum(
        (Decimal(message["cost"]["amount"]) for message in messages), Decimal(0)
    )


async def account_for(
    api: httpx.AsyncClient, env: dict[str, str], customer: Customer, ids: list[str], expected: Decimal
) -> bool:
    """The OTP's journey as the API tells it, what the aggregator itself saw, and the money."""
    tell("the OTP's journey:")
    events = (await api.get(f"/v1/messages/{ids[0]}/events")).raise_for_status().json()["data"]
    for event in events:
        tell(f"    {event['occurred_at']}  {event['status']:<10} {event['source']}")
    received = (
        (await api.get(f"{env['SEMA_SANDBOX_URL']}/_received/celcom")).raise_for_status().json()["data"]
    )
    wanted = [OTP["to"], *(text["to"] for text in TEXTS)]
    seen = [submit["to"] for submit in received][-len(wanted) :]
    after = await balance(api)
    tell(f"the aggregator took {len(seen)} submits from us; balance {after:,.4f} KES")
    checks = {
        "a webhook had a bad signature": customer.forged == 0,
        "the aggregator saw other recipients": sorted(seen) == sorted(wanted),
        f"the balance should be {expected}": after == expected,
    }
    for complaint, fine in checks.items():
        if not fine:
            tell(complaint)
    return all(checks.values())


async def balance(api: httpx.AsyncClient) -> Decimal:
    return Decimal((await api.get("/v1/balance")).raise_for_status().json()["balance"]["amount"])


async def call(api: httpx.AsyncClient, path: str, body: dict[str, Any]) -> dict[str, Any]:
    """POST with an Idempotency-Key, as every customer should."""
    response = await api.post(path, json=body, headers={"Idempotency-Key": uuid.uuid4().hex})
    if response.is_error:
        raise SystemExit(f"POST {path} answered {response.status_code}: {response.text}")
    answer: dict[str, Any] = response.json()
    return answer


@contextlib.asynccontextmanager
async def receiver(customer: Customer, port: int) -> AsyncIterator[None]:
    """The customer's own server."""
    app = Starlette(routes=[Route("/", customer.take, methods=["POST"])])
    server = uvicorn.Server(uvicorn.Config(app, port=port, log_level="warning", access_log=False))
    serving = asyncio.create_task(server.serve())
    while not server.started and not serving.done():  # noqa: ASYNC110 - uvicorn offers no event
        await asyncio.sleep(0.01)
    try:
        yield
    finally:
        server.should_exit = True
        await serving


_STARTED: Final = time.monotonic()


def tell(line: str) -> None:
    print(f"{time.monotonic() - _STARTED:6.2f} s  {line}", flush=True)


if __name__ == "__main__":
    main()
