"""The whole room against a real broker, which stands behind a wire that can be cut."""

import asyncio
import contextlib
import os
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from urllib.parse import urlsplit

import httpx
import pytest

from sema_common.platform.bus import Bus, Delivery
from sema_common.platform.ops import Readiness
from sema_common.platform.runtime import Room
from sema_common.wire.dlr import RawDlrs
from sema_dlr_webhook import rules
from sema_dlr_webhook.app import open_room
from sema_dlr_webhook.settings import Settings

TOKEN = "t" * 24
PATH = f"/celcom/{TOKEN}"
TOKENS = {"celcom": (TOKEN,), "africastalking": ("u" * 24,)}


class Wire:
    """A TCP relay to the broker: `cut()` ends every connection and refuses new ones until `mend()`."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._whole = True
        self._writers: set[asyncio.StreamWriter] = set()

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self._whole:
            writer.close()
            return
        far_reader, far_writer = await asyncio.open_connection(*self._target)
        self._writers |= {writer, far_writer}
        await asyncio.gather(self._pipe(reader, far_writer), self._pipe(far_reader, writer))

    async def _pipe(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                writer.write(data)
        writer.close()
        self._writers.discard(writer)

    def cut(self) -> None:
        self._whole = False
        for writer in self._writers:
            writer.transport.abort()

    def mend(self) -> None:
        self._whole = True


@pytest.fixture
async def wire(vhost: str) -> AsyncIterator[tuple[Wire, str]]:
    """The wire and the AMQP URL that leads through it."""
    url = urlsplit(vhost)
    assert url.hostname
    wire = Wire(url.hostname, url.port or 5672)
    server = await asyncio.start_server(wire, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    yield wire, url._replace(netloc=f"{url.username}:{url.password}@127.0.0.1:{port}").geturl()
    wire.cut()
    server.close()
    await server.wait_closed()


@dataclass
class Opened:
    """The running room, a client of its public port, and the wire to its broker."""

    http: httpx.AsyncClient
    wire: Wire


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


@pytest.fixture
async def opened(wire: tuple[Wire, str]) -> AsyncIterator[Opened]:
    port = free_port()
    settings = Settings(
        environment="test", amqp_url=wire[1], http_host="127.0.0.1", http_port=port, dlr_tokens=TOKENS
    )
    room = Room("dlr-webhook", settings, Readiness())
    await open_room(room, settings)
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=20) as http:
        yield Opened(http, wire[0])
    assert await room.close(time.monotonic() + 10) == []


class Queue:
    """What has arrived on `dlr.inbound`, in the order of its arrival."""

    def __init__(self) -> None:
        self.deliveries: list[Delivery[RawDlrs]] = []
        self._arrived = asyncio.Condition()

    async def take(self, delivery: Delivery[RawDlrs]) -> None:
        async with self._arrived:
            self.deliveries.append(delivery)
            self._arrived.notify_all()

    @property
    def bodies(self) -> list[bytes]:
        return [report.body for delivery in self.deliveries for report in delivery.message.reports]

    async def holds(self, reports: int) -> None:
        """Wait until so many reports have arrived."""
        async with asyncio.timeout(15), self._arrived:
            await self._arrived.wait_for(lambda: len(self.bodies) >= reports)


@pytest.fixture
async def queue(vhost: str) -> AsyncIterator[Queue]:
    """Reads `dlr.inbound` past the wire."""
    queue = Queue()
    async with (
        Bus.open(vhost, name="test") as bus,
        bus.consume("dlr.inbound", [RawDlrs], queue.take, prefetch=50),
    ):
        yield queue


async def eventually_ready(http: httpx.AsyncClient) -> None:
    """Ask until the room is ready, for at most 15 s."""
    async with asyncio.timeout(15):
        while True:
            if await _status(http, "/readyz") == 200:
                return
            await asyncio.sleep(0.05)


async def _status(http: httpx.AsyncClient, path: str) -> int:
    try:
        return (await http.get(path)).status_code
    except httpx.TransportError:
        return 0


async def test_a_report_is_on_the_queue_once_it_is_answered(opened: Opened, queue: Queue) -> None:
    answer = await opened.http.post(
        PATH, params={"x": "1"}, content=b"\xff{", headers={"content-type": "text/weird"}
    )
    assert (answer.status_code, answer.text) == (200, "OK")
    await queue.holds(1)
    (delivery,) = queue.deliveries
    (report,) = delivery.message.reports
    assert (report.aggregator, report.query, report.content_type, report.body) == (
        "celcom",
        "x=1",
        "text/weird",
        b"\xff{",
    )
    assert delivery.traceparent == report.traceparent
    assert delivery.event_id == rules.bundle_id([report])


async def test_reports_that_come_together_travel_together(opened: Opened, queue: Queue) -> None:
    bodies = [b"%d" % number for number in range(300)]
    answers = await asyncio.gather(*(opened.http.post(PATH, content=body) for body in bodies))
    assert {answer.status_code for answer in answers} == {200}
    await queue.holds(300)
    assert sorted(queue.bodies) == sorted(bodies)
    assert len(queue.deliveries) < 150


async def test_large_reports_are_split_over_messages(opened: Opened, queue: Queue) -> None:
    bodies = [bytes([number]) * rules.MAX_BODY for number in range(8)]
    answers = await asyncio.gather(*(opened.http.post(PATH, content=body) for body in bodies))
    assert {answer.status_code for answer in answers} == {200}
    await queue.holds(8)
    assert sorted(queue.bodies) == bodies
    assert all(len(delivery.message) == 1 for delivery in queue.deliveries)


async def test_without_the_broker_503_and_afterwards_all_is_well_again(opened: Opened, queue: Queue) -> None:
    assert (await opened.http.post(PATH, content=b"before")).status_code == 200
    opened.wire.cut()
    answer = await opened.http.post(PATH, content=b"during")
    assert answer.status_code == 503
    assert answer.headers["retry-after"]
    assert (await opened.http.get("/healthz")).status_code == 200
    assert (await opened.http.get("/readyz")).status_code == 503
    opened.wire.mend()
    await eventually_ready(opened.http)
    assert (await opened.http.post(PATH, content=b"during")).status_code == 200
    await queue.holds(2)
    assert queue.bodies[0] == b"before"
    # The first try of the second one may have been taken as well: then both tries are the same event.
    assert len({delivery.event_id for delivery in queue.deliveries}) == 2


@pytest.fixture
async def process(vhost: str) -> AsyncIterator[tuple[asyncio.subprocess.Process, httpx.AsyncClient]]:
    """`python -m sema_dlr_webhook`, ready."""
    port = free_port()
    environment = {
        "PATH": os.environ["PATH"],
        "ENVIRONMENT": "test",
        "AMQP_URL": vhost,
        "HTTP_HOST": "127.0.0.1",
        "HTTP_PORT": str(port),
        "OPS_HOST": "127.0.0.1",
        "OPS_PORT": "0",
        "DLR_TOKENS": f"celcom:{TOKEN}",
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "sema_dlr_webhook", env=environment, stdout=asyncio.subprocess.PIPE
    )
    limits = httpx.Limits(max_connections=40)
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", limits=limits, timeout=20) as http:
        await eventually_ready(http)
        yield process, http
    if process.returncode is None:
        process.kill()
        await process.communicate()


async def test_sigterm_answers_what_it_took_and_loses_nothing(
    process: tuple[asyncio.subprocess.Process, httpx.AsyncClient], queue: Queue
) -> None:
    running, http = process
    confirmed: list[bytes] = []

    async def caller(number: int) -> None:
        count = 0
        while True:
            body = b"%d-%d" % (number, count)
            count += 1
            try:
                answer = await http.post(PATH, content=body)
            except httpx.TransportError:
                return
            if answer.status_code == 200:
                confirmed.append(body)
            if len(confirmed) == 200:
                running.send_signal(signal.SIGTERM)

    started = time.monotonic()
    await asyncio.gather(*map(caller, range(20)))
    out, _ = await running.communicate()
    assert running.returncode == 0
    assert time.monotonic() - started < 20
    await queue.holds(len(confirmed))
    assert set(confirmed) <= set(queue.bodies)
    assert TOKEN not in out.decode()
