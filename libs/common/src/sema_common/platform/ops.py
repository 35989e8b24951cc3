"""The ops port of a room: /healthz (the event loop turns), /readyz (the room can do its work), /metrics.

Health never asks a dependency: a room whose database is away is healthy and not ready. Checks run in the
background, so that a probe is answered at once, and one slow moment of a shared dependency does not take all
replicas out together.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

from prometheus_client import CONTENT_TYPE_LATEST, Gauge, generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from sema_common.platform.logs import get_logger, safe_text

log = get_logger()

CHECK_EVERY: Final = 1.0
CHECK_BUDGET: Final = 1.0
STRIKES: Final = 3
"""Failures in a row before a check counts as failed: a blink of three seconds is not an outage."""

_READY = Gauge("sema_ready", "1 when the room is ready or degraded")
_CHECK = Gauge("sema_ready_check", "1 while the check passes", ["check"])


@dataclass(slots=True)
class _Check:
    run: Callable[[], Awaitable[None]]
    required: bool
    passed: bool = False
    strikes: int = 0
    detail: str = "not checked yet"
    task: "asyncio.Task[None] | None" = field(default=None, repr=False)


class Readiness:
    """The state behind /readyz."""

    def __init__(self) -> None:
        self.started = False
        self.draining = False
        self._checks: dict[str, _Check] = {}
        self._running = False

    def add(self, name: str, run: Callable[[], Awaitable[None]], required: bool) -> None:
        check = self._checks[name] = _Check(run, required)
        check.task = asyncio.create_task(self._watch(name, check), name=f"ready-{name}")

    def clear(self) -> None:
        """Forget all checks: their room was unwound."""
        for check in self._checks.values():
            if check.task is not None:
                check.task.cancel()
        self._checks.clear()

    @asynccontextmanager
    async def running(self) -> "AsyncIterator[Readiness]":
        try:
            yield self
        finally:
            self.clear()

    def report(self) -> tuple[str, dict[str, str]]:
        """`ready`, `degraded` or `unready`, and each check's word."""
        checks = {name: "ok" if check.passed else check.detail for name, check in self._checks.items()}
        if self.draining:
            return "unready", {**checks, "lifecycle": "draining"}
        if not self.started:
            return "unready", {**checks, "lifecycle": "starting"}
        if any(check.required and not check.passed for check in self._checks.values()):
            return "unready", checks
        return ("ready" if all(check.passed for check in self._checks.values()) else "degraded"), checks

    async def _watch(self, name: str, check: _Check) -> None:
        while True:
            try:
                async with asyncio.timeout(CHECK_BUDGET):
                    await check.run()
            except Exception as exc:
                check.strikes += 1
                if check.strikes >= STRIKES or not check.passed:
                    if check.passed:
                        log.warning("check_failed", check=name, detail=safe_text(exc))
                    check.passed = False
                    check.detail = f"failing: {safe_text(exc) or type(exc).__name__}"
            else:
                if not check.passed and check.strikes:
                    log.info("check_passed", check=name)
                check.passed, check.strikes = True, 0
            _CHECK.labels(name).set(check.passed)
            await asyncio.sleep(CHECK_EVERY)


def ops_app(readiness: Readiness) -> Starlette:
    """The ASGI app of the ops port."""

    async def healthz(_: Request) -> Response:
        return PlainTextResponse("ok")

    async def readyz(_: Request) -> Response:
        status, checks = readiness.report()
        return JSONResponse({"status": status, "checks": checks}, 503 if status == "unready" else 200)

    async def metrics(_: Request) -> Response:
        _READY.set(readiness.report()[0] != "unready")
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    return Starlette(
        routes=[Route("/healthz", healthz), Route("/readyz", readyz), Route("/metrics", metrics)]
    )
