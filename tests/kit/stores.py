"""The stores of a test run: private Postgres, Redis and RabbitMQ on free ports, gone when the run is over.

They are the local stack's own stores in a home of their own, with fsync off. A pytest session starts
them when the first test asks and stops them at its end. It uses what already runs instead, and leaves it
running, in two cases:

- `python -m tests.kit.stores COMMAND…` starts them once around a command (`make test`);
- `make stores` keeps one set running in `.local/test` while a developer works.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Final

from deploy.local import control
from deploy.local.credentials import load
from deploy.local.layout import DEFAULT_HOME, SUPERUSER, Layout

STORES: Final = ("postgres", "redis", "rabbitmq")
KEPT_HOME: Final = DEFAULT_HOME / "test"
# Tells xdist's workers and nested commands which home to use.
HOME_VARIABLE: Final = "SEMA_TEST_HOME"
# Below Linux's ephemeral ports (32768), above the stacks that people start by hand.
PORT_BASES: Final = range(24_000, 32_000, 100)


@dataclass(frozen=True)
class Stores:
    """Where the stores of this run are, for every role and database."""

    layout: Layout

    def postgres_dsn(self, role: str = SUPERUSER, database: str = "postgres") -> str:
        return self.layout.dsn(role, database)

    @property
    def amqp_url(self) -> str:
        return self.layout.amqp(self.broker_password)

    def amqp_vhost_url(self, vhost: str) -> str:
        return self.layout.amqp(self.broker_password, vhost)

    @property
    def redis_url(self) -> str:
        return self.layout.redis()

    @property
    def management_url(self) -> str:
        return self.layout.http("rabbitmq-management")

    @property
    def broker_password(self) -> str:
        return load(self.layout.secrets_file)["AMQP_PASSWORD"]


class Home:
    """The home of this run's stores; `own` when this process made it and will remove it."""

    def __init__(self) -> None:
        given = os.environ.get(HOME_VARIABLE)
        if given is None and control.supervisor_pid(control.find(KEPT_HOME)):
            given = str(KEPT_HOME)
        self.own = given is None
        self.path = Path(given) if given else DEFAULT_HOME / f"test-{os.getpid()}"
        os.environ[HOME_VARIABLE] = str(self.path)

    def start(self) -> Stores:
        """Safe to call from every worker of a run at once: the first starts them, all wait until they
        answer.
        """
        layout = control.find(self.path, durable=False)
        if control.supervisor_pid(layout) is None:
            layout = Layout(home=layout.home, port_base=port_base(self.path), durable=False)
        return Stores(control.up(layout, STORES))

    def remove(self) -> None:
        """Stops and deletes what `start` made; nothing when the home is someone else's."""
        if self.own:
            remove(self.path)
            os.environ.pop(HOME_VARIABLE, None)


def remove_orphans() -> None:
    """Ends the stores of runs that were killed before they could."""
    for home in DEFAULT_HOME.glob("test-*"):
        owner = home.name.rpartition("-")[2]
        if owner.isdigit() and not Path(f"/proc/{owner}").exists():
            remove(home)


def remove(home: Path) -> None:
    """Kills what runs there and deletes it."""
    if home.exists():
        control.discard(control.find(home))
        shutil.rmtree((home / "data").resolve(), ignore_errors=True)
        shutil.rmtree(home, ignore_errors=True)


def port_base(home: Path) -> int:
    """A free block of ports. Starts from the home's number, so that runs side by side choose differently."""
    first = int("".join(filter(str.isdigit, home.name)) or "0") % len(PORT_BASES)
    for base in chain(PORT_BASES[first:], PORT_BASES[:first]):
        if all(_closed(base + offset) for offset in range(1, 8)):
            return base
    sys.exit("no free block of ports for the test stores")


def _closed(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


def main() -> None:
    """Runs a command with the stores up; its exit code is ours, and the stores end however it ended."""
    remove_orphans()
    home = Home()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        home.start()
        sys.exit(subprocess.run(sys.argv[1:], check=False).returncode)
    finally:
        home.remove()


if __name__ == "__main__":
    main()
