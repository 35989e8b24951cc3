"""Where a stack lives: its directories, its ports, and the user its stores run as."""

from __future__ import annotations

import hashlib
import os
import pwd
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
DEFAULT_HOME: Final = ROOT / ".local"
DEFAULT_PORT_BASE: Final = 21000

# Offsets from the port base; a stack uses nothing outside base … base + 99.
PORT_OFFSETS: Final = {
    "postgres": 1,
    "redis": 2,
    "rabbitmq": 3,
    "rabbitmq-dist": 4,
    "epmd": 5,
    "rabbitmq-management": 6,
    "rabbitmq-prometheus": 7,
    "sandbox": 10,
    "sandbox-smtp": 11,
    "main-api": 20,
    "dlr-webhook": 21,
    "main-api-ops": 30,
    "sms-worker-ops": 31,
    "dlr-webhook-ops": 32,
    "dlr-processor-ops": 33,
    "phone-validator-ops": 34,
    "content-worker-ops": 35,
    "webhook-delivery-ops": 36,
    "webhook-receiver": 40,
    "postgres-proxy": 51,
    "redis-proxy": 52,
    "rabbitmq-proxy": 53,
    "proxies": 54,
}

SUPERUSER: Final = "sema"
DATABASE: Final = "sema"
BROKER_USER: Final = "sema"


@dataclass(frozen=True)
class Layout:
    """One stack: `durable=False` (tests only) lets Postgres skip its fsyncs."""

    home: Path
    port_base: int
    durable: bool = True

    @property
    def log(self) -> Path:
        return self.home / "log"

    @property
    def run(self) -> Path:
        return self.home / "run"

    @property
    def data(self) -> Path:
        """Resolved, since the stores' user may be unable to follow a link in the home."""
        return (self.home / "data").resolve()

    @property
    def secrets_file(self) -> Path:
        return self.home / "secrets.env"

    @property
    def env_file(self) -> Path:
        return self.home / "stack.env"

    @property
    def status_file(self) -> Path:
        return self.run / "status.json"

    @property
    def wanted_file(self) -> Path:
        return self.run / "wanted"

    def pid_file(self, name: str) -> Path:
        return self.run / f"{name}.pid"

    def birth_file(self, name: str) -> Path:
        return self.run / f"{name}.birth"

    def log_file(self, name: str) -> Path:
        return self.log / f"{name}.log"

    def port(self, name: str) -> int:
        return self.port_base + PORT_OFFSETS[name]

    def http(self, name: str) -> str:
        return f"http://127.0.0.1:{self.port(name)}"

    def dsn(self, role: str = SUPERUSER, database: str = DATABASE) -> str:
        """Loopback trusts every role, so a DSN holds no password."""
        return f"postgresql://{role}@127.0.0.1:{self.port('postgres')}/{database}"

    def amqp(self, password: str, vhost: str = "%2F") -> str:
        return f"amqp://{BROKER_USER}:{password}@127.0.0.1:{self.port('rabbitmq')}/{vhost}"

    def redis(self, database: int = 0) -> str:
        return f"redis://127.0.0.1:{self.port('redis')}/{database}"

    def make_directories(self) -> None:
        self.home.mkdir(parents=True, exist_ok=True)
        for directory in (self.log, self.run):
            directory.mkdir(exist_ok=True)
        _make_data_directory(self.home / "data")


def store_user() -> str | None:
    """The user of the stores: `nobody` when we are root (Postgres refuses root), else ourselves (None)."""
    return "nobody" if os.geteuid() == 0 else None


def give_to_store_user(directory: Path) -> None:
    """Creates the directory and hands it to the stores' user, closed to everyone else."""
    directory.mkdir(mode=0o700, exist_ok=True)
    if user := store_user():
        entry = pwd.getpwnam(user)
        os.chown(directory, entry.pw_uid, entry.pw_gid)


def _make_data_directory(data: Path) -> None:
    """Makes `data`; where its user cannot reach it (a checkout below /root), a link to a private one in
    /var/tmp.
    """
    if not data.exists():
        data.unlink(missing_ok=True)  # a link whose target was cleaned away
        data.mkdir()
        data.chmod(0o711)
        if not _reachable(data):
            data.rmdir()
            digest = hashlib.sha256(bytes(data)).hexdigest()[:12]
            real = Path("/var/tmp") / f"sema-{digest}"  # noqa: S108 - owned and checked below, mode 711
            real.mkdir(mode=0o711, exist_ok=True)
            if real.is_symlink() or real.stat().st_uid != os.geteuid():
                raise SystemExit(f"{real} belongs to someone else; remove it and try again")
            data.symlink_to(real)


def _reachable(directory: Path) -> bool:
    user = store_user()
    if user is None:
        return True
    probe = subprocess.run(
        ["/usr/bin/test", "-x", directory], user=user, group="nogroup", extra_groups=[], cwd="/", check=False
    )
    return probe.returncode == 0
