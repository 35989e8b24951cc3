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

from deploy.local.layout import MARK, Layout


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
            env={**program.env, MARK: layout.mark},
            cwd=program.cwd,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            user=program.user,
            group="nogroup" if program.user else None,
            extra_groups=[] if program.user else None,
        )
    layout.pid_file(program.name).write_text(f"{child.pid}\n")
    return Process(child.pid, child)


def left_behind(layout: Layout, name: str) -> tuple[int, str] | None:
    """The live process that a pid file names and the mark it carries; None when there is none of this
    home.
    """
    pid = read_pid(layout.pid_file(name))
    mark = read_mark(pid) if pid else ""
    return (pid, mark) if pid and mark.rpartition(":")[0] == str(layout.home) else None


def read_pid(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (FileNotFoundError, ValueError):
        return None


def read_mark(pid: int) -> str:
    """The value of our mark in the process's environment; empty when it has none or has ended."""
    try:
        environ = Path(f"/proc/{pid}/environ").read_bytes()
    except (FileNotFoundError, PermissionError, ProcessLookupError):
        return ""
    prefix = f"{MARK}=".encode()
    return next((e[len(prefix) :].decode() for e in environ.split(b"\0") if e.startswith(prefix)), "")
