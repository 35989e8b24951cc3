"""The local stack: whatever it has started, it can end."""

import json
import multiprocessing
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import pytest

from deploy.local import control, services, wanted
from deploy.local.credentials import load
from deploy.local.layout import Layout
from deploy.local.programs import Program, birth, left_behind, remember
from sema_dlr_processor.settings import Settings as DlrProcessorSettings
from sema_sms_worker.settings import Settings as SmsWorkerSettings


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    layout = Layout(home=tmp_path, port_base=39_000)
    layout.make_directories()
    return layout


@pytest.fixture
def proxies(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> tuple[Layout, subprocess.Popen[bytes]]:
    """A program that only stacks with proxies run, left behind; whoever ends it knows nothing of proxies."""
    monkeypatch.delenv("SEMA_STORE_PROXIES", raising=False)
    child = subprocess.Popen(["/usr/bin/sleep", "60"])
    remember(layout, services.PROXIES, child.pid)
    return layout, child


def test_discard_kills_what_the_environment_no_longer_names(
    proxies: tuple[Layout, subprocess.Popen[bytes]],
) -> None:
    layout, child = proxies
    control.discard(layout)
    assert child.wait(timeout=0) == -9


def test_down_stops_what_the_environment_no_longer_names(
    proxies: tuple[Layout, subprocess.Popen[bytes]],
) -> None:
    layout, child = proxies
    control.down(layout)
    assert child.wait(timeout=0) == -15
    assert not layout.pid_file(services.PROXIES).exists()


def test_proxies_run_only_where_they_are_asked_for(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    secrets = load(layout.secrets_file)
    monkeypatch.delenv("SEMA_STORE_PROXIES", raising=False)
    plain = {program.name for program in services.programs(layout, secrets)}
    monkeypatch.setenv("SEMA_STORE_PROXIES", "1")
    assert {program.name for program in services.programs(layout, secrets)} - plain == {services.PROXIES}


def test_whoever_polls_reports_waits_as_long_as_whoever_gives_them_up(layout: Layout) -> None:
    fields = [each.model_fields["no_report_hours"] for each in (SmsWorkerSettings, DlrProcessorSettings)]
    assert repr(fields[0]) == repr(fields[1])
    secrets = load(layout.secrets_file)
    given = [
        services.environment(layout, secrets, name).get("NO_REPORT_HOURS")
        for name in ("sms-worker", "dlr-processor")
    ]
    assert given[0] == given[1]


def test_a_supervisor_never_reads_half_a_list_of_what_is_wanted(layout: Layout) -> None:
    """Two workers of a test run ask for the stores at once: what the first wrote is being read meanwhile."""
    wanted.change(layout, lambda _: ["postgres", "redis"])
    with layout.wanted_file.open() as reading:
        wanted.change(layout, lambda names: names | {"rabbitmq"})
        assert json.load(reading)["names"] == ["postgres", "redis"]
    assert wanted.read(layout).names == {"postgres", "rabbitmq", "redis"}


def test_of_many_edits_at_once_none_is_lost(layout: Layout) -> None:
    with ThreadPoolExecutor(8) as workers:
        edits = list(
            workers.map(lambda n: wanted.change(layout, lambda names: names | {f"program-{n}"}), range(40))
        )
    assert sorted(edits) == list(range(1, 41))
    assert len(wanted.read(layout).names) == 40


def test_a_pid_file_is_whole_while_it_is_replaced(layout: Layout) -> None:
    remember(layout, "redis", 1)
    with layout.pid_file("redis").open() as reading, layout.birth_file("redis").open() as beside:
        remember(layout, "redis", os.getpid())
        assert reading.read() == "1\n"
        assert beside.read() == f"{birth(1)} {layout.port_base}\n"
    assert left_behind(layout, "redis") == (os.getpid(), layout.port_base)


def test_what_ends_by_itself_may_be_killed_all_the_same(layout: Layout) -> None:
    """Two runs that start at once both clear away what a third has left."""
    child = subprocess.Popen(["/usr/bin/true"])
    child.wait()
    control._kill([child.pid])


def test_what_has_just_died_is_not_ready_whatever_the_status_says() -> None:
    child = subprocess.Popen(["/usr/bin/true"])
    child.wait()
    assert not control._is_ready({"phase": "ready", "pid": child.pid})
    assert control._is_ready({"phase": "ready", "pid": os.getpid()})
    assert control._is_ready({"phase": "ready", "pid": None})


SLOW: Final = "slow"


def _slow(layout: Layout) -> dict[str, Program]:
    """One program, which ends only when there is a file `end`, and says in a file `asked` that it was told to."""
    script = (
        "trap 'touch asked; while [ ! -e end ]; do sleep 0.02; done; exit' TERM; while :; do sleep 0.02; done"
    )

    async def ready() -> None:
        pass

    return {
        SLOW: Program(
            SLOW, ("/bin/sh", "-c", script), {"PATH": "/usr/bin:/bin"}, layout.run, ready, grace=60.0
        )
    }


def _supervise(layout: Layout) -> None:
    control.programs = _slow
    control.run(layout)


@pytest.fixture
def supervised(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> Iterator[Layout]:
    """A supervisor that keeps the slow program."""
    monkeypatch.setattr(control, "programs", _slow)
    process = multiprocessing.get_context("spawn").Process(target=_supervise, args=(layout,))
    process.start()
    assert control._poll(layout, 60.0, lambda _: True)
    control.up(layout)
    yield layout
    (layout.run / "end").touch()
    process.terminate()
    process.join(60.0)
    assert process.exitcode == 0


def _asked(layout: Layout) -> None:
    deadline = time.monotonic() + 60.0
    while not (layout.run / "asked").exists():
        assert time.monotonic() < deadline, "it was never told to end"
        time.sleep(0.02)


def test_a_status_older_than_what_was_asked_is_no_answer(supervised: Layout) -> None:
    """While a program is being stopped its last state still reads `ready`; who starts it waits for the next one."""
    first = left_behind(supervised, SLOW)
    with ThreadPoolExecutor(1) as other:
        stopping = other.submit(control.stop, supervised, [SLOW])
        _asked(supervised)
        with pytest.raises(control.StackError, match="not ready in time"):
            control.up(supervised, [SLOW], seconds=0.5)
        (supervised.run / "end").touch()
        control.up(supervised, [SLOW])
        assert left_behind(supervised, SLOW) not in (first, None)
        stopping.result(10)


def test_a_stack_that_is_being_taken_down_is_waited_for(
    supervised: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A supervisor that ends follows nobody any more: the next one does."""
    pid = control.supervisor_pid(supervised)
    assert pid is not None
    os.kill(pid, signal.SIGTERM)
    _asked(supervised)
    gone = control._gone
    began: list[int | None] = []

    async def let_it_end(pid: int, seconds: float) -> None:
        (supervised.run / "end").touch()
        await gone(pid, seconds)

    monkeypatch.setattr(control, "_gone", let_it_end)
    monkeypatch.setattr(
        control, "_spawn_supervisor", lambda *_: began.append(control.supervisor_pid(supervised))
    )
    with pytest.raises(control.StackError):
        control.up(supervised, [SLOW], seconds=0.1)
    assert began == [None]
