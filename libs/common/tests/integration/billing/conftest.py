"""A pool under each role that moves money."""

from collections.abc import AsyncIterator

import pytest

from sema_common.platform.db import Database
from tests.kit.fixtures import TestDatabase


@pytest.fixture
async def api(database: TestDatabase) -> AsyncIterator[Database]:
    async with Database.open(database.dsn("main_api_pipeline"), name="api", max_size=20) as db:
        yield db


@pytest.fixture
async def worker(database: TestDatabase) -> AsyncIterator[Database]:
    async with Database.open(database.dsn("sms_worker_pipeline"), name="worker", max_size=20) as db:
        yield db
