"""Faults of our own processes: killed at a random instant, told to end under load, given poison."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import aio_pika
import asyncpg
import httpx

from deploy.local.programs import birth
from deploy.local.services import SERVICES
from tests.faults.case import Case
from tests.faults.scene import IN_HAND, Injection, Scene
from tests.kit.client import eventually

DELIVERIES: Final = 6
"""RabbitMQ's count of returns passes the limit of five."""

DRAIN_SECONDS: Final = 28.0
"""25 s for what closes in order, and what the watchdog allows on top (`sema_common.platform.runtime`)."""


async def each_killed(scene: Scene, injection: Injection) -> None:
    """The aggregator takes 100 ms, so that every kill of sms-worker finds submits in flight."""
    async with scene.sandbox.scripted(latency_ms=100):
        for name in scene.rng.sample(SERVICES, len(SERVICES)):
            await asyncio.sleep(scene.rng.uniform(0.1, 0.6))
            scene.stack.signal(name, signal.SIGKILL)
        injection.lifted()
        await eventually(lambda: all_ready(scene), 60.0)


async def all_ready(scene: Scene) -> None:
    for name in SERVICES:
        state = scene.stack.state(name)
        assert state["phase"] == "ready", (name, state)
        assert birth(state["pid"]), f"{name} has ended, and the supervisor has not seen that yet"


async def each_told_to_end(scene: Scene, injection: Injection) -> None:
    """SIGTERM, one room after the other: each finishes what it has, in time, and the door drops nothing."""
    failed: list[str] = []
    log = scene.stack.layout.log_file("supervisor")
    before = len(log.read_text())
    asking = asyncio.create_task(_ask_without_pause(scene, failed))
    for name in scene.rng.sample(SERVICES, len(SERVICES)):
        pid = scene.stack.signal(name, signal.SIGTERM)
        started = time.monotonic()
        await eventually(lambda name=name, pid=pid: _replaced(scene, name, pid), 60.0)  # type: ignore[misc]
        assert time.monotonic() - started < DRAIN_SECONDS, name
    injection.lifted()
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    assert not failed, failed[:5]
    said = log.read_text()[before:]
    assert said.count("ended with 0 ") == len(SERVICES), said


async def _replaced(scene: Scene, name: str, pid: int) -> None:
    state = scene.stack.state(name)
    assert state["phase"] == "ready", state
    assert state["pid"] != pid


async def _ask_without_pause(scene: Scene, failed: list[str]) -> None:
    """Each request on a connection of its own: refused is what a load balancer would not have sent."""
    while True:
        async with httpx.AsyncClient(base_url=scene.stack.env["SEMA_API_URL"], timeout=20.0) as http:
            try:
                answer = await http.get("/healthz")
                if answer.status_code != 200:
                    failed.append(str(answer.status_code))
            except (httpx.ConnectError, httpx.ReadError):  # the latter: reset before anybody took it
                await asyncio.sleep(0.02)
            except httpx.TransportError as exc:
                failed.append(repr(exc))


async def poison(scene: Scene, _: Injection) -> None:
    """Nobody can read it: into the dead letters at once, with the reason, while everything else flows."""
    bodies: tuple[tuple[str, int, bytes], ...] = (
        ("sms.jobs", 1, b"not json"),
        ("sms.jobs", 1, b'{"jobs": [{"message_id": 7}]}'),
        ("sms.jobs", 99, b"{}"),
        ("nobody.knows", 1, b"{}"),
        ("sms.jobs", 1, b'{"jobs": "' + b"x" * 10_000_000 + b'"}'),
    )
    connection = await aio_pika.connect(scene.stack.env["AMQP_URL"])
    async with connection, connection.channel() as channel:
        for queue in ("sms.normal", "sms.priority", "dlr.inbound", "webhooks.outbound"):
            for type_, version, body in bodies:
                message = aio_pika.Message(body, type=type_, headers={"version": version})
                await channel.default_exchange.publish(message, queue)
    expected = 4 * len(bodies)
    db = await asyncpg.connect(scene.stack.env["DATABASE_URL"])

    async def kept() -> list[Any]:
        rows = await db.fetch(
            "SELECT id, queue, reason FROM core.dead_letters WHERE state = 'open' AND dead_at >= $1",
            scene.since,
        )
        assert len(rows) == expected, [tuple(row.values()) for row in rows]
        return rows

    try:
        rows = await eventually(kept, 60.0)
        assert all(row["reason"].startswith(("malformed", "unknown message")) for row in rows), rows
        # The operator's decision, so that the checker finds no letter that waits for one.
        await db.execute(
            "UPDATE core.dead_letters SET state = 'discarded' WHERE id = ANY($1::uuid[])",
            [row["id"] for row in rows],
        )
    finally:
        await db.close()


async def killer(scene: Scene, injection: Injection) -> None:
    """One message kills whichever sms-worker takes it in hand: a dead letter after six deliveries, which a crash is for
    all that was in hand, and nothing else with it. Staff send it again once the defect is mended.
    """
    text = f"It kills {scene.rng.getrandbits(48):012x}"
    arm = scene.points.arm("sender.before_claim", "kill", times=1_000, about=text)
    message = await scene.client.send("+254712000009", text, lane="priority")
    letter = await eventually(lambda: _letter(scene), 150.0)
    assert scene.points.fired(arm) == DELIVERIES
    assert (letter["reason"], letter["queue"]) == ("delivery_limit", "sms.priority")
    assert message["id"] in letter["body"]
    scene.points.disarm(arm)
    injection.lifted()
    await eventually(lambda: all_ready(scene), 60.0)
    async with staff(scene) as http:
        answer = await http.post(f"/v1/admin/dlq/sms.priority/messages/{letter['id']}/republish")
        assert answer.status_code == 200, answer.text
    await scene.client.reaches(message["id"], "delivered", seconds=30.0)


async def _letter(scene: Scene) -> dict[str, Any]:
    """The one letter since the scene began: several would be neighbours."""
    db = await asyncpg.connect(scene.stack.env["DATABASE_URL"])
    try:
        rows = await db.fetch(
            "SELECT id, queue, reason, convert_from(body, 'UTF8') AS body FROM core.dead_letters WHERE dead_at >= $1",
            scene.since,
        )
    finally:
        await db.close()
    assert len(rows) == 1, [tuple(row.values()) for row in rows]
    return dict(rows[0])


@asynccontextmanager
async def staff(scene: Scene) -> AsyncIterator[httpx.AsyncClient]:
    """A member of staff, logged in."""
    env = scene.stack.env
    async with httpx.AsyncClient(base_url=env["SEMA_API_URL"], timeout=30.0) as http:
        login = {"email": env["SEMA_STAFF_EMAIL"], "password": env["SEMA_STAFF_PASSWORD"]}
        token = (await http.post("/v1/auth/login", json=login)).json()["access_token"]
        http.headers["authorization"] = f"Bearer {token}"
        yield http


CASES: Final = (
    Case("F4 F5 F7", "each room killed -9 at a random instant", 20, each_killed, doubts=IN_HAND, short=True),
    Case(
        "F6", "one message kills its sms-worker six times", 20, killer, rate=20.0, doubts=DELIVERIES * IN_HAND
    ),
    Case("F34", "each room told to end (SIGTERM)", 20, each_told_to_end, rate=20.0),
    Case("F35", "poison in four queues, 10 MB of it too", 10, poison, short=True),
)
