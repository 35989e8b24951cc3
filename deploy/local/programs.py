"""One process under the supervisor: what it is, how it starts, how to see that it answers, how it ends."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from deploy.local.files import replace
from deploy.local.layout import Layout


@dataclass(frozen=True)
class Program:
    """`ready` raises until the program answers; `prepare` runs before each start (a data directory, a
    config file).
    """

    name: str
    command: tuple[str, ...]
    env: Mapping[str, str]
    cwd: Path
    ready: Callable[[], Awaitable[None]]
    needs: tuple[str, ...] = ()
    user: str | None = None
    prepare: Callable[[], None] = lambda: None
    stop_signal: signal.Signals = signal.SIGTERM
    # Services drain for at most 25 s and their watchdog ends them at 28 s.
    grace: float = 35.0
    ports: tuple[int, ...] = field(default=())


class Process:
    """A running program: our child, or one that a supervisor before us left behind."""

    def __init__(self, pid: int, child: subprocess.Popen[bytes] | None) -> None:
        self.pid = pid
        self._child = child

    async def gone(self) -> int | None:
        """Waits for its end; the exit code when it was our child."""
        try:
            descriptor = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return None
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[None] = loop.create_future()
        loop.add_reader(descriptor, lambda: None if ended.done() else ended.set_result(None))
        try:
            await ended
        finally:
            loop.remove_reader(descriptor)
            os.close(descriptor)
        return self._child.wait() if self._child else None

    async def stop(self, program: Program) -> None:
        """Asks, waits for the grace, then kills; a stopped (SIGSTOP) process is woken so that it can hear."""
        self._signal(program.stop_signal)
        self._signal(signal.SIGCONT)
        try:
            async with asyncio.timeout(program.grace):
                await self.gone()
        except TimeoutError:
            self._signal(signal.SIGKILL)
            await self.gone()

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)


def start(layout: Layout, program: Program) -> Process:
    """Starts the program in a session of its own (a Ctrl-C reaches the supervisor only), its output in
    its log.
    """
    program.prepare()
    with layout.log_file(program.name).open("ab") as log:
        child = subprocess.Popen(
            program.command,
            env=program.env,
            cwd=program.cwd,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            user=program.user,
            group="nogroup" if program.user else None,
            extra_groups=[] if program.user else None,
        )
    remember(layout, program.name, child.pid)
    return Process(child.pid, child)


def remember(layout: Layout, name: str, pid: int) -> None:
    """Writes the pid file, and before it what tells this process from a later one with the same number: who finds
    the one finds the other.
    """
    replace(layout.birth_file(name), f"{birth(pid)} {layout.port_base}\n")
    replace(layout.pid_file(name), f"{pid}\n")


def left_behind(layout: Layout, name: str) -> tuple[int, int] | None:
    """The live process that a pid file names, and its stack's port base; None when there is none."""
    pid = read_pid(layout.pid_file(name))
    try:
        born, port_base = layout.birth_file(name).read_text().split()
    except (FileNotFoundError, ValueError):
        return None
    return (pid, int(port_base)) if pid and born == birth(pid) else None


def read_pid(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (FileNotFoundError, ValueError):
        return None


def birth(pid: int) -> str:
    """The kernel's time of the process's start, in ticks since boot; empty when it has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return ""
    state, started = fields[0], fields[19]  # fields 3 and 22 of proc(5)
    return "" if state == "Z" else started
