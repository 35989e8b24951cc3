"""The whole local stack for end-to-end and fault tests: its own home, its own ports, durable as in life."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Final

import pytest
from deploy.local import control
from deploy.local.credentials import read_env
from deploy.local.layout import DEFAULT_HOME, Layout
from deploy.local.programs import read_pid
from tests.kit.stores import port_base, remove

# RabbitMQ needs longest to come back after a kill: some 7 s, three times that on a busy machine.
BACK_SECONDS: Final = 30.0


@dataclass(frozen=True)
class Stack:
    """A running stack. `env` is its stack.env: addresses, keys, passwords."""

    layout: Layout
    env: dict[str, str]

    def pid(self, name: str) -> int:
        pid = read_pid(self.layout.pid_file(name))
        assert pid is not None, f"{name} does not run"
        return pid

    def signal(self, name: str, number: signal.Signals) -> int:
        """Sends the signal (SIGKILL, SIGSTOP, SIGCONT, SIGTERM); the pid that got it."""
        pid = self.pid(name)
        os.kill(pid, number)
        return pid

    async def kill(self, name: str, seconds: float = BACK_SECONDS) -> None:
        """kill -9, and wait until the supervisor has another one ready."""
        killed = self.signal(name, signal.SIGKILL)
        await eventually(lambda: self._back(name, killed), seconds)

    async def stop(self, *names: str) -> None:
        """Takes programs away until `start`: a broker that is down for minutes."""
        await asyncio.to_thread(control.stop, self.layout, names)

    async def start(self, *names: str) -> None:
        await asyncio.to_thread(control.up, self.layout, names)

    async def _back(self, name: str, killed: int) -> None:
        status = control.read_status(self.layout)
        assert status is not None, "the supervisor has ended"
        state = status["programs"][name]
        assert state["phase"] == "ready", state
        assert state["pid"] != killed


async def eventually(check: Callable[[], Awaitable[None]], seconds: float = BACK_SECONDS) -> None:
    """Polls an async assertion until it holds; its last AssertionError when the time is over."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return await check()
        except AssertionError:
            if time.monotonic() > deadline:
                raise
        await asyncio.sleep(0.05)


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    """One stack for all tests of a run; a test that breaks something waits until it is whole again."""
    home = DEFAULT_HOME / f"test-stack-{os.getpid()}"
    try:
        layout = control.up(Layout(home=home, port_base=port_base(home)))
        yield Stack(layout, read_env(layout.env_file))
    finally:
        remove(home)
