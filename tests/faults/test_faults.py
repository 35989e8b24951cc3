"""Whatever dies or stands still, nothing that was accepted is lost or doubled, and nobody restarts anything by hand."""

import asyncio
import signal
import time

import httpx
import pytest

from deploy.local.services import SERVICES
from tests.faults.conftest import IN_HAND, Scene
from tests.kit.client import eventually

pytestmark = [pytest.mark.stack, pytest.mark.timeout(300)]

BROKER_AWAY_SECONDS = 10.0
FROZEN_SECONDS = 8.0
ANSWER_SECONDS = 6.0


async def test_each_service_killed_at_a_random_instant(scene: Scene) -> None:
    """The aggregator takes 100 ms, so that every kill of sms-worker finds submits in flight."""
    order = scene.rng.sample(SERVICES, len(SERVICES))
    async with scene.sandbox.scripted(latency_ms=100), scene.load().running():
        for name in order:
            await asyncio.sleep(scene.rng.uniform(0.2, 1.2))
            await scene.stack.kill(name)
    report = await scene.judge(doubts=IN_HAND)
    assert report.totals["calls"] > 200


@pytest.mark.parametrize(
    ("store", "number"),
    [
        ("postgres", signal.SIGINT),
        ("postgres", signal.SIGKILL),
        ("rabbitmq", signal.SIGKILL),
        ("redis", signal.SIGKILL),
    ],
)
async def test_each_store_restarted(scene: Scene, store: str, number: signal.Signals) -> None:
    """SIGINT is Postgres's fast shutdown. RabbitMQ's clean one is in the test of its absence."""
    before = {name: scene.stack.pid(name) for name in SERVICES}
    async with scene.load().running():
        await asyncio.sleep(scene.rng.uniform(0.5, 1.0))
        await scene.stack.kill(store, number=number)
        await asyncio.sleep(1.0)
    await scene.judge()
    assert {name: scene.stack.pid(name) for name in SERVICES} == before, "a service restarted"


async def test_without_a_broker_messages_are_still_accepted(scene: Scene) -> None:
    async with scene.load().running():
        await scene.stack.stop("rabbitmq")
        ready = httpx.AsyncClient(base_url=scene.stack.env["SEMA_OPS_URL_MAIN_API"])
        until = time.monotonic() + BROKER_AWAY_SECONDS
        async with ready:
            while time.monotonic() < until:
                answer = await scene.client.post(
                    "/v1/messages",
                    {"to": "+254712000000", "from": "SEMALINK", "body": f"Away {time.monotonic()}"},
                )
                assert answer.status_code == 202, answer.text
                assert (await ready.get("/readyz")).status_code == 200
                await asyncio.sleep(0.5)
            assert (await ready.get("/readyz")).json()["status"] == "degraded"
        await scene.stack.start("rabbitmq")
    await scene.judge()


async def test_a_frozen_postgres_is_answered_503_in_time_and_heals(scene: Scene) -> None:
    body = {"to": "+254712000001", "from": "SEMALINK", "body": "While it stands still"}
    with scene.stack.frozen("postgres"):
        started = time.monotonic()
        while time.monotonic() - started < FROZEN_SECONDS:
            asked = time.monotonic()
            answers = await asyncio.gather(
                *(scene.client.http.post("/v1/messages", json=body) for _ in range(20))
            )
            assert time.monotonic() - asked < ANSWER_SECONDS
            assert {answer.status_code for answer in answers} == {503}
            assert all("retry-after" in answer.headers for answer in answers)
            assert (await scene.client.http.get("/healthz")).status_code == 200

    async def heals() -> None:
        assert (
            await scene.client.post("/v1/messages", body | {"body": "It moves again"}, "again")
        ).status_code == 202

    await eventually(heals, 10.0)
    async with scene.load().running():
        await asyncio.sleep(1.0)
    for call in list(scene.client.history):
        if call.message_id is None:
            scene.client.history.remove(call)  # tries of `heals` that were refused
    await scene.judge()


async def test_an_aggregator_that_takes_and_never_answers_gets_no_bulk_text_twice(scene: Scene) -> None:
    async with scene.sandbox.scripted(mode="timeout_after_accept"):
        async with scene.load(20.0).running():
            await asyncio.sleep(2.0)
        await asyncio.sleep(2.0)
    asked = len(scene.client.history)
    report = await scene.judge(doubts=2 * asked)
    assert report.totals["ever in doubt"] > 0


@pytest.mark.parametrize("mode", ["http_500", "reset_after_accept", "garbage", "refuse"])
async def test_an_aggregator_that_misbehaves_loses_nothing(scene: Scene, mode: str) -> None:
    async with scene.sandbox.scripted(mode=mode), scene.load(20.0).running():
        await asyncio.sleep(1.5)
    # Garbage holds ids that are not the message's, so its report finds nobody: it stays `sent`.
    await scene.judge(doubts=2 * len(scene.client.history), reported=mode != "garbage")


async def test_reports_that_come_late_twice_early_and_shuffled_change_nothing(scene: Scene) -> None:
    dlr = {"delay_ms": 500, "duplicate": 2, "shuffle": True}
    async with scene.sandbox.scripted(dlr=dlr), scene.load(40.0).running():
        await asyncio.sleep(1.5)
    async with scene.sandbox.scripted(dlr={"before_response": True}), scene.load(40.0).running():
        await asyncio.sleep(1.5)
    await scene.judge()


async def test_an_aggregator_that_is_down_and_comes_back_gets_everything(scene: Scene) -> None:
    """Its book begins anew with it, and nothing of this scene was submitted before it went."""
    await scene.stack.stop("sandbox")
    async with scene.load(40.0).running():
        await asyncio.sleep(1.5)
    await scene.stack.start("sandbox")
    report = await scene.judge()
    assert report.totals["witnessed"] >= len(scene.client.history)
