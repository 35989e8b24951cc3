"""Readiness: three strikes, required against optional, and a word for every state of a room's life."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import httpx
import pytest

from sema_common.platform import ops
from sema_common.platform.ops import Readiness, ops_app

Until = Callable[[Callable[[], bool]], Awaitable[None]]


class Check:
    def __init__(self) -> None:
        self.fails = False
        self.calls = 0

    async def __call__(self) -> None:
        self.calls += 1
        if self.fails:
            raise ConnectionError("away")


@pytest.fixture
async def readiness(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Readiness]:
    monkeypatch.setattr(ops, "CHECK_EVERY", 0.001)
    async with Readiness().running() as readiness:
        readiness.started = True
        yield readiness


async def test_unready_until_every_required_check_has_passed_once(readiness: Readiness, until: Until) -> None:
    check = Check()
    readiness.add("postgres", check, True)
    assert readiness.report() == ("unready", {"postgres": "not checked yet"})
    await until(lambda: readiness.report()[0] == "ready")


async def test_two_failures_are_a_blink_and_three_an_outage(readiness: Readiness, until: Until) -> None:
    check = Check()
    readiness.add("postgres", check, True)
    await until(lambda: readiness.report()[0] == "ready")
    check.fails, check.calls = True, 0
    seen = []
    while check.calls < 3:
        seen.append((check.calls, readiness.report()[0]))
        await asyncio.sleep(0)
    assert {status for calls, status in seen if calls < 3} == {"ready"}
    await until(lambda: readiness.report()[0] == "unready")
    assert readiness.report()[1]["postgres"] == "failing: away"
    check.fails = False
    await until(lambda: readiness.report()[0] == "ready")


async def test_an_optional_check_only_degrades(readiness: Readiness, until: Until) -> None:
    check = Check()
    check.fails = True
    readiness.add("redis", check, False)
    await until(lambda: check.calls > 0)
    await until(lambda: readiness.report()[0] == "degraded")


async def test_a_check_that_hangs_fails_by_its_budget(
    readiness: Readiness, monkeypatch: pytest.MonkeyPatch, until: Until
) -> None:
    monkeypatch.setattr(ops, "CHECK_BUDGET", 0.001)
    readiness.add("hung", asyncio.Event().wait, True)  # type: ignore[arg-type]
    await until(lambda: readiness.report()[1]["hung"].startswith("failing"))


async def test_the_probes_answer_at_once_in_every_state(readiness: Readiness) -> None:
    readiness.started = False
    client = httpx.AsyncClient(transport=httpx.ASGITransport(ops_app(readiness)), base_url="http://ops")
    async with client:
        assert (await client.get("/healthz")).status_code == 200
        answer = await client.get("/readyz")
        assert (answer.status_code, answer.json()) == (
            503,
            {"status": "unready", "checks": {"lifecycle": "starting"}},
        )
        readiness.started = True
        answer = await client.get("/readyz")
        assert (answer.status_code, answer.json()) == (200, {"status": "ready", "checks": {}})
        readiness.draining = True
        assert (await client.get("/readyz")).status_code == 503
        assert (await client.get("/healthz")).status_code == 200
        assert "sema_ready 0.0" in (await client.get("/metrics")).text
