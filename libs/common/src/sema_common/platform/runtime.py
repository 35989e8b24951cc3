"""The life of a room: settings, logs, traces, the ops port, an orderly start, and an end that loses nothing.

`run` is all that a `__main__` calls. It opens what `open_room` asks for, in that order, and closes it in
reverse. A dependency that is away at the start is waited for, with /healthz fine and /readyz not; SIGTERM
makes the room unready, then everything stops taking and finishes what it has. What must never happen here:
anything that only one room needs.
"""

import asyncio
import contextlib
import gc
import os
import random
import signal
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from importlib import metadata
from typing import Any, Final, NoReturn, TypeVar

import uvloop
from prometheus_client import Gauge, Histogram, disable_created_metrics

from sema_common.platform import faults, logs, telemetry
from sema_common.platform.ops import Readiness, ops_app
from sema_common.platform.room import LAST_GASP, Loop, Room
from sema_common.platform.settings import RoomSettings, load
from sema_common.values.errors import RetryLater

__all__ = ["Loop", "Room", "run"]

log = logs.get_logger()

S = TypeVar("S", bound=RoomSettings)

WATCHDOG_MARGIN: Final = 3.0
"""Seconds after the drain until the process is ended by force. The drain bounds everything that closes in an
orderly way (25 s by default); what it cuts short has `LAST_GASP` to let go, one second is for the last spans
(`telemetry.FLUSH_SECONDS`) and one is slack. 28 s in all, below the 30 to 40 s that platforms grant."""

COLLECT_EVERY: Final = 10_000
"""Objects made (and not yet freed) between two looks at the young ones; 700 is what Python starts with."""

RESTART_FIRST: Final = 0.5
RESTART_LAST: Final = 10.0
LAG_EVERY: Final = 0.5

_BUILD = Gauge("sema_build_info", "1, with what is running here", ["service", "version"])
_LAG = Histogram(
    "sema_event_loop_lag_seconds",
    "How late the event loop wakes a sleeper",
    buckets=(0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5),
)

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
    disable_created_metrics()  # type: ignore[no-untyped-call]
    _BUILD.labels(service, version).set(1)
    if settings.faults_dir is not None:
        faults.enable(settings.faults_dir)
    log.info("starting", version=version, environment=settings.environment, pid=os.getpid())
    try:
        code = uvloop.run(_live(service, settings, open_room))
    except Exception:
        log.exception("crashed")
        code = 1
    telemetry.shutdown()
    log.info("stopped", code=code)
    logs.flush()
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
        _tune_collector()
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


def _tune_collector() -> None:
    """What stands after the start stays: the collector need not look at it again, and may look less often.

    Nearly all garbage of a room goes by reference counts; what is left are cycles of exceptions and tasks.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(COLLECT_EVERY, 20, 20)


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
        logs.flush()
        os._exit(1)

    timer = threading.Timer(seconds, bite)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


@asynccontextmanager
async def _measuring_lag() -> AsyncIterator[None]:
    async def measure() -> None:
        while True:
            before = time.perf_counter()
            await asyncio.sleep(LAG_EVERY)
            _LAG.observe(max(0.0, time.perf_counter() - before - LAG_EVERY))

    task = asyncio.create_task(measure(), name="lag")
    try:
        yield
    finally:
        task.cancel()


def _version(service: str) -> str:
    try:
        return metadata.version(f"sema-{service}")
    except metadata.PackageNotFoundError:
        return "unknown"
