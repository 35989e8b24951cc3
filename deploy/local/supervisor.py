"""Keeps the wanted programs running: starts them in order, restarts whatever dies, stops them in reverse.

Commands edit what is `wanted`; SIGHUP makes the supervisor read it again. What it knows, and which edit it has
followed, it writes to `status.json`, where `up` and `status` read it. It never gives up on a program: the stores
too come back by themselves.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable, Coroutine, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

from deploy.local import wanted
from deploy.local.files import replace
from deploy.local.layout import Layout
from deploy.local.programs import Process, Program, left_behind, start
from deploy.local.stores import STORES

# Restart delay: at once, then doubling. 5 s because someone is waiting for a local stack; reset by 10 s
# of life.
FIRST_DELAY: Final = 0.1
MAX_DELAY: Final = 5.0
STEADY_AFTER: Final = 10.0
PROBE_EVERY: Final = 0.1
# Our own step between the stores and the services; services `need` it like a program.
BOOTSTRAP: Final = "bootstrap"


@dataclass
class State:
    phase: str = "waiting"  # waiting | starting | ready | restarting
    pid: int | None = None
    restarts: int = 0
    detail: str = ""


class Supervisor:
    """`bootstrap` prepares database and accounts once Postgres answers; it must be safe to repeat."""

    def __init__(
        self,
        layout: Layout,
        programs: Mapping[str, Program],
        bootstrap: Callable[[frozenset[str]], Coroutine[Any, Any, None]],
    ) -> None:
        self._layout = layout
        self._programs = programs
        self._bootstrap = bootstrap
        self._states: dict[str, State] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._first_ready = {name: asyncio.Event() for name in (*programs, BOOTSTRAP)}
        self._changed = asyncio.Event()
        self._stopping = asyncio.Event()
        self._followed = 0

    async def run(self) -> None:
        """Runs until SIGTERM or SIGINT, then stops everything."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stopping.set)
        loop.add_signal_handler(signal.SIGHUP, self._changed.set)
        stopping = asyncio.create_task(self._stopping.wait())
        try:
            while not self._stopping.is_set():
                self._changed.clear()
                read = wanted.read(self._layout)
                await self._follow(read.names)
                self._followed = read.edit
                self._report()
                changed = asyncio.create_task(self._changed.wait())
                await asyncio.wait({stopping, changed}, return_when=asyncio.FIRST_COMPLETED)
                changed.cancel()
        finally:
            self._report()
            await self._follow(frozenset())
            self._layout.status_file.unlink(missing_ok=True)

    async def _follow(self, names: frozenset[str]) -> None:
        """Ends what is no longer wanted, services before stores, and starts what is new."""
        new = names - self._tasks.keys()
        if new or "postgres" not in names:
            await self._end(BOOTSTRAP)
        excess = [name for name in self._tasks if name not in names and name != BOOTSTRAP]
        for group in (
            [n for n in excess if n not in STORES],
            [n for n in excess if n in STORES and n != "epmd"],
            [n for n in excess if n == "epmd"],
        ):
            await asyncio.gather(*(self._end(name) for name in group))
        for name in sorted(new, key=list(self._programs).index):
            self._tasks[name] = asyncio.create_task(self._keep(self._programs[name]))
        if new and "postgres" in names:
            self._tasks[BOOTSTRAP] = asyncio.create_task(self._prepare(names))

    async def _end(self, name: str) -> None:
        task = self._tasks.pop(name, None)
        if task is not None:
            task.cancel()
            await asyncio.wait({task})
            self._states.pop(name, None)
            self._first_ready[name].clear()
            self._report()

    async def _keep(self, program: Program) -> None:
        state = self._states[program.name] = State()
        delay = FIRST_DELAY
        while True:
            self._report(state, phase="waiting")
            for need in program.needs:
                if need in self._tasks:
                    await self._first_ready[need].wait()
            started = time.monotonic()
            try:
                process = await self._adopt(program) or self._start(program)
            except Exception as error:
                say(f"{program.name}: {error}")
                self._report(state, detail=str(error))
            else:
                self._report(state, phase="starting", pid=process.pid, detail="")
                code = await self._watch(program, process, state)
                lived = time.monotonic() - started
                say(
                    f"{program.name} (pid {process.pid}) ended with {'?' if code is None else code} after {lived:.1f} s"
                )
                delay = FIRST_DELAY if lived > STEADY_AFTER else delay
            self._report(state, phase="restarting", pid=None, restarts=state.restarts + 1)
            await asyncio.sleep(delay)
            delay = min(delay * 2, MAX_DELAY)

    def _start(self, program: Program) -> Process:
        taken = [port for port in program.ports if not is_free(port)]
        if taken:
            raise OSError(
                f"port {taken[0]} is taken by another program; set SEMA_PORT_BASE to move the stack"
            )
        return start(self._layout, program)

    async def _adopt(self, program: Program) -> Process | None:
        """What an earlier supervisor left running is kept, unless it belongs to another port base: then
        it is stopped.
        """
        found = left_behind(self._layout, program.name)
        if found is None:
            return None
        pid, port_base = found
        process = Process(pid, None)
        if port_base == self._layout.port_base:
            say(f"{program.name} (pid {pid}) was already running")
            return process
        await process.stop(program)
        return None

    async def _watch(self, program: Program, process: Process, state: State) -> int | None:
        """Until the process ends; when we are cancelled instead, it is stopped first."""
        probing = asyncio.create_task(self._probe(program, state))
        try:
            return await process.gone()
        except asyncio.CancelledError:
            await process.stop(program)
            self._layout.pid_file(program.name).unlink(missing_ok=True)
            raise
        finally:
            probing.cancel()

    async def _probe(self, program: Program, state: State) -> None:
        started = time.monotonic()
        while True:
            try:
                await program.ready()
            except Exception as error:
                state.detail = f"{type(error).__name__}: {error}"
                await asyncio.sleep(PROBE_EVERY)
            else:
                break
        say(f"{program.name} ready ({time.monotonic() - started:.1f} s)")
        self._first_ready[program.name].set()
        self._report(state, phase="ready", detail="")

    async def _prepare(self, names: frozenset[str]) -> None:
        state = self._states[BOOTSTRAP] = State()
        self._report(state)
        await self._first_ready["postgres"].wait()
        while True:
            self._report(state, phase="starting")
            try:
                await self._bootstrap(names)
            except Exception as error:
                traceback.print_exc()
                self._report(state, phase="restarting", restarts=state.restarts + 1, detail=str(error))
                await asyncio.sleep(MAX_DELAY)
            else:
                break
        self._first_ready[BOOTSTRAP].set()
        self._report(state, phase="ready", detail="")

    def _report(self, state: State | None = None, **changes: Any) -> None:
        if state is not None:
            for name, value in changes.items():
                setattr(state, name, value)
        content = {
            "supervisor": os.getpid(),
            "port_base": self._layout.port_base,
            "durable": self._layout.durable,
            "followed": self._followed,
            "stopping": self._stopping.is_set(),
            "programs": {name: asdict(state) for name, state in self._states.items()},
        }
        replace(self._layout.status_file, json.dumps(content, indent=1))


def is_free(port: int) -> bool:
    """Whether the port can be bound on loopback now (connections of a predecessor in TIME_WAIT do not
    count).
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def say(line: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {line}", flush=True)


@contextlib.contextmanager
def only_supervisor(layout: Layout) -> Iterator[None]:
    """At most one supervisor per home; the lock goes with the process, however it ends."""
    with (layout.run / "supervisor.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            sys.exit("the stack already has a supervisor")
        try:
            yield
        finally:
            layout.pid_file("supervisor").unlink(missing_ok=True)
