"""A sandbox behind a real socket, and a receiver of its delivery reports that does as it is told."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

import httpx
import pytest
from starlette.types import Receive, Scope, Send

from deploy.sandbox.app import AFRICASTALKING, CELCOM, Sandbox
from sema_aggregators import (
    AfricasTalking,
    Aggregator,
    Celcom,
    Credentials,
    HttpAnswer,
    HttpCall,
    RawReport,
    Submit,
    SubmitOutcome,
)
from tests.kit.serving import DEADLINE, serving

ADAPTERS: Final[list[tuple[Aggregator, Credentials]]] = [
    (Celcom(), CELCOM),
    (AfricasTalking(bulk=True), AFRICASTALKING),
]
SIMULATED: Final = {adapter.name: (adapter, credentials) for adapter, credentials in ADAPTERS}
"""Each simulated aggregator, by our own adapter and with the account that the sandbox knows."""


@dataclass
class Receiver:
    """Takes reports of `name` as dlr-webhook does: answers `statuses` in turn, then 200."""

    name: str
    bodies: list[bytes] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    refused: int = 0

    def holds(self, count: int) -> bool:
        return len(self.bodies) == count

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        status = self.statuses.pop(0) if self.statuses else 200
        if status == 200 and scope["path"] == f"/{self.name}/token":
            self.bodies.append(body)
        else:
            self.refused += 1
        headers = [(b"content-length", b"2")]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": b"OK"})


@dataclass
class Stand:
    """What a test holds: a client of the sandbox, our adapter for one aggregator, the receiver of its reports."""

    client: httpx.AsyncClient
    receiver: Receiver
    adapter: Aggregator
    credentials: Credentials

    async def control(self, **script: object) -> None:
        (await self.client.put(f"/_control/{self.adapter.name}", json=script)).raise_for_status()

    async def stats(self) -> dict[str, int]:
        stats: dict[str, int] = (await self.client.get(f"/_control/{self.adapter.name}/stats")).json()
        return stats

    async def received(self, since: int = 0) -> list[dict[str, object]]:
        answer = await self.client.get(f"/_received/{self.adapter.name}", params={"since": since})
        entries: list[dict[str, object]] = answer.json()["data"]
        return entries

    def submit(self, *numbers: str) -> HttpCall:
        return self.adapter.submit(self.credentials, submits(*numbers))

    async def send(self, *numbers: str, adapter: Aggregator | None = None) -> list[SubmitOutcome]:
        """Submit the same text to each."""
        adapter = adapter or self.adapter
        bulk = submits(*numbers)
        return adapter.read_submit(await self.call(adapter.submit(self.credentials, bulk)), bulk)

    async def call(self, made: HttpCall) -> HttpAnswer:
        answer = await self.client.request(
            made.method, made.path, headers=dict(made.headers), content=made.body
        )
        return HttpAnswer(answer.status_code, answer.headers, answer.content)

    def reported(self) -> list[tuple[str, str | None]]:
        """What came, as our adapter reads it."""
        at = datetime.now(UTC) + timedelta(minutes=1)
        reports = [self.adapter.read_reports(RawReport("", "", body, at)) for body in self.receiver.bodies]
        return [(report.aggregator_id, report.status) for (report,) in reports]


def submits(*numbers: str) -> list[Submit]:
    return [Submit(at, f"m-{at}", to, "SEMALINK", "Habari €") for at, to in enumerate(numbers, 1)]


@pytest.fixture(params=list(SIMULATED))
async def stand(request: pytest.FixtureRequest) -> AsyncIterator[Stand]:
    """One stand per aggregator; a module about one of them parametrizes it."""
    receiver = Receiver(request.param)
    async with (
        serving(receiver, "off") as reports,
        serving(Sandbox(f"{reports}/{{aggregator}}/token")) as url,
        httpx.AsyncClient(base_url=url, timeout=DEADLINE) as client,
    ):
        yield Stand(client, receiver, *SIMULATED[request.param])
