"""What a room is built with: resources that are closed in reverse, periodic loops, readiness, HTTP.

What must never happen here: a resource closed in another task than it was opened in, or a close without a
deadline.
"""

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from prometheus_client import Counter, Gauge, Histogram
from starlette.types import ASGIApp

from sema_common.platform.cancelling import is_asked
from sema_common.platform.logs import get_logger
from sema_common.platform.ops import Readiness
from sema_common.platform.server import serving
from sema_common.platform.settings import RoomSettings
from sema_common.values.errors import RetryLater

log = get_logger()

T = TypeVar("T")

HTTP_SHARE: Final = 0.6
"""Of the drain, what open requests may take at most: the batches behind them need the rest."""

LAST_GASP: Final = 1.0
"""Seconds that everything still open shares once the deadline has passed: enough to close sockets."""

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
    async def running(self) -> "AsyncIterator[Loop]":
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
        except (Exception, asyncio.CancelledError) as exc:
            if is_asked(exc):
                raise
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

    def report(self) -> tuple[str, dict[str, str]]:
        """`ready`, `degraded` or `unready`, and each check's word: what /readyz says, for a public port."""
        return self._readiness.report()

    @property
    def draining(self) -> bool:
        """Whether the end has begun: a public port's /readyz says so, that a load balancer looks away."""
        return self._readiness.draining

    async def every(self, name: str, seconds: float, fn: Callable[[], Awaitable[bool | None]]) -> Loop:
        """Run `fn` now and then every `seconds` (± 10 %). Errors are logged and counted, never fatal.

        `fn` returns True to be run again at once (there was more to do).
        """
        loop: Loop = await self.open(Loop(name, seconds, fn).running(), f"loop {name}")
        return loop

    async def serve_http(self, app: ASGIApp, host: str, port: int, *, drain: float | None = None) -> int:
        """Serve `app`; closing refuses connections and finishes open requests. Returns the bound port."""
        seconds = self._settings.drain_seconds * HTTP_SHARE if drain is None else drain
        bound: int = await self.open(serving(app, host, port, seconds), f"http {host}:{port}")
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
