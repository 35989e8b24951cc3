"""Postgres, Redis and RabbitMQ as private, unprivileged, durable processes of this stack."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Final

from deploy.local import probes
from deploy.local.layout import BROKER_USER, SUPERUSER, Layout, give_to_store_user, store_user
from deploy.local.programs import Program

STORES: Final = ("postgres", "redis", "epmd", "rabbitmq")

_POSTGRES_BIN: Final = Path("/usr/lib/postgresql")
# The wrapper in /usr/sbin accepts only root and rabbitmq; this is what it calls.
_RABBITMQ_SERVER: Final = "/usr/lib/rabbitmq/bin/rabbitmq-server"
# One scheduler: on two busy cores it took 240 µs of CPU a message (3 kB, quorum queue, confirmed and acknowledged)
# against 280 with two, and left the other core to the services. Busy waiting off: an idle broker takes 0.5 % of a core.
_ERLANG_ARGS: Final = "-noinput +S 1:1 +sbwt none +sbwtdcpu none +sbwtdio none"


def programs(layout: Layout, secrets: dict[str, str]) -> list[Program]:
    return [
        _postgres(layout),
        _redis(layout),
        _epmd(layout),
        _rabbitmq(layout, secrets["AMQP_PASSWORD"]),
    ]


def postgres_binary(name: str) -> str:
    """The newest installed Postgres; Debian keeps its server programs off the PATH."""
    versions = sorted(_POSTGRES_BIN.glob(f"*/bin/{name}"), key=lambda path: float(path.parts[-3]))
    if not versions:
        raise SystemExit("PostgreSQL is not installed; run: make packages")
    return str(versions[-1])


def _environment(home: Path) -> dict[str, str]:
    return {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": str(home), "LANG": "C.UTF-8", "TZ": "UTC"}


def _postgres(layout: Layout) -> Program:
    home = layout.data / "postgres"
    settings = {
        "listen_addresses": "127.0.0.1",
        "port": str(layout.port("postgres")),
        "unix_socket_directories": "",
        "timezone": "UTC",
        "max_connections": "200",
        "shared_buffers": "256MB",
        "max_wal_size": "4GB",
        "checkpoint_timeout": "15min",
        "jit": "off",
        "log_min_duration_statement": "2s",
        "fsync": "on" if layout.durable else "off",
        "synchronous_commit": "on" if layout.durable else "off",
        "full_page_writes": "on" if layout.durable else "off",
    }
    options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]

    def prepare() -> None:
        give_to_store_user(home)
        if not (home / "PG_VERSION").exists():
            initdb = (postgres_binary("initdb"), "-D", str(home), "-U", SUPERUSER, "--auth=trust")
            _as_store_user(layout, "postgres", (*initdb, "-E", "UTF8", "--locale=C.UTF-8", "--no-sync"), home)

    return Program(
        name="postgres",
        command=(postgres_binary("postgres"), "-D", str(home), *options),
        env=_environment(home),
        cwd=layout.data,
        ready=lambda: probes.postgres(layout.dsn(database="postgres")),
        user=store_user(),
        prepare=prepare,
        stop_signal=signal.SIGINT,  # "fast": ends sessions instead of waiting for them
        ports=(layout.port("postgres"),),
    )


def _redis(layout: Layout) -> Program:
    home = layout.data / "redis"
    port = layout.port("redis")
    return Program(
        name="redis",
        # A cache: nothing is saved, and the tests want a database per worker.
        command=(
            *("/usr/bin/redis-server", "--bind", "127.0.0.1", "--port", str(port), "--dir", str(home)),
            *("--save", "", "--appendonly", "no", "--databases", "64"),
        ),
        env=_environment(home),
        cwd=layout.data,
        ready=lambda: probes.redis(port),
        user=store_user(),
        prepare=lambda: give_to_store_user(home),
        ports=(port,),
    )


def _epmd(layout: Layout) -> Program:
    """Erlang's name server, run by us in the foreground; left to RabbitMQ it would outlive it as a daemon."""
    home = layout.data / "rabbitmq"
    port = layout.port("epmd")
    return Program(
        name="epmd",
        command=(_installed("epmd"), "-port", str(port), "-address", "127.0.0.1"),
        env=_environment(home),
        cwd=layout.data,
        ready=lambda: probes.listening(port),
        user=store_user(),
        prepare=lambda: give_to_store_user(home),
        ports=(port,),
    )


def _rabbitmq(layout: Layout, password: str) -> Program:
    home = layout.data / "rabbitmq"
    port, management = layout.port("rabbitmq"), layout.port("rabbitmq-management")
    config = home / "rabbitmq.conf"
    plugins = home / "enabled_plugins"

    def prepare() -> None:
        give_to_store_user(home)
        config.write_text(
            f"listeners.tcp.default = 127.0.0.1:{port}\n"
            f"management.tcp.ip = 127.0.0.1\nmanagement.tcp.port = {management}\n"
            f"prometheus.tcp.ip = 127.0.0.1\nprometheus.tcp.port = {layout.port('rabbitmq-prometheus')}\n"
            f"default_user = {BROKER_USER}\ndefault_pass = {password}\n"
            "disk_free_limit.absolute = 200MB\n"
            "collect_statistics_interval = 5000\n"
        )
        plugins.write_text("[rabbitmq_management,rabbitmq_prometheus].\n")
        for path in (config, plugins):
            shutil.chown(path, store_user() or os.geteuid())
            path.chmod(0o600)

    paths = {
        "MNESIA_BASE": "mnesia",
        "LOG_BASE": "log",
        "GENERATED_CONFIG_DIR": "generated",
        "SCHEMA_DIR": "schema",
        "PID_FILE": "pid",
        "CONFIG_FILE": config.name,
        "ENABLED_PLUGINS_FILE": plugins.name,
    }
    env = {f"RABBITMQ_{name}": str(home / path) for name, path in paths.items()} | {
        "RABBITMQ_NODENAME": "sema@localhost",
        "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
        "RABBITMQ_NODE_PORT": str(port),
        "RABBITMQ_DIST_PORT": str(layout.port("rabbitmq-dist")),
        "RABBITMQ_LOGS": "-",
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": _ERLANG_ARGS,
        # Makes the script `exec` Erlang, so that the pid we know is the broker's own.
        "RABBITMQ_ALLOW_INPUT": "1",
        "ERL_EPMD_PORT": str(layout.port("epmd")),
        "ERL_EPMD_ADDRESS": "127.0.0.1",
    }
    return Program(
        name="rabbitmq",
        command=(_RABBITMQ_SERVER,),
        env=_environment(home) | env,
        cwd=layout.data,
        ready=lambda: probes.rabbitmq(port, management),
        needs=("epmd",),
        user=store_user(),
        prepare=prepare,
        ports=(port, management, layout.port("rabbitmq-dist"), layout.port("rabbitmq-prometheus")),
    )


def _installed(name: str) -> str:
    path = shutil.which(name)
    if path is None:
        raise SystemExit(f"{name} is not installed; run: make packages")
    return path


def _as_store_user(layout: Layout, name: str, command: tuple[str, ...], home: Path) -> None:
    user = store_user()
    with layout.log_file(name).open("ab") as log:
        subprocess.run(
            command,
            env=_environment(home),
            cwd=layout.data,
            stdout=log,
            stderr=subprocess.STDOUT,
            user=user,
            group="nogroup" if user else None,
            extra_groups=[] if user else None,
            check=True,
        )
