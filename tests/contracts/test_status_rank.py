"""One table of ranks in two places: Python decides with one, SQL with the other."""

from sema_common.messages.status import RANK
from sema_common.platform.db import Database
from tests.kit.fixtures import TestDatabase


async def test_python_and_sql_rank_alike(database: TestDatabase) -> None:
    async with Database.open(database.owner_dsn, name="owner") as db:
        rows = await db.fetch("SELECT s, orch.status_rank(s) FROM unnest($1::text[]) AS s", list(RANK))
        assert dict(map(tuple, rows)) == RANK
        allowed = await db.fetchval(
            "SELECT pg_get_constraintdef(oid) FROM pg_constraint"
            " WHERE conrelid = 'orch.sms_messages'::regclass AND conname LIKE '%_status_check'"
        )
    assert set(allowed.split("'")[1::2]) == set(RANK)
