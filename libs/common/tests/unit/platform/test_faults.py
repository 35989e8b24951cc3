"""Fault points: nothing in production, and in a test exactly what was armed, as often as was asked for."""

import asyncio
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sema_common.platform import faults
from sema_common.platform.faults import FaultInjected, fault
from sema_common.platform.settings import EX_CONFIG, RoomSettings, load


@pytest.fixture
def armed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setattr(faults, "_faults", None)
    faults.enable(tmp_path)
    yield tmp_path
    monkeypatch.setattr(faults, "_faults", None)


def arm(directory: Path, **changes: object) -> None:
    entry = {"id": "1", "point": "here", "action": "raise", **changes}
    new = directory / "new"
    new.write_text(json.dumps([entry]))
    new.replace(directory / faults.ARMED)


def acts(point: str = "here", about: object = None) -> bool:
    try:
        fault(point, about)
    except FaultInjected:
        return True
    return False


@pytest.mark.parametrize("environment", ["production", "staging"])
def test_production_and_staging_refuse_to_start_with_fault_points(
    monkeypatch: pytest.MonkeyPatch, environment: str, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AMQP_URL", "amqp://u:hush@h/")
    monkeypatch.setenv("FAULTS_DIR", "/somewhere")
    monkeypatch.setenv("ENVIRONMENT", "local")
    assert load(RoomSettings).faults_dir == Path("/somewhere")
    monkeypatch.setenv("ENVIRONMENT", environment)
    with pytest.raises(SystemExit) as stop:
        load(RoomSettings)
    assert stop.value.code == EX_CONFIG
    assert "FAULTS_DIR" in capsys.readouterr().err


def test_without_a_directory_a_point_does_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(faults, "_faults", None)
    assert not faults.enabled()
    assert not acts()


def test_a_point_acts_at_its_nth_hit_and_only_as_often_as_it_may(armed: Path) -> None:
    assert not acts()
    arm(armed, nth=3, times=2)
    assert [acts() for _ in range(6)] == [False, False, True, True, False, False]
    assert not acts("elsewhere")
    assert {path.name for path in armed.glob("1.*")} == {"1.0", "1.1"}


def test_a_point_acts_only_by_what_it_is_about(armed: Path) -> None:
    arm(armed, times=2, about="the letter")
    assert [acts(about=about) for about in (None, ["another"], ["another", "the letter"])] == [
        False,
        False,
        True,
    ]
    assert not acts()
    assert acts(about="the letter")


def test_what_was_done_is_remembered_beyond_the_process(armed: Path) -> None:
    arm(armed)
    assert acts()
    faults.enable(armed)  # as its successor would
    assert not acts()


def test_arming_anew_takes_effect_at_once(armed: Path) -> None:
    arm(armed)
    assert acts()
    arm(armed, id="2")
    assert acts()
    (armed / faults.ARMED).unlink()
    assert not acts()


def test_cancel_is_a_cancellation_that_nobody_asked_for(armed: Path) -> None:
    arm(armed, action="cancel")
    with pytest.raises(asyncio.CancelledError):
        fault("here")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_kill_and_stop_are_signals_to_the_process_itself(armed: Path, number: signal.Signals) -> None:
    arm(armed, action="kill" if number == signal.SIGKILL else "stop")
    code = (
        "import sys; from pathlib import Path; from sema_common.platform import faults\n"
        f"faults.enable(Path({str(armed)!r})); faults.fault('here')"
    )
    with subprocess.Popen([sys.executable, "-c", code]) as child:
        if number == signal.SIGSTOP:
            import os

            _, status = os.waitpid(child.pid, os.WUNTRACED)
            assert os.WIFSTOPPED(status)
            child.kill()
        child.wait(20)
    assert child.returncode == -signal.SIGKILL


async def test_drop_cuts_what_the_process_has_opened_and_nothing_that_it_serves(armed: Path) -> None:
    """A process cannot tell a peer within itself: the far end of its own connection is one that it serves."""
    accepted: asyncio.Queue[asyncio.StreamReader] = asyncio.Queue()
    hold = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        accepted.put_nowait(reader)
        await hold.wait()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        opened, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        served = await accepted.get()
        arm(armed, action="drop")
        fault("here")
        async with asyncio.timeout(5):
            assert await opened.read() == b""
            assert await served.read() == b""
        again, second = await asyncio.open_connection(*server.sockets[0].getsockname())
        await accepted.get()
        assert not again.at_eof()
        for each in (writer, second):
            each.close()
        hold.set()
