"""The scene of a fault test, and the tables at the end of a run.

The whole run has one seed and prints it; `make faults SEED=…` plays it again. ROUNDS=… plays the random rounds
longer.
"""

import random
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest
from rich.console import Console

from tests.faults.arming import Points
from tests.faults.network import Network
from tests.faults.scene import EVENTS, Scene
from tests.faults.table import RESULTS, SEED
from tests.kit.client import Client, Sandbox, eventually
from tests.kit.stack import Stack, faults_dir


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if RESULTS.rows or RESULTS.cells:
        terminalreporter.section("faults")
        RESULTS.write(Console(width=150))


@pytest.fixture
async def scene(stack: Stack, request: pytest.FixtureRequest) -> AsyncIterator[Scene]:
    rng = random.Random(f"{SEED} {request.node.name}")
    print(f"SEED={SEED}")
    account = await stack.open_account(credit="1000000")
    async with (
        Sandbox.open(stack.env["SEMA_SANDBOX_URL"]) as sandbox,
        Network.open(stack.layout) as network,
        Client.open(stack.env["SEMA_API_URL"], account.live_key, account.account_id) as client,
    ):
        name = f"faults-{account.account_id}"
        hook = {"url": sandbox.hook_url(name), "events": EVENTS}

        async def registered() -> str:
            answer = await client.post("/v1/webhooks", hook)
            assert answer.status_code == 201, answer.text
            identity: str = answer.json()["id"]
            return identity

        webhook = await eventually(registered)
        points = Points(faults_dir(stack.layout))
        yield Scene(stack, sandbox, network, points, client, datetime.now(UTC), rng, name)
        points.disarm()
        await client.http.delete(f"/v1/webhooks/{webhook}")
