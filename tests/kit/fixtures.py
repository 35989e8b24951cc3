"""Fixtures with real stores behind them: each test has a database, a vhost and a Redis of its own.

The database is a clone of a migrated template (some 50 ms), so tests see every migration and no other
test's rows; it is reached as the services' own roles, so that a missing grant or policy fails a test.
"""

from __future__ import annotations

import asyncio
import base64
import fcntl
import hashlib
import json
import urllib.request
import uuid
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import asyncpg
import pytest
import redis

from deploy.local.bootstrap import MIGRATOR, OWNER, create_roles
from deploy.local.layout import BROKER_USER, ROOT
from deploy.migrations.__main__ import migrate
from sema_common.platform import cache
from tests.kit.stores import Home, Stores, remove_orphans

REDIS_DATABASES: Final = 64
_HOME: Final = pytest.StashKey[Home]()


@dataclass(frozen=True)
class TestDatabase:
    """A fresh, migrated database. `owner_dsn` is the superuser's: it sees every row, whatever the
    policies say.
    """

    __test__ = False

    stores: Stores
    name: str

    def dsn(self, role: str) -> str:
        return self.stores.postgres_dsn(role, self.name)

    @property
    def owner_dsn(self) -> str:
        return self.stores.postgres_dsn(database=self.name)


def pytest_configure(config: pytest.Config) -> None:
    for marker in ("stores: needs Postgres, Redis or RabbitMQ", "long: too long for `make test`"):
        config.addinivalue_line("markers", marker)
    if not hasattr(config, "workerinput"):
        remove_orphans()
    config.stash[_HOME] = Home()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks each test by the dearest fixture that it stands on, so that `make` can pick by cost."""
    for item in items:
        needed = set(getattr(item, "fixturenames", ()))
        if "stack" in needed:
            item.add_marker("stack")
        elif "stores" in needed:
            item.add_marker("stores")


def pytest_unconfigure(config: pytest.Config) -> None:
    if _HOME in config.stash:
        config.stash[_HOME].remove()


@pytest.fixture(scope="session")
def stores(pytestconfig: pytest.Config) -> Stores:
    """Postgres, Redis and RabbitMQ; started by the first test of the run that asks."""
    return pytestconfig.stash[_HOME].start()


@pytest.fixture(scope="session")
async def template(stores: Stores) -> str:
    """The name of a migrated database to clone; made once per state of the SQL files, also across runs."""
    name = f"template_{_schema_digest()}"
    connection = await asyncpg.connect(stores.postgres_dsn())
    try:
        await connection.execute(
            "SELECT pg_advisory_lock(1)"
        )  # the workers of a run wait for the first of them
        if not await connection.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", name):
            await create_roles(stores.layout)
            await connection.execute(f"DROP DATABASE IF EXISTS {name}_new")
            await connection.execute(f"CREATE DATABASE {name}_new OWNER {OWNER}")
            await migrate(stores.postgres_dsn(MIGRATOR, f"{name}_new"))
            await connection.execute(f"ALTER DATABASE {name}_new RENAME TO {name}")
    finally:
        await connection.close()
    return name


@pytest.fixture
async def database(stores: Stores, template: str) -> AsyncIterator[TestDatabase]:
    """A clone of the template, dropped after the test with whatever is still connected to it."""
    name = f"test_{uuid.uuid4().hex}"
    connection = await asyncpg.connect(stores.postgres_dsn())
    try:
        await connection.execute(f"CREATE DATABASE {name} TEMPLATE {template} OWNER {OWNER}")
        yield TestDatabase(stores, name)
        await connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
    finally:
        await connection.close()


@pytest.fixture
async def vhost(stores: Stores) -> AsyncIterator[str]:
    """The AMQP URL of a vhost with nothing in it."""
    name = f"test-{uuid.uuid4().hex}"
    await asyncio.to_thread(manage_broker, stores, "PUT", f"vhosts/{name}")
    yield stores.amqp_vhost_url(name)
    await asyncio.to_thread(manage_broker, stores, "DELETE", f"vhosts/{name}")


@pytest.fixture
def redis_url(redis_database: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The URL of an empty Redis database. In this process it may be slow: a busy machine is no Redis that is away."""
    monkeypatch.setattr(cache, "TIMEOUT_SECONDS", 10.0)
    with redis.Redis.from_url(redis_database) as client:
        client.flushdb()
    return redis_database


@pytest.fixture(scope="session")
def redis_database(stores: Stores) -> Iterator[str]:
    """One of Redis's numbered databases, ours for the session: the lock goes with the process."""
    for number in range(REDIS_DATABASES):
        with (stores.layout.run / f"redis-{number}.lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            yield stores.layout.redis(number)
            return
    pytest.fail("every Redis database is taken")


def manage_broker(stores: Stores, method: str, path: str, body: object = None) -> object:
    """One call of RabbitMQ's management API, such as ("GET", "queues/<vhost>"); its JSON, None when empty."""
    credentials = base64.b64encode(f"{BROKER_USER}:{stores.broker_password}".encode()).decode()
    request = urllib.request.Request(  # noqa: S310 - our own broker on loopback
        f"{stores.management_url}/api/{path}",
        method=method,
        data=json.dumps(body or {}).encode() if method in {"PUT", "POST"} else None,
        headers={"Authorization": f"Basic {credentials}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=30) as response:  # noqa: S310
        content = response.read()
    return json.loads(content) if content else None


def _schema_digest() -> str:
    files = [ROOT / "deploy/roles.sql", *sorted(Path(ROOT / "deploy/migrations").glob("*/*.[ps][yq]*"))]
    content = b"".join(path.read_bytes() for path in files)
    return hashlib.sha256(content).hexdigest()[:16]
