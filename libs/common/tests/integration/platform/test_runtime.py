"""The life of a room, as a process: starts late rather than never, ends without losing anything."""

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from sema_common.platform.bus import Bus, DeadLetter
from sema_common.platform.http import Http, TransportError
from sema_common.wire.content import ScreenCampaign

POISON = UUID(int=13)
"""What the case `crashes` of the room dies of."""

SCRIPT = Path(__file__).with_name("room_under_test.py")


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


class RoomProcess:
    """The process, its log lines as they come, and its ops port."""

    def __init__(self, process: asyncio.subprocess.Process, ops_port: int) -> None:
        self.process = process
        self.ops_port = ops_port
        self.lines: list[dict[str, Any]] = []
        self._news = asyncio.Condition()
        self._reader = asyncio.create_task(self._read())

    async def _read(self) -> None:
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            async with self._news:
                self.lines.append(json.loads(line))
                self._news.notify_all()

    def events(self) -> list[str]:
        return [line["event"] for line in self.lines]

    async def said(self, event: str) -> dict[str, Any]:
        async with asyncio.timeout(20), self._news:
            await self._news.wait_for(lambda: event in self.events())
        return next(line for line in self.lines if line["event"] == event)

    async def ops(self, path: str) -> tuple[int, str]:
        async with Http.open(f"http://127.0.0.1:{self.ops_port}") as http:
            answer = await http.request("GET", path)
            return answer.status, answer.text

    async def becomes(self, status: str) -> dict[str, str]:
        """Waits for /readyz to say `status`; its checks."""
        async with asyncio.timeout(20):
            while True:
                with contextlib.suppress(TransportError):
                    report = json.loads((await self.ops("/readyz"))[1])
                    if report["status"] == status:
                        checks: dict[str, str] = report["checks"]
                        return checks
                await asyncio.sleep(0.05)

    async def ends(self) -> int:
        async with asyncio.timeout(20):
            code = await self.process.wait()
            await self._reader
        return code

    async def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return await self.ends()


Start = Callable[..., Awaitable[RoomProcess]]


@pytest.fixture
async def start(database: Any, vhost: str) -> AsyncIterator[Start]:
    rooms: list[RoomProcess] = []

    async def start(**settings: str) -> RoomProcess:
        port = free_port()
        environment = {
            "PATH": os.environ["PATH"],
            "ENVIRONMENT": "test",
            "DATABASE_URL": database.owner_dsn,
            "AMQP_URL": vhost,
            "OPS_HOST": "127.0.0.1",
            "OPS_PORT": str(port),
            **settings,
        }
        process = await asyncio.create_subprocess_exec(
            sys.executable, str(SCRIPT), env=environment, stdout=asyncio.subprocess.PIPE
        )
        rooms.append(RoomProcess(process, port))
        return rooms[-1]

    yield start
    for room in rooms:
        if room.process.returncode is None:
            room.process.kill()
        await room.ends()


async def test_a_room_starts_serves_its_probes_and_drains_to_a_clean_exit(start: Start, vhost: str) -> None:
    room = await start()
    await room.said("started")
    assert await room.becomes("ready") == {"postgres": "ok", "rabbitmq": "ok"}
    assert (await room.ops("/healthz"))[0] == 200
    metrics = (await room.ops("/metrics"))[1]
    assert 'sema_build_info{service="room",version="unknown"} 1.0' in metrics
    assert "sema_event_loop_lag_seconds_bucket" in metrics

    async with Bus.open(vhost, name="test") as bus:
        await bus.publish(
            "sms.content", ScreenCampaign(campaign_id=uuid4(), account_id=uuid4()), event_id=uuid4()
        )
    port = (await room.said("serving"))["port"]
    async with Http.open(f"http://127.0.0.1:{port}") as http:
        request = asyncio.create_task(http.request("GET", "/slow"))
        await room.said("request_began")
        await room.said("handler_began")
        room.process.send_signal(signal.SIGTERM)
        await room.said("draining")
        assert json.loads((await room.ops("/readyz"))[1])["status"] == "unready"
        assert (await request).text == "finished"
    assert await room.ends() == 0
    events = room.events()
    assert events[-1] == "stopped"
    assert events.index("handler_finished") < events.index("opened_first_closed")


async def test_a_store_that_is_away_at_the_start_is_waited_for(
    start: Start, database: Any, proxied: Callable[[str], Any]
) -> None:
    async with proxied(database.owner_dsn) as proxy:
        proxy.refuse = True
        room = await start(DATABASE_URL=proxy.url)
        await room.said("start_waits")
        assert (await room.ops("/healthz"))[0] == 200
        status, body = await room.ops("/readyz")
        assert (status, json.loads(body)["checks"]["lifecycle"]) == (503, "starting")
        proxy.refuse = False
        await room.becomes("ready")
        assert await room.stop() == 0


async def test_a_room_that_never_came_up_stops_when_told(
    start: Start, database: Any, proxied: Callable[[str], Any]
) -> None:
    async with proxied(database.owner_dsn) as proxy:
        proxy.refuse = True
        room = await start(DATABASE_URL=proxy.url)
        await room.said("start_waits")
        assert await room.stop() == 0


async def test_losing_a_store_makes_unready_and_its_return_ready(
    start: Start, database: Any, vhost: str, proxied: Callable[[str], Any]
) -> None:
    async with proxied(database.owner_dsn) as postgres, proxied(vhost) as rabbitmq:
        room = await start(DATABASE_URL=postgres.url, AMQP_URL=rabbitmq.url)
        await room.becomes("ready")
        for proxy in (postgres, rabbitmq):
            proxy.refuse = True
            proxy.cut()
        checks = await room.becomes("unready")
        assert any(word.startswith("failing") for word in checks.values())
        assert (await room.ops("/healthz"))[0] == 200
        for proxy in (postgres, rabbitmq):
            proxy.refuse = False
        await room.becomes("ready")
        assert await room.stop() == 0


async def test_what_does_not_end_in_time_is_cut_short_and_named(start: Start) -> None:
    room = await start(ROOM="hangs", DRAIN_SECONDS="0.5")
    await room.said("started")
    assert await room.stop() == 1
    assert (await room.said("close_cut_short"))["resource"] == "the hanging one"
    assert "opened_first_closed" in room.events()  # what was opened before it is still closed


async def test_the_watchdog_ends_a_room_whose_event_loop_hangs(start: Start) -> None:
    room = await start(ROOM="frozen", DRAIN_SECONDS="0.5")
    await room.said("started")
    assert await room.stop() == 1
    assert (await room.said("watchdog"))["hung"] == "the freezing one"


async def test_a_bug_at_the_start_unwinds_and_exits(start: Start) -> None:
    room = await start(ROOM="bug")
    assert await room.ends() == 1
    assert room.events().index("first_closed") < room.events().index("crashed")


async def test_a_wrong_configuration_exits_78(start: Start) -> None:
    room = await start(DATABASE_URL="nonsense")
    assert await room.ends() == 78


async def test_what_kills_its_room_again_and_again_is_a_dead_letter_and_its_neighbours_are_not(
    start: Start, vhost: str
) -> None:
    """RabbitMQ counts a crash for every message in hand: without care all of them would end there together.

    Six deliveries are the bound. The broker may count one that was on its way to a room that died.
    """
    neighbours = [uuid4() for _ in range(12)]
    dead: list[DeadLetter] = []

    async def keep(letters: list[DeadLetter]) -> None:
        dead.extend(letters)

    async with Bus.open(vhost, name="test") as bus, bus.drain_dead_letters("sms.content", keep):
        for campaign_id in [*neighbours[:6], POISON, *neighbours[6:]]:
            await bus.publish(
                "sms.content",
                ScreenCampaign(campaign_id=campaign_id, account_id=uuid4()),
                event_id=uuid4(),
            )
        rooms: list[RoomProcess] = []
        crashes = 0

        def finished() -> set[str]:
            lines = [line for room in rooms for line in room.lines]
            return {line["campaign_id"] for line in lines if line["event"] == "handler_finished"}

        async with asyncio.timeout(60):
            while not dead or len(finished()) < 12:
                rooms.append(await start(ROOM="crashes"))
                ended = asyncio.create_task(rooms[-1].process.wait())
                while not ended.done() and (not dead or len(finished()) < 12):
                    await asyncio.wait({ended}, timeout=0.05)
                if ended.done():
                    assert await rooms[-1].ends() == -signal.SIGKILL
                    crashes += 1
                ended.cancel()
    assert finished() == {str(each) for each in neighbours}
    assert 5 <= crashes <= 6
    assert [(letter.reason, json.loads(letter.body)["campaign_id"]) for letter in dead] == [
        ("delivery_limit", str(POISON))
    ]
