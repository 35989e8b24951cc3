"""A pool under each role that reads or writes `orch`, and the history of a message as the owner sees it."""

from collections.abc import AsyncIterator, Awaitable, Callable
from uuid import UUID

import pytest

from sema_common.platform.db import Database, Row
from tests.kit.fixtures import TestDatabase

History = Callable[[UUID], Awaitable[list[str]]]
Stored = Callable[[UUID], Awaitable[Row]]


@pytest.fixture
async def api(database: TestDatabase) -> AsyncIterator[Database]:
    async with Database.open(database.dsn("main_api_pipeline"), name="api", max_size=12) as db:
        yield db


@pytest.fixture
async def worker(database: TestDatabase) -> AsyncIterator[Database]:
    async with Database.open(database.dsn("sms_worker_pipeline"), name="worker", max_size=12) as db:
        yield db


@pytest.fixture
async def processor(database: TestDatabase) -> AsyncIterator[Database]:
    async with Database.open(database.dsn("dlr_processor_pipeline"), name="processor", max_size=12) as db:
        yield db


@pytest.fixture
def history(api: Database) -> History:
    """The keys of a message's events, in their order."""

    async def read(message_id: UUID) -> list[str]:
        rows = await api.fetch(
            "SELECT event_key FROM orch.message_events WHERE message_id = $1 ORDER BY occurred_at, event_key",
            message_id,
        )
        return [row["event_key"] for row in rows]

    return read


@pytest.fixture
def stored(api: Database) -> Stored:
    """The row of a message."""

    async def read(message_id: UUID) -> Row:
        row = await api.fetchrow("SELECT * FROM orch.sms_messages WHERE message_id = $1", message_id)
        assert row is not None
        return row

    return read
