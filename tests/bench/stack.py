"""A stack of the bench's own: fresh, durable, with only the rooms that a measurement names."""

from __future__ import annotations

import asyncio
import io
import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import aio_pika
import asyncpg

from deploy.local import bootstrap, control, services
from deploy.local.credentials import load
from deploy.local.layout import DEFAULT_HOME, ROOT, Layout
from deploy.local.programs import read_pid
from sema_common.platform.bus import Bus
from sema_common.platform.db import Database
from tests.kit.stores import remove

HOME: Final = DEFAULT_HOME / "bench"
DEFAULT_PORT_BASE: Final = 27000
STORES: Final = ("postgres", "redis", "rabbitmq")
# As in production; whatever the caller's shell says.
ENVIRONMENT: Final = {"LOG_LEVEL": "info", "TRACE_SAMPLE_RATIO": "0.05"}
# Enough for a hundred million messages.
CREDIT: Final = "100000000"
READY_SECONDS: Final = 20.0
PROGRAMS: Final = (*STORES, "sandbox", *services.SERVICES)
# Beyond the ports that the local stack names.
BESIDE_OFFSET: Final = 50
LEAST_SHOWN: Final = 5.0
TICKS: Final = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Account:
    account_id: str
    key: str


@dataclass
class BenchStack:
    """A running bench stack. `rss` is the largest resident memory of each service at the end of a measurement."""

    layout: Layout
    secrets: dict[str, str]
    rss: dict[str, float] = field(default_factory=dict)
    _beside: dict[str, int] = field(default_factory=dict)

    async def account(self, name: str = "Bench") -> Account:
        """A new account of the tier without a limit."""
        options = {"--name": name, "--credit": CREDIT, "--tier": "enterprise"}
        arguments = [part for pair in options.items() for part in pair]
        made = await bootstrap.operators(self.layout, self.secrets, "account", "create", *arguments)
        return Account(made["SEMA_ACCOUNT_ID"], made["SEMA_API_KEY"])

    @asynccontextmanager
    async def rooms(self, *names: str) -> AsyncIterator[None]:
        """Runs these programs, and nothing else besides the stores; notes their memory before they end."""
        await asyncio.to_thread(_up, self.layout, names)
        try:
            yield
        finally:
            for name in set(names) & set(services.SERVICES):
                self.rss[name] = max(self.rss.get(name, 0.0), _rss(self.pid(name)))
            await asyncio.to_thread(control.stop, self.layout, names)

    @asynccontextmanager
    async def beside(self, name: str, module: str) -> AsyncIterator[str]:
        """Runs a module of ours with a service's environment on ports of its own; its address."""
        port = self.layout.port_base + BESIDE_OFFSET
        own = {"HTTP_PORT": str(port), "OPS_PORT": str(port + 1)}
        env = services.environment(self.layout, self.secrets, name) | own
        log = self.layout.log_file(module.rpartition(".")[2])
        with log.open("ab") as file, _process(module, env, file) as process:
            self._beside[module] = process.pid
            try:
                await self._answers(f"http://127.0.0.1:{port + 1}/readyz")
                yield f"http://127.0.0.1:{port}"
            finally:
                del self._beside[module]

    async def _answers(self, url: str) -> None:
        deadline = time.monotonic() + READY_SECONDS
        while True:
            try:
                await asyncio.to_thread(_open, url)
            except OSError:
                if time.monotonic() > deadline:
                    raise
                await asyncio.sleep(0.1)
            else:
                return

    @asynccontextmanager
    async def sql(self) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
        connection = await asyncpg.connect(self.layout.dsn())
        try:
            yield connection
        finally:
            await connection.close()

    @asynccontextmanager
    async def database(self, role: str) -> AsyncIterator[Database]:
        """As that service's role sees it."""
        async with Database.open(self.layout.dsn(role), name="bench", max_size=8) as db:
            yield db

    @asynccontextmanager
    async def bus(self) -> AsyncIterator[Bus]:
        async with Bus.open(self.amqp_url, name="bench") as bus:
            yield bus

    @property
    def amqp_url(self) -> str:
        return self.layout.amqp(self.secrets["AMQP_PASSWORD"])

    async def purge(self, *queues: str) -> None:
        """Throw away what nobody consumed, so that the next measurement starts from empty queues."""
        connection = await aio_pika.connect(self.amqp_url)
        async with connection, connection.channel() as channel:
            for name in queues:
                queue = await channel.get_queue(name, ensure=False)
                await queue.purge()

    async def depth(self, queue: str) -> int:
        """Messages that wait to be delivered."""
        connection = await aio_pika.connect(self.amqp_url)
        async with connection, connection.channel() as channel:
            declared = await channel.declare_queue(queue, passive=True)
            return declared.declaration_result.message_count or 0

    async def script(self, changes: dict[str, Any]) -> None:
        """Tell the sandbox's Celcom how to behave."""
        request = urllib.request.Request(  # noqa: S310 - of this stack
            f"{self.layout.http('sandbox')}/_control/celcom", json.dumps(changes).encode(), method="PUT"
        )
        await asyncio.to_thread(_open, request)

    async def until(self, sql: str, wanted: Any, seconds: float, *arguments: Any) -> float:
        """Poll one value until it is the wanted one; how long that took. TimeoutError names what it was."""
        started = time.perf_counter()
        async with self.sql() as connection:
            while (found := await connection.fetchval(sql, *arguments)) != wanted:
                if time.perf_counter() - started > seconds:
                    raise TimeoutError(f"{sql}: {found}, not {wanted}, after {seconds:g} s")
                await asyncio.sleep(0.05)
        return time.perf_counter() - started

    def pid(self, name: str) -> int:
        pid = read_pid(self.layout.pid_file(name))
        if pid is None:
            raise RuntimeError(f"{name} does not run")
        return pid

    def cpu(self) -> dict[str, float]:
        """Seconds of CPU that every running program has used so far, its children's included."""
        ours = {
            name: pid for name in PROGRAMS if (pid := read_pid(self.layout.pid_file(name)))
        } | self._beside
        stats = {int(path.parent.name): _stat(path) for path in Path("/proc").glob("[0-9]*/stat")}
        used = {}
        for name, pid in ours.items():
            children = [child for child, (parent, _) in stats.items() if parent == pid]
            used[name] = sum(stats[one][1] for one in (pid, *children) if one in stats)
        return used


@dataclass
class Cost:
    """CPU that the stack uses while something is measured: what a busy neighbour changes least."""

    stack: BenchStack
    before: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.before = self.stack.cpu()

    def each(self, messages: float) -> str:
        """Microseconds per message, of all programs together and of those that take the most."""
        after = self.stack.cpu()
        used = {name: (after[name] - self.before.get(name, 0.0)) / messages * 1e6 for name in after}
        parts = ", ".join(
            f"{name} {cost:.0f}"
            for name, cost in sorted(used.items(), key=lambda item: -item[1])
            if cost >= LEAST_SHOWN
        )
        return f"CPU {sum(used.values()):.0f} µs each: {parts}"


@contextmanager
def bench_stack() -> Iterator[BenchStack]:
    """Started from nothing, and gone afterwards."""
    os.environ.update(ENVIRONMENT)
    remove(HOME)
    port_base = int(os.environ.get("SEMA_PORT_BASE", DEFAULT_PORT_BASE))
    try:
        layout = _up(Layout(home=HOME, port_base=port_base), STORES)
        yield BenchStack(layout, load(layout.secrets_file))
    finally:
        remove(HOME)


def _up(layout: Layout, names: Sequence[str]) -> Layout:
    """Without the list of what is ready: the table is what this program has to say."""
    with redirect_stdout(io.StringIO()):
        return control.up(layout, names)


def _open(request: str | urllib.request.Request) -> None:
    """2xx, or an OSError."""
    urllib.request.urlopen(request, timeout=5).close()  # noqa: S310 - of this stack


@contextmanager
def _process(module: str, env: dict[str, str], log: Any) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, "-m", module], env=env, cwd=ROOT, stdout=log, stderr=log)
    try:
        yield process
    finally:
        process.terminate()
        process.wait()


def _stat(path: Path) -> tuple[int, float]:
    """Parent, and seconds of CPU of the process and of its children that have ended."""
    try:
        fields = path.read_text().rpartition(")")[2].split()
    except OSError:  # it has just ended
        return 0, 0.0
    return int(fields[1]), sum(map(int, fields[11:15])) / TICKS


def _rss(pid: int) -> float:
    """Megabytes."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1024
