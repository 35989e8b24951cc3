"""The whole local stack for end-to-end and fault tests: its own home, its own ports, durable as in life."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from signal import SIGCONT, SIGKILL, SIGSTOP, Signals
from typing import Any, Final

import pytest

from deploy.local import control
from deploy.local.credentials import load, read_env
from deploy.local.layout import DEFAULT_HOME, Layout
from deploy.local.programs import read_pid
from deploy.local.services import PROXIES
from sema_common.platform.db import Database
from sema_common.platform.secrets import SecretBox
from sema_main_api.accounts.opening import Opened, Opening, open_account
from tests.kit.client import eventually
from tests.kit.stores import port_base, remove

# RabbitMQ needs longest to come back after a kill: some 7 s, three times that on a busy machine.
BACK_SECONDS: Final = 30.0

# The wrapper in /usr/sbin accepts only root and rabbitmq; this is what it calls.
RABBITMQCTL: Final = "/usr/lib/rabbitmq/bin/rabbitmqctl"


@dataclass(frozen=True)
class Stack:
    """A running stack. `env` is its stack.env: addresses, keys, passwords."""

    layout: Layout
    env: dict[str, str]

    def pid(self, name: str) -> int:
        pid = read_pid(self.layout.pid_file(name))
        assert pid is not None, f"{name} does not run"
        return pid

    def signal(self, name: str, number: Signals) -> int:
        """Sends the signal (SIGKILL, SIGSTOP, SIGCONT, SIGTERM); the pid that got it."""
        pid = self.pid(name)
        os.kill(pid, number)
        return pid

    async def kill(self, name: str, seconds: float = BACK_SECONDS, number: Signals = SIGKILL) -> None:
        """kill -9 (or another signal that ends it), and wait until the supervisor has another one ready."""
        killed = self.signal(name, number)
        await eventually(lambda: self._back(name, killed), seconds)

    @contextmanager
    def frozen(self, name: str) -> Iterator[None]:
        """The program and its children stand still inside the block: connections stay open, nobody answers."""
        pid = self.pid(name)
        tree = [pid, *map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())]
        for each in tree:
            os.kill(each, SIGSTOP)
        try:
            yield
        finally:
            for each in tree:
                with suppress(ProcessLookupError):
                    os.kill(each, SIGCONT)

    async def stop(self, *names: str) -> None:
        """Takes programs away until `start`: a broker that is down for minutes."""
        await asyncio.to_thread(control.stop, self.layout, names)

    async def start(self, *names: str) -> None:
        await asyncio.to_thread(control.up, self.layout, names)

    async def broker(self, *arguments: str) -> None:
        """One `rabbitmqctl` call, such as ("set_disk_free_limit", "900GB")."""
        program = control.programs(self.layout)["rabbitmq"]
        await asyncio.to_thread(
            subprocess.run,
            [RABBITMQCTL, *arguments],
            env=program.env,
            user=program.user,
            group="nogroup" if program.user else None,
            extra_groups=[] if program.user else None,
            cwd=self.layout.data,
            check=True,
            capture_output=True,
        )

    async def open_account(self, credit: str = "10000", tier: str = "enterprise") -> Opened:
        """What the operators' CLI does, in this process: an account with the approved sender SEMALINK and keys."""
        secrets = SecretBox(load(self.layout.secrets_file)["SECRETS_KEYS"])
        wanted = Opening("Test", "direct", tier, Decimal(credit), "SEMALINK", None)
        dsn = self.layout.dsn("main_api_pipeline")
        async with Database.open(dsn, name="kit", max_size=1) as db, db.transaction() as tx:
            return await open_account(tx, secrets, wanted, "test")

    async def _back(self, name: str, killed: int) -> None:
        state = self.state(name)
        assert state["phase"] == "ready", state
        assert state["pid"] != killed

    def state(self, name: str) -> dict[str, Any]:
        """What the supervisor knows of a program: its phase, pid and restarts."""
        status = control.read_status(self.layout)
        assert status is not None, "the supervisor has ended"
        state: dict[str, Any] = status["programs"][name]
        return state


# What production takes minutes for; each room checks that its times still fit together.
QUICK: Final = {
    "IN_DOUBT_HOLD_SECONDS": "3",
    "SUBMIT_TOTAL_SECONDS": "3",
    "CLAIM_LEASE_SECONDS": "29",
    "RETRY_FIRST_SECONDS": "0.2",
    "RETRY_SCALE": "0.01",
    "ROUTE_REST_LONGEST_SECONDS": "2",
    "PAUSE_LONGEST_SECONDS": "5",
    "TRACE_SAMPLE_RATIO": "1",
    "SEMA_STORE_PROXIES": "1",
}


def faults_dir(layout: Layout) -> Path:
    """Where the fault points of this stack's services look (`sema_common.platform.faults`)."""
    return layout.run / "faults"


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    """One stack for all tests of a run; a test that breaks something waits until it is whole again.

    With SEMA_TEST_STACK=HOME the stack of that home is used, started if need be, and left running: for writing
    tests.
    """
    kept = os.environ.get("SEMA_TEST_STACK")
    home = Path(kept) if kept else DEFAULT_HOME / f"test-stack-{os.getpid()}"
    try:
        with pytest.MonkeyPatch.context() as patch:
            for name, value in QUICK.items():
                patch.setenv(name, value)
            layout = control.find(home) if kept else Layout(home=home, port_base=port_base(home))
            running = control.read_status(layout)
            if running and PROXIES not in running["programs"]:
                pytest.fail(
                    f"the stack in {home} was started without proxies, fault points and short times (by `make up`?):"
                    " name another home in SEMA_TEST_STACK, and the tests start one there",
                    pytrace=False,
                )
            patch.setenv("FAULTS_DIR", str(faults_dir(layout)))
            faults_dir(layout).mkdir(parents=True, exist_ok=True)
            layout = control.up(layout)
            # Until the end: a supervisor that a test has killed is started anew with the same times.
            yield Stack(layout, read_env(layout.env_file))
    finally:
        if not kept:
            remove(home)
