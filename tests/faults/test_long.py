"""The long form, `make faults`: rounds of one random fault after another under load, judged after each round.

ROUNDS (20 by default) rounds; n rounds without a violation bound the rate of one below 3/n at 95 %.
"""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable

import pytest

from deploy.local.services import SERVICES
from tests.faults.scene import IN_HAND, Scene

ROUNDS = int(os.environ.get("ROUNDS", "20"))
FAULTS_A_ROUND = 4

pytestmark = [pytest.mark.stack, pytest.mark.long, pytest.mark.timeout(600)]

Fault = Callable[[Scene], Awaitable[None]]


async def kill_a_service(scene: Scene) -> None:
    await scene.stack.kill(scene.rng.choice(SERVICES))


async def kill_several_services_at_once(scene: Scene) -> None:
    names = scene.rng.sample(SERVICES, scene.rng.randint(2, len(SERVICES)))
    await asyncio.gather(*(scene.stack.kill(name) for name in names))


async def kill_a_store(scene: Scene) -> None:
    await scene.stack.kill(scene.rng.choice(("postgres", "redis", "rabbitmq")))


async def restart_a_store(scene: Scene) -> None:
    store, number = scene.rng.choice((("postgres", signal.SIGINT), ("rabbitmq", signal.SIGTERM)))
    await scene.stack.kill(store, number=number)


async def kill_a_store_and_a_service(scene: Scene) -> None:
    await asyncio.gather(kill_a_store(scene), kill_a_service(scene))


async def freeze_a_store(scene: Scene) -> None:
    with scene.stack.frozen(scene.rng.choice(("postgres", "redis", "rabbitmq"))):
        await asyncio.sleep(scene.rng.uniform(1.0, 8.0))


async def stop_a_service_cleanly(scene: Scene) -> None:
    await scene.stack.kill(scene.rng.choice(SERVICES), number=signal.SIGTERM)


async def take_the_broker_away(scene: Scene) -> None:
    await scene.stack.stop("rabbitmq")
    await asyncio.sleep(scene.rng.uniform(1.0, 15.0))
    await scene.stack.start("rabbitmq")


async def trouble_the_aggregator(scene: Scene) -> None:
    mode = scene.rng.choice(("http_500", "reset_after_accept", "timeout_after_accept", "garbage", "refuse"))
    async with scene.sandbox.scripted(mode=mode, error_rate=0.2, dlr={"shuffle": True, "duplicate": 1}):
        await asyncio.sleep(scene.rng.uniform(1.0, 3.0))


FAULTS: tuple[Fault, ...] = (
    kill_a_service,
    kill_several_services_at_once,
    kill_a_store,
    restart_a_store,
    kill_a_store_and_a_service,
    freeze_a_store,
    stop_a_service_cleanly,
    take_the_broker_away,
    trouble_the_aggregator,
)


@pytest.mark.parametrize("number", range(ROUNDS))
async def test_a_round_of_random_faults(scene: Scene, number: int) -> None:
    chosen = scene.rng.choices(FAULTS, k=FAULTS_A_ROUND)
    print(f"round {number}: {', '.join(fault.__name__ for fault in chosen)}")
    async with scene.load().running():
        for fault in chosen:
            await asyncio.sleep(scene.rng.uniform(0.1, 1.5))
            await fault(scene)
    # Whatever was in hand at each of these faults may be in doubt, and on the priority lane twice.
    await scene.judge(doubts=2 * FAULTS_A_ROUND * IN_HAND)
