"""A scene: a customer under load, what is done to the stack, how long it takes to heal, and the checker's judgement."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

import httpx

from tests.faults.arming import Points
from tests.faults.network import Network
from tests.faults.table import RESULTS, Row
from tests.kit.checker import Report, check_quiet
from tests.kit.client import Client, Sandbox, eventually
from tests.kit.client_load import Load
from tests.kit.stack import Stack

EVENTS: Final = ["message.sent", "message.delivered", "message.failed", "message.expired"]

QUIET_SECONDS: Final = 75.0
"""The lease of a claim (29 s), the sweep, the hold (3 s), a resend and another doubt, on a busy machine."""

IN_HAND: Final = 16 * 20 + 16
"""Messages that a kill -9 of sms-worker may leave in doubt: 16 bulks of 20, 16 singles (its settings)."""

STEADY_SECONDS: Final = 0.7
"""Load before a fault and after it, so that both sides of it are under way."""


@dataclass
class Injection:
    """A fault in progress; `lifted` when its cause is gone, if that is before the end of the block."""

    ended: float | None = None

    def lifted(self) -> None:
        self.ended = time.monotonic()


@dataclass
class Scene:
    """One customer with a webhook; `judge` is the end of every story."""

    stack: Stack
    sandbox: Sandbox
    network: Network
    points: Points
    client: Client
    since: datetime
    rng: random.Random
    hook: str
    rows: list[Row] = field(default_factory=list)
    slack: float = 1.0
    """How many times longer healing may take: beside the other tests of a busy machine, twice."""

    _probes: int = 0

    def load(self, rate: float = 60.0, magic: float = 0.0) -> Load:
        return Load(self.client, self.rng, rate, magic)

    @asynccontextmanager
    async def fault(self, number: str, injected: str, within: float) -> AsyncIterator[Injection]:
        """Injected inside the block; after it a new message is delivered `within` seconds of the fault's end."""
        row = Row(number, injected, within)
        RESULTS.rows.append(row)
        self.rows.append(row)
        injection = Injection()
        await asyncio.sleep(STEADY_SECONDS)
        yield injection
        ended = injection.ended or time.monotonic()
        await self.probe(within)
        row.seconds = time.monotonic() - ended
        assert row.seconds <= within * self.slack, (
            f"{number}: healed after {row.seconds:.1f} s, {within:g} s are allowed"
        )

    async def probe(self, seconds: float) -> None:
        """One more message, from its acceptance to its delivery; a few more seconds tell late from never."""
        self._probes += 1
        token = f"Probe {self.rng.getrandbits(48):012x}"
        body = {"to": f"+25471{self._probes:07}", "from": "SEMALINK", "body": token}
        answer = await self.client.insist(body, token, seconds + 15.0)
        assert answer is not None, "a probe was never accepted"
        assert answer.status_code == 202, answer.text

        async def delivered() -> None:
            try:
                message = await self.client.message(answer.json()["id"])
            except httpx.TransportError as exc:
                raise AssertionError("the API does not answer") from exc
            assert message["status"] == "delivered", message["status"]

        await eventually(delivered, seconds + 15.0)

    async def judge(self, doubts: int = 0, broken: bool = False, **known: Any) -> Report:
        """AssertionError with every violation; what is on its way has QUIET_SECONDS to arrive.

        `broken`: answers of 500 are excused, since a fault point raised what no dependency does.
        """
        report = await check_quiet(
            self.stack.env, self.client.history, QUIET_SECONDS, doubts=doubts, since=self.since, **known
        )
        rules = sorted({violation.rule for violation in report.violations})
        sight = f"no violation: {report.totals['calls']} calls, {report.totals['ever in doubt']} in doubt"
        for row in self.rows:
            row.verdict = ", ".join(rules) or sight
        print(report)
        assert not report.violations, str(report)
        assert all(call.message_id is not None for call in self.client.history), "a call was never answered"
        assert broken or not self.client.broken, self.client.broken[:5]
        return report
