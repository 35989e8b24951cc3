"""Faults of those outside: aggregators that fail in every way they know, reports, customers' webhooks."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from typing import Any, Final

from tests.faults.case import Case, Inject
from tests.faults.scene import EVENTS, Injection, Scene
from tests.kit.client import eventually

FLOOD_COPIES: Final = 10


def behaving(seconds: float, **script: Any) -> Inject:
    async def inject(scene: Scene, _: Injection) -> None:
        async with scene.sandbox.scripted(**script):
            await asyncio.sleep(seconds)

    inject.__name__ = "_".join(str(value) for value in (script.get("mode", "dlr"), *script.get("dlr", ())))
    return inject


async def aggregator_gone(scene: Scene, _: Injection) -> None:
    """Refused connections: nothing was sent, so everything waits and goes out when it is back.

    Its book begins anew with it, and so does what the checker joins with it.
    """
    await scene.stack.stop("sandbox")
    await asyncio.sleep(1.5)
    scene.since = datetime.now(UTC)
    await scene.stack.start("sandbox")


async def reports_flood(scene: Scene, _: Injection) -> None:
    """Every report ten times, and the broker killed in the middle of it: each is stored or asked for again."""
    async with scene.sandbox.scripted(dlr={"duplicate": FLOOD_COPIES}):
        async with scene.load(100.0).running():
            await asyncio.sleep(2.0)
            await scene.stack.kill("rabbitmq")
            await asyncio.sleep(1.0)

        async def acknowledged() -> None:
            stats = (await scene.sandbox.http.get("/_control/celcom/stats")).json()
            assert stats["dlr_pending"] == 0, stats
            assert stats["dlr_refused"] == 0, stats

        await eventually(acknowledged, 60.0)


async def host_unknown(scene: Scene, _: Injection) -> None:
    """A webhook whose host has no address delays its own deliveries and nobody else's."""
    answer = await scene.client.post(
        "/v1/webhooks", {"url": "https://nowhere.invalid/hook", "events": EVENTS}
    )
    assert answer.status_code == 201, answer.text
    await _hooks_in_time(scene)
    await scene.client.http.delete(f"/v1/webhooks/{answer.json()['id']}")


async def hooks_hang(scene: Scene, _: Injection) -> None:
    """One of ten endpoints never answers: the others get their first attempts as if it were not there."""
    names = [f"{scene.hook}-{number}" for number in range(9)]
    ids = []
    for name in names:
        answer = await scene.client.post(
            "/v1/webhooks", {"url": scene.sandbox.hook_url(name), "events": ["message.delivered"]}
        )
        assert answer.status_code == 201, answer.text
        ids.append(answer.json()["id"])
    await scene.sandbox.answer_hook(names[0], latency_ms=12_000)
    await _hooks_in_time(scene)
    await scene.sandbox.answer_hook(names[0])
    for webhook in ids:
        await scene.client.http.delete(f"/v1/webhooks/{webhook}")


async def _hooks_in_time(scene: Scene) -> None:
    """Of twenty messages the customer's own webhook hears within five seconds (the 95th of a hundred, F33)."""
    waits = []
    for number in range(20):
        message = await scene.client.send("+254712000005", f"Told in time {time.monotonic()} {number}")
        started = time.monotonic()

        async def told(wanted: str = message["id"]) -> None:
            bodies = [receipt["body"] for receipt in await scene.sandbox.received(scene.hook)]
            assert any(wanted in body and "message.delivered" in body for body in bodies)

        await eventually(told, 20.0)
        waits.append(time.monotonic() - started)
    assert sorted(waits)[18] <= 5.0, sorted(waits)


CASES: Final = (
    Case("F23", "aggregator answers 500", 15, behaving(2.0, mode="http_500"), rate=20.0, doubts=500),
    Case("F23", "aggregator refuses every number", 5, behaving(1.5, mode="refuse"), rate=20.0),
    Case("F23", "aggregator away, connections refused", 15, aggregator_gone, rate=40.0, apart=True),
    Case("F24", "accepted, never answered", 15, behaving(2.0, mode="timeout_after_accept"), rate=20.0, doubts=500),
    Case("F24", "accepted, connection reset", 15, behaving(2.0, mode="reset_after_accept"), rate=20.0, doubts=500),
    Case(
        "F26",
        "nonsense of six kinds instead of an answer",
        15,
        behaving(2.0, mode="garbage"),
        rate=20.0,
        doubts=500,
        # It holds ids that are not the message's, so its report finds nobody: it stays `sent`.
        known={"reported": False},
    ),
    Case("F27", "reports before the answers", 5, behaving(2.0, dlr={"before_response": True}), rate=40.0, short=True),
    Case(
        "F28",
        "reports late, three times, shuffled",
        5,
        behaving(2.0, dlr={"delay_ms": 500, "duplicate": 2, "shuffle": True}),
        rate=40.0,
    ),
    # It brings its own load; what else comes meanwhile leaves moments without a report under way.
    Case("F29", "reports ten times over, broker killed", 30, reports_flood, rate=0.2),
    Case("F32", "a webhook's host has no address", 5, host_unknown, rate=10.0),
    Case("F33", "one of ten webhooks hangs", 10, hooks_hang, rate=10.0),
)  # fmt: skip
