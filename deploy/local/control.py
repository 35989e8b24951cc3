"""What people and tests do to a stack: bring it up, take it down, stop or start one program, look at it."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from deploy.local import bootstrap, services, stores, wanted
from deploy.local.credentials import load
from deploy.local.layout import DEFAULT_HOME, DEFAULT_PORT_BASE, ROOT, Layout
from deploy.local.programs import Process, Program, birth, left_behind, remember
from deploy.local.supervisor import BOOTSTRAP, Supervisor, only_supervisor, say

# A first start makes a database cluster and a broker; two busy cores have needed 40 s for it.
UP_SECONDS: Final = 120.0
# The services' grace, then the stores'.
DOWN_SECONDS: Final = 100.0
# It only reads a few files before it reports for the first time.
SUPERVISOR_SECONDS: Final = 15.0
LOG_KEPT_BYTES: Final = 64 * 1024 * 1024


class StackError(Exception):
    """The stack cannot do what was asked; the message is for the person who asked."""


def find(home: Path = DEFAULT_HOME, durable: bool = True) -> Layout:
    """The stack of this home: as it runs, else as the environment (SEMA_PORT_BASE) would start it."""
    base = int(os.environ.get("SEMA_PORT_BASE", DEFAULT_PORT_BASE))
    return _as_running(Layout(home=home.resolve(), port_base=base, durable=durable))


def programs(layout: Layout) -> dict[str, Program]:
    secrets = load(layout.secrets_file)
    return {p.name: p for p in (*stores.programs(layout, secrets), *services.programs(layout, secrets))}


def run(layout: Layout, only: Iterable[str] = ()) -> None:
    """The supervisor itself, in the foreground, until SIGTERM or Ctrl-C."""
    # Whoever edits what is wanted from now on wakes us; unheard until we listen, and then we read it anyway.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    layout.make_directories()
    with only_supervisor(layout):
        table = programs(layout)
        wanted.change(layout, lambda _: _with_needs(table, only) or table)
        _roll_logs(layout)
        layout.status_file.unlink(missing_ok=True)  # a predecessor's that was killed
        remember(layout, "supervisor", os.getpid())
        supervisor = Supervisor(layout, table, lambda names: bootstrap.prepare(layout, names))
        asyncio.run(supervisor.run())


def up(layout: Layout, only: Iterable[str] = (), seconds: float = UP_SECONDS) -> Layout:
    """Returns when everything wanted answers; on a running or half-running stack it mends what is missing.

    Several callers at once wait for each other. The layout is the running stack's, whatever ports were
    asked for.
    """
    layout.home.mkdir(parents=True, exist_ok=True)
    with (layout.home / "up.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        _await_end_of_stopping(layout)
        layout = _as_running(layout)
        layout.make_directories()
        table = programs(layout)
        needed = _with_needs(table, only) or frozenset(table)
        if supervisor_pid(layout) is None:
            edit = wanted.read(layout).edit + 1
            _spawn_supervisor(layout, needed)
        else:
            edit = wanted.change(layout, lambda names: names | needed)
            _wake(layout)
        _await_ready(layout, needed, edit, seconds)
        return layout


def down(layout: Layout) -> None:
    """Stops everything, also what a supervisor that was killed left behind."""
    pid = supervisor_pid(layout)
    if pid is not None:
        _signal(pid, signal.SIGTERM)
        _signal(pid, signal.SIGCONT)
        asyncio.run(_gone(pid, DOWN_SECONDS))
    asyncio.run(_stop_left_behind(layout))


def discard(layout: Layout) -> None:
    """Kills everything at once, for a stack whose data nobody will need again; returns when all are gone.

    What runs is what the pid files say: the environment that the stack was started with may be gone.
    """
    _kill([pid] if (pid := supervisor_pid(layout)) else [])  # first: it would start again what it sees end
    names = sorted(path.stem for path in layout.run.glob("*.pid"))
    _kill([found[0] for name in names if (found := left_behind(layout, name))])


def stop(layout: Layout, names: Iterable[str]) -> None:
    """Ends single programs, which then stay down (a broker that is away for minutes) until somebody starts them."""
    ended = frozenset(names)
    edit = wanted.change(layout, lambda names: names - ended)
    _wake(layout)

    def all_ended(status: dict[str, Any]) -> bool:
        unwanted = ended - wanted.read(layout).names
        return status["followed"] >= edit and not unwanted & status["programs"].keys()

    if not _poll(layout, DOWN_SECONDS, all_ended):
        raise StackError(f"not ended in time: {', '.join(sorted(ended))}")


def supervisor_pid(layout: Layout) -> int | None:
    """Its pid while it lives."""
    found = left_behind(layout, "supervisor")
    return found[0] if found else None


def read_status(layout: Layout) -> dict[str, Any] | None:
    """What the running supervisor last wrote; None without a running supervisor, or before its first word."""
    pid = supervisor_pid(layout)
    try:
        status: dict[str, Any] = json.loads(layout.status_file.read_text())
    except FileNotFoundError:
        return None
    return status if status["supervisor"] == pid else None


def _as_running(layout: Layout) -> Layout:
    status = read_status(layout)
    return replace(layout, port_base=status["port_base"], durable=status["durable"]) if status else layout


def _spawn_supervisor(layout: Layout, wanted: frozenset[str]) -> None:
    """Starts `run` as nobody's child, so that it outlives us and leaves no zombie with whoever called."""
    arguments = ["run", "--home", str(layout.home), "--only", ",".join(sorted(wanted))]
    arguments += [] if layout.durable else ["--fast"]
    with layout.log_file("supervisor").open("ab") as log:
        subprocess.run(
            ["setsid", "--fork", sys.executable, "-m", "deploy.local", *arguments],
            env={**os.environ, "SEMA_PORT_BASE": str(layout.port_base)},
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            check=True,
        )
    if not _poll(layout, SUPERVISOR_SECONDS, lambda _: True):
        raise StackError(f"the supervisor does not start:\n{_tail(layout, 'supervisor')}")


def _await_end_of_stopping(layout: Layout) -> None:
    """A supervisor that ends follows no edit any more; the next one will."""
    status = read_status(layout)
    if status is not None and status["stopping"]:
        asyncio.run(_gone(status["supervisor"], DOWN_SECONDS))


def _await_ready(layout: Layout, needed: frozenset[str], edit: int, seconds: float) -> None:
    """What a status says that is older than the edit is not the answer to it."""
    expected = needed | ({BOOTSTRAP} if "postgres" in needed else set())
    seen: set[str] = set()

    def everything_ready(status: dict[str, Any]) -> bool:
        states = status["programs"] if status["followed"] >= edit else {}
        ready = {name for name in expected if name in states and _is_ready(states[name])}
        for name in sorted(ready - seen):
            print(f"  {name:<18} ready", flush=True)
        seen.update(ready)
        return ready == expected

    if not _poll(layout, seconds, everything_ready):
        raise StackError(_why_not(layout, expected))


def _is_ready(state: Mapping[str, Any]) -> bool:
    """It answers, and has not ended since without the supervisor's having seen it."""
    return state["phase"] == "ready" and (state["pid"] is None or bool(birth(state["pid"])))


def _poll(layout: Layout, seconds: float, done: Callable[[dict[str, Any]], bool]) -> bool:
    """Asks the status file ten times a second; False when the time is over, or nobody writes it any more."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        status = read_status(layout)
        if status is not None:
            if done(status):
                return True
            if status["stopping"]:
                return False
        time.sleep(0.1)
    return False


def _why_not(layout: Layout, expected: Iterable[str]) -> str:
    """For each program that did not come: what its probe or its start last said, and where its log is."""
    states = (read_status(layout) or {"programs": {}})["programs"]
    lines = [f"not ready in time (logs in {layout.log}):"]
    for name in sorted(expected):
        state = states.get(name, {"phase": "unknown", "detail": ""})
        if state["phase"] != "ready":
            lines.append(f"  {name}: {state['phase']}; {state['detail'] or 'nothing known'}")
            lines.append(_tail(layout, name))
    return "\n".join(lines)


def _tail(layout: Layout, name: str) -> str:
    log = layout.log_file(name)
    lines = log.read_text(errors="replace").splitlines()[-5:] if log.exists() else []
    return "\n".join(f"      {line}" for line in lines)


def _wake(layout: Layout) -> None:
    pid = supervisor_pid(layout)
    if pid is None:
        raise StackError("the stack is not running; start it with: make up")
    _signal(pid, signal.SIGHUP)


def _with_needs(table: dict[str, Program], names: Iterable[str]) -> frozenset[str]:
    """The names and whatever they stand on."""
    found: set[str] = set()
    open_names = list(names)
    while open_names:
        name = open_names.pop()
        if name == BOOTSTRAP:
            name = "postgres"
        if name not in table:
            raise StackError(f"no program is called {name}; there are: {', '.join(table)}")
        if name not in found:
            found.add(name)
            open_names += table[name].needs
    return frozenset(found)


def _roll_logs(layout: Layout) -> None:
    for log in layout.log.glob("*.log"):
        if log.name != "supervisor.log" and log.stat().st_size > LOG_KEPT_BYTES:
            log.replace(log.with_suffix(".log.1"))


async def _stop_left_behind(layout: Layout) -> None:
    """Services first, then the stores, epmd last: the order of the supervisor."""
    for group in (services.SERVICES, ("sandbox", "proxies"), ("postgres", "redis", "rabbitmq"), ("epmd",)):
        await asyncio.gather(*(_stop_one(layout, name) for name in group))


async def _stop_one(layout: Layout, name: str) -> None:
    found = left_behind(layout, name)
    if found is not None:
        say(f"stopping {name} (pid {found[0]}), which had no supervisor")
        secrets = load(layout.secrets_file)
        every = (*stores.programs(layout, secrets), *services.every(layout, secrets))
        await Process(found[0], None).stop(next(p for p in every if p.name == name))
    layout.pid_file(name).unlink(missing_ok=True)


def _kill(pids: Iterable[int]) -> None:
    """All at once; returns when they are gone."""
    killed = [*pids]
    for pid in killed:
        _signal(pid, signal.SIGKILL)
    for pid in killed:
        asyncio.run(_gone(pid, DOWN_SECONDS))


async def _gone(pid: int, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await Process(pid, None).gone()
    except TimeoutError:
        _signal(pid, signal.SIGKILL)


def _signal(pid: int, number: signal.Signals) -> None:
    """It may end at any moment by itself, or by somebody else."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
