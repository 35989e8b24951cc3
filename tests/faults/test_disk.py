"""F20: a disk that is full. Postgres on a small file system of its own; services whose log cannot be written."""

import asyncio
import os
import shutil
import subprocess
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import httpx
import pytest

from tests.faults.scene import Scene
from tests.kit.client import Client, eventually

pytestmark = [pytest.mark.stack, pytest.mark.long, pytest.mark.timeout(600)]

ROOM_MIB = 64
"""What is left on the disk beside what Postgres has already."""

FULL_SECONDS = 60.0


@asynccontextmanager
async def small_disk(scene: Scene) -> AsyncIterator[Path]:
    """Postgres's data on a file system with little room, for as long as the block lasts."""
    home = scene.stack.layout.data / "postgres"
    await scene.stack.stop("postgres")
    await asyncio.to_thread(_onto_small_disk, home)
    try:
        await scene.stack.start("postgres")
        yield home
    finally:
        await scene.stack.stop("postgres")
        await asyncio.to_thread(_back, home)
        await scene.stack.start("postgres")


def _onto_small_disk(home: Path) -> None:
    size = int(_run("du", "-sm", str(home)).split()[0])
    aside = _aside(home)
    home.rename(aside)
    home.mkdir(mode=0o700)
    _run("mount", "-t", "tmpfs", "-o", f"size={size + ROOM_MIB}m,mode=700", "none", str(home))
    owner = aside.stat()
    os.chown(home, owner.st_uid, owner.st_gid)
    _run("cp", "-a", f"{aside}/.", str(home))


def _back(home: Path) -> None:
    aside = _aside(home)
    shutil.rmtree(aside)
    aside.mkdir(mode=0o700)
    _run("cp", "-a", f"{home}/.", str(aside))
    _run("umount", str(home))
    home.rmdir()
    aside.rename(home)


def _fill(path: Path) -> None:
    """Until there is no byte left."""
    with path.open("wb", buffering=0) as file, suppress(OSError):
        while file.write(b"\0" * 65_536):
            pass


def _aside(home: Path) -> Path:
    return home.with_name("postgres-aside")


def _run(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a small file system")
async def test_a_full_disk_of_postgres_is_503_and_heals_by_itself(scene: Scene) -> None:
    async with small_disk(scene) as disk:
        async with scene.load(60.0).running(), scene.fault("F20", "Postgres's disk full", 30):
            ballast = disk / "ballast"
            await asyncio.to_thread(_fill, ballast)

            async def refused() -> None:
                body = {"to": "+254712000006", "from": "SEMALINK", "body": f"Full {time.monotonic()}"}
                answer = await scene.client.http.post("/v1/messages", json=body)
                assert answer.status_code == 503, answer.text

            await eventually(refused, FULL_SECONDS)
            ballast.unlink()
        await scene.judge(doubts=10_000)


async def test_a_log_that_cannot_be_written_fails_no_request(scene: Scene) -> None:
    """A second main-api of the same stack, its output on a device that is always full."""
    layout = scene.stack.layout
    running = Path(f"/proc/{scene.stack.pid('main-api')}")
    env = dict(entry.split("=", 1) for entry in (running / "environ").read_text().split("\0") if "=" in entry)
    port = layout.port_base + 60
    env |= {"HTTP_PORT": str(port), "OPS_PORT": str(port + 1)}
    command = (running / "cmdline").read_text().split("\0")[:-1]
    key = scene.client.http.headers["authorization"].removeprefix("Bearer ")
    async with scene.fault("F20", "a log on a full device", 10):
        process = _with_full_output(command, env)
        try:
            url = f"http://127.0.0.1:{port}"
            async with Client.open(url, key, scene.client.account_id, scene.client.history) as second:

                async def up() -> None:
                    try:
                        answer = await second.http.get("/readyz")
                    except httpx.TransportError as exc:
                        raise AssertionError("it does not answer") from exc
                    assert answer.status_code == 200, answer.text

                await eventually(up, 30.0)
                for number in range(20):
                    await second.send("+254712000008", f"Unlogged {number} {time.monotonic()}")
        finally:
            process.terminate()
        assert await asyncio.to_thread(process.wait, 40) == 0
    await scene.judge()


def _with_full_output(command: list[str], env: dict[str, str]) -> "subprocess.Popen[bytes]":
    with Path("/dev/full").open("wb", buffering=0) as full:
        return subprocess.Popen(command, env=env, stdout=full, stderr=full)
