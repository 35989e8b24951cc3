"""The local stack: whatever it has started, it can end."""

import subprocess
from pathlib import Path

import pytest

from deploy.local import control, services
from deploy.local.credentials import load
from deploy.local.layout import Layout
from deploy.local.programs import remember
from deploy.local.supervisor import read_wanted


@pytest.fixture
def proxies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Layout, subprocess.Popen[bytes]]:
    """A program that only stacks with proxies run, left behind; whoever ends it knows nothing of proxies."""
    monkeypatch.delenv("SEMA_STORE_PROXIES", raising=False)
    layout = Layout(home=tmp_path, port_base=39_000)
    layout.run.mkdir()
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


def test_proxies_run_only_where_they_are_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    layout = Layout(home=tmp_path, port_base=39_000)
    secrets = load(layout.secrets_file)
    monkeypatch.delenv("SEMA_STORE_PROXIES", raising=False)
    plain = {program.name for program in services.programs(layout, secrets)}
    monkeypatch.setenv("SEMA_STORE_PROXIES", "1")
    assert {program.name for program in services.programs(layout, secrets)} - plain == {services.PROXIES}


def test_a_supervisor_never_reads_half_a_list_of_what_is_wanted(tmp_path: Path) -> None:
    """Two workers of a test run ask for the stores at once: what the first wrote is being read meanwhile."""
    layout = Layout(home=tmp_path, port_base=39_000)
    layout.run.mkdir()
    control._want(layout, ["postgres", "redis"])
    with layout.wanted_file.open() as reading:
        control._want(layout, ["postgres", "rabbitmq", "redis"])
        assert reading.read().split() == ["postgres", "redis"]
    assert read_wanted(layout) == {"postgres", "rabbitmq", "redis"}
