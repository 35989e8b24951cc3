"""The life of a room: settings, logs, traces, the ops port, an orderly start, and an end that loses nothing.

`run` is all that a `__main__` calls. It opens what `open_room` asks for, in that order, and closes it in
reverse. A dependency that is away at the start is waited for, with /healthz fine and /readyz not; SIGTERM
makes the room unready, then everything stops taking and finishes what it has. What must never happen here:
anything that only one room needs.
"""

import asyncio
import contextlib
import os
import random
import signal
import socket
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from importlib import metadata
from typing import Any, Final, NoReturn, TypeVar

import uvicorn
import uvloop
from prometheus_client import Counter, Gauge, Histogram
from starlette.types import ASGIApp

from sema_common.platform import logs, telemetry
from sema_common.platform.ops import Readiness, ops_app
from sema_common.platform.settings import RoomSettings, load
from sema_common.values.errors import RetryLater

log = logs.get_logger()

S = TypeVar("S", bound=RoomSettings)
T = TypeVar("T")

WATCHDOG_MARGIN: Final = 3.0
"""Seconds after the drain until the process is ended by force. The drain bounds everything that closes in an
orderly way (25 s by default); what it cuts short has `LAST_GASP` to let go, one second is for the last spans
(`telemetry.FLUSH_SECONDS`) and one is slack. 28 s in all, below the 30 to 40 s that platforms grant."""

LAST_GASP: Final = 1.0
BACKLOG: Final = 2048
KEEPALIVE_SECONDS: Final = 75
"""Longer than a load balancer keeps an idle connection (60 s is common): the side that closes first should be
the one that sends, or a request meets a connection that is just going away."""

RESTART_FIRST: Final = 0.5
RESTART_LAST: Final = 10.0
LAG_EVERY: Final = 0.5

_BUILD = Gauge("sema_build_info", "1, with what is running here", ["service", "version"])
_LAG = Histogram(
    "sema_event_loop_lag_seconds",
    "How late the event loop wakes a sleeper",
    buckets=(0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5),
)
_LOOP_RUNS = Counter("sema_loop_runs_total", "Runs of a periodic loop", ["loop", "outcome"])
_LOOP_SECONDS = Histogram("sema_loop_seconds", "Duration of one run", ["loop"])
_LOOP_LAST = Gauge("sema_loop_last_success_timestamp", "When a loop last went well", ["loop"])


class Loop:
    """A periodic task of a room. `wake()` makes it run now instead of at its time."""

    def __init__(self, name: str, seconds: float, fn: Callable[[], Awaitable[bool | None]]) -> None:
        self.name = name
        self._seconds = seconds
        self._fn = fn
        self._wake = asyncio.Event()
        self._stopping = False
        self._ok, self._failed = _LOOP_RUNS.labels(name, "ok"), _LOOP_RUNS.labels(name, "failed")

    def wake(self) -> None:
        self._wake.set()

    @asynccontextmanager
    async def running(self) -> "Any":
        """Run until the context ends; the run in progress is finished, not cancelled."""
        task = asyncio.create_task(self._run(), name=f"loop-{self.name}")
        try:
            yield self
            self._stopping = True
            self._wake.set()
            await task
        finally:
            task.cancel()

    async def _run(self) -> None:
        while not self._stopping:
            self._wake.clear()
            if await self._once():
                await asyncio.sleep(0)
                continue
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._seconds * random.uniform(0.9, 1.1)):
                    await self._wake.wait()

    async def _once(self) -> bool:
        """One run; True if the function says that there is more to do."""
        started = time.perf_counter()
        try:
            more = await self._fn()
        except RetryLater as exc:
            self._failed.inc()
            log.warning("loop_retries", loop=self.name, detail=exc.detail)
            return False
        except Exception:
            self._failed.inc()
            log.exception("loop_failed", loop=self.name)
            return False
        self._ok.inc()
        _LOOP_SECONDS.labels(self.name).observe(time.perf_counter() - started)
        _LOOP_LAST.labels(self.name).set_to_current_time()
        return more is True


@dataclass(slots=True)
class _Opened:
    name: str
    manager: AbstractAsyncContextManager[Any]


class Room:
    """What `open_room` builds with. Everything opened here is closed in reverse, under one deadline."""

    def __init__(self, service: str, settings: RoomSettings, readiness: Readiness) -> None:
        self.service = service
        self._settings = settings
        self._readiness = readiness
        self._opened: list[_Opened] = []
        self.closing = ""

    async def open(self, manager: AbstractAsyncContextManager[T], name: str | None = None) -> T:
        """Enter an async context manager and keep it open; `name` is how a hang would be reported."""
        value = await manager.__aenter__()
        self._opened.append(_Opened(name or type(value if value is not None else manager).__name__, manager))
        return value

    def ready_when(self, name: str, check: Callable[[], Awaitable[None]], required: bool = True) -> None:
        """Readiness depends on `check()` not raising; `required=False` only degrades it.

        Checked in the background once a second with a second's budget; three failures in a row count.
        """
        self._readiness.add(name, check, required)

    async def every(self, name: str, seconds: float, fn: Callable[[], Awaitable[bool | None]]) -> Loop:
        """Run `fn` now and then every `seconds` (± 10 %). Errors are logged and counted, never fatal.

        `fn` returns True to be run again at once (there was more to do).
        """
        loop: Loop = await self.open(Loop(name, seconds, fn).running(), f"loop {name}")
        return loop

    async def serve_http(self, app: ASGIApp, host: str, port: int, *, drain: float | None = None) -> int:
        """Serve `app`; closing refuses connections and finishes open requests. Returns the bound port."""
        seconds = self._settings.drain_seconds if drain is None else drain
        bound: int = await self.open(_http(app, host, port, seconds), f"http {host}:{port}")
        return bound

    async def close(self, deadline: float) -> list[str]:
        """Close everything in reverse; names of what did not end by itself before `deadline` (monotonic)."""
        hung: list[str] = []
        while self._opened:
            opened = self._opened.pop()
            self.closing = opened.name
            left = max(deadline - time.monotonic(), 0.0)
            try:
                # in this task, not through wait_for: a context is left where it was entered
                async with asyncio.timeout(left or LAST_GASP / 4):
                    await opened.manager.__aexit__(None, None, None)
            except TimeoutError:
                hung.append(opened.name)
                log.error("close_cut_short", resource=opened.name)
            except Exception:
                log.exception("close_failed", resource=opened.name)
        self.closing = ""
        return hung


OpenRoom = Callable[[Room, S], Awaitable[None]]


def run(service: str, settings_cls: type[S], open_room: OpenRoom[S]) -> NoReturn:
    """Run a room until SIGTERM or SIGINT, and exit: 0 drained, 1 crashed or hung, 78 wrong configuration."""
    settings = load(settings_cls)
    version = _version(service)
    logs.setup(service, settings.log_level)
    telemetry.setup(
        service,
        version,
        ratio=settings.trace_sample_ratio,
        otlp_endpoint=settings.otlp_endpoint,
        trace_file=settings.trace_file,
    )
    _BUILD.labels(service, version).set(1)
    log.info("starting", version=version, environment=settings.environment, pid=os.getpid())
    try:
        code = uvloop.run(_live(service, settings, open_room))
    except Exception:
        log.exception("crashed")
        code = 1
    telemetry.shutdown()
    log.info("stopped", code=code)
    sys.stdout.flush()
    os._exit(code)  # nothing of ours is left, and a stray thread of a library must not keep us


async def _live(service: str, settings: S, open_room: OpenRoom[S]) -> int:
    """The whole life, in one task: what is entered here is left here."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for signum in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signum, stop.set)
    readiness = Readiness()
    ops = Room(service, settings, readiness)
    room = Room(service, settings, readiness)
    await ops.open(readiness.running(), "readiness")
    await ops.open(_measuring_lag(), "lag")
    await ops.serve_http(ops_app(readiness), settings.ops_host, settings.ops_port, drain=1.0)
    started = await _open_with_patience(room, settings, open_room, readiness, stop)
    if started:
        readiness.started = True
        log.info("started")
        await stop.wait()
    readiness.draining = True
    deadline = time.monotonic() + settings.drain_seconds
    log.info("draining", seconds=settings.drain_seconds)
    with _watchdog(settings.drain_seconds + WATCHDOG_MARGIN, room):
        if started and settings.drain_notice_seconds:
            await asyncio.sleep(min(settings.drain_notice_seconds, settings.drain_seconds / 2))
        hung = await room.close(deadline)
        await ops.close(max(deadline, time.monotonic()) + LAST_GASP)
    return 1 if hung else 0


async def _open_with_patience(
    room: Room, settings: S, open_room: OpenRoom[S], readiness: Readiness, stop: asyncio.Event
) -> bool:
    """Open the room; while a dependency is away, unwind and try again. False if stopped before it was open."""
    delay = RESTART_FIRST
    me = asyncio.current_task()
    assert me is not None
    while not stop.is_set():
        interrupt = asyncio.create_task(_cancel_when(stop, me))
        try:
            await open_room(room, settings)
            return True
        except RetryLater as exc:
            log.warning("start_waits", detail=exc.detail, delay=delay)
        except asyncio.CancelledError:
            if not stop.is_set():
                raise
            me.uncancel()
            return False
        except Exception:
            await room.close(time.monotonic() + settings.drain_seconds)
            raise
        finally:
            interrupt.cancel()
        await room.close(time.monotonic() + settings.drain_seconds)
        readiness.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(delay * random.uniform(0.8, 1.2)):
                await stop.wait()
        delay = min(delay * 2, RESTART_LAST)
    return False


async def _cancel_when(stop: asyncio.Event, task: "asyncio.Task[Any]") -> None:
    await stop.wait()
    task.cancel()


@contextlib.contextmanager
def _watchdog(seconds: float, room: Room) -> Iterator[None]:
    """A thread of its own, since what hangs may be the event loop."""

    def bite() -> None:
        log.error("watchdog", hung=room.closing or "event loop", seconds=seconds)
        os._exit(1)

    timer = threading.Timer(seconds, bite)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


class _Server(uvicorn.Server):
    """uvicorn without its signal handlers: when to stop is the runtime's decision."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.up = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.up.set()


@asynccontextmanager
async def _http(app: ASGIApp, host: str, port: int, drain: float) -> "Any":
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind((host, port))
    sock.setblocking(False)
    server = _Server(
        uvicorn.Config(
            app,
            http="httptools",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            date_header=False,
            proxy_headers=False,
            backlog=BACKLOG,
            timeout_keep_alive=KEEPALIVE_SECONDS,
            timeout_graceful_shutdown=max(1, int(drain)),
        )
    )
    task = asyncio.create_task(server.serve([sock]), name=f"http-{port}")
    up = asyncio.create_task(server.up.wait())
    await asyncio.wait({task, up}, return_when=asyncio.FIRST_COMPLETED)
    if task.done():
        up.cancel()
        await task
    try:
        yield sock.getsockname()[1]
    finally:
        server.should_exit = True
        try:
            await task
        finally:
            task.cancel()
            sock.close()


@asynccontextmanager
async def _measuring_lag() -> "Any":
    async def measure() -> None:
        while True:
            before = time.perf_counter()
            await asyncio.sleep(LAG_EVERY)
            _LAG.observe(max(0.0, time.perf_counter() - before - LAG_EVERY))

    task = asyncio.create_task(measure(), name="lag")
    try:
        yield None
    finally:
        task.cancel()


def _version(service: str) -> str:
    try:
        return metadata.version(f"sema-{service}")
    except metadata.PackageNotFoundError:
        return "unknown"
