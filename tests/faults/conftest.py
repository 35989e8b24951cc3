"""A scene: a customer under load, what is done to the stack, and the checker's judgement afterwards.

Every scene has a seed and prints it; FAULT_SEED=… plays it again, FAULT_ROUNDS=… plays the long form longer.
"""

import os
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import pytest

from tests.kit.checker import Report, check_quiet
from tests.kit.client import Client, Sandbox, eventually
from tests.kit.client_load import Load
from tests.kit.stack import Stack

EVENTS: Final = ["message.sent", "message.delivered", "message.failed", "message.expired"]

QUIET_SECONDS: Final = 75.0
"""The lease of a claim (29 s), the sweep, the hold (3 s), a resend and another doubt, on a busy machine."""

IN_HAND: Final = 16 * 20 + 16
"""Messages that a kill -9 of sms-worker may leave in doubt: 16 bulks of 20, 16 singles (its settings)."""


@dataclass
class Scene:
    """One customer with a webhook; `judge` is the end of every story."""

    stack: Stack
    sandbox: Sandbox
    client: Client
    since: datetime
    rng: random.Random

    def load(self, rate: float = 60.0) -> Load:
        return Load(self.client, self.rng, rate)

    async def judge(self, doubts: int = 0, **known: Any) -> Report:
        """AssertionError with every violation; what is on its way has QUIET_SECONDS to arrive."""
        report = await check_quiet(
            self.stack.env, self.client.history, QUIET_SECONDS, doubts=doubts, since=self.since, **known
        )
        print(report)
        assert not report.violations, str(report)
        assert all(call.message_id is not None for call in self.client.history), "a call was never answered"
        return report


@pytest.fixture
async def scene(stack: Stack) -> AsyncIterator[Scene]:
    seed = int(os.environ.get("FAULT_SEED", random.randrange(10**6)))
    print(f"FAULT_SEED={seed}")
    rng = random.Random(seed)
    account = await stack.open_account(credit="1000000")
    async with (
        Sandbox.open(stack.env["SEMA_SANDBOX_URL"]) as sandbox,
        Client.open(stack.env["SEMA_API_URL"], account.live_key, account.account_id) as client,
    ):
        hook = {"url": sandbox.hook_url(f"faults-{rng.getrandbits(32):08x}"), "events": EVENTS}

        async def registered() -> str:
            answer = await client.post("/v1/webhooks", hook)
            assert answer.status_code == 201, answer.text
            identity: str = answer.json()["id"]
            return identity

        webhook = await eventually(registered)
        yield Scene(stack, sandbox, client, datetime.now(UTC), rng)
        await client.http.delete(f"/v1/webhooks/{webhook}")
