"""The pieces of a room's life that need no process: periodic loops and the order of closing."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from sema_common.platform.ops import Readiness
from sema_common.platform.runtime import Room
from sema_common.platform.settings import RoomSettings
from sema_common.values.errors import StoreUnavailable

Until = Callable[[Callable[[], bool]], Awaitable[None]]


@pytest.fixture
async def room() -> AsyncIterator[Room]:
    settings = RoomSettings(amqp_url="amqp://nowhere/", environment="test")
    room = Room("test", settings, Readiness())
    yield room
    await room.close(time.monotonic() + 5)


async def test_a_loop_runs_at_once_and_whenever_it_is_woken(room: Room, until: Until) -> None:
    runs = 0

    async def run() -> None:
        nonlocal runs
        runs += 1

    loop = await room.every("woken", 3600, run)
    await until(lambda: runs == 1)
    loop.wake()
    await until(lambda: runs == 2)


async def test_a_loop_that_has_more_to_do_does_not_wait(room: Room, until: Until) -> None:
    left = 5

    async def run() -> bool:
        nonlocal left
        left -= 1
        return left > 0

    await room.every("greedy", 3600, run)
    await until(lambda: left == 0)
    await asyncio.sleep(0)
    assert left == 0


@pytest.mark.parametrize("failure", [ValueError("bug"), StoreUnavailable("away"), asyncio.CancelledError()])
async def test_a_failed_run_does_not_end_its_loop(room: Room, until: Until, failure: BaseException) -> None:
    runs = 0

    async def run() -> None:
        nonlocal runs
        runs += 1
        raise failure

    loop = await room.every("failing", 3600, run)
    for expected in (1, 2):
        await until(lambda: runs == expected)  # noqa: B023 - awaited within the turn
        loop.wake()


async def test_closing_a_loop_finishes_the_run_in_progress(room: Room) -> None:
    entered, finished = asyncio.Event(), asyncio.Event()

    async def run() -> None:
        entered.set()
        await asyncio.sleep(0)
        finished.set()

    await room.every("finishing", 3600, run)
    await entered.wait()
    assert await room.close(time.monotonic() + 5) == []
    assert finished.is_set()


async def test_everything_is_closed_in_reverse_even_if_some_of_it_fails(room: Room) -> None:
    closed: list[str] = []

    @asynccontextmanager
    async def resource(name: str) -> AsyncIterator[str]:
        yield name
        closed.append(name)
        if name == "b":
            raise OSError

    for name in "abc":
        assert await room.open(resource(name)) == name
    assert await room.close(time.monotonic() + 5) == []
    assert closed == ["c", "b", "a"]
