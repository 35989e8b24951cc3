"""The schema's history: linear, complete, repeatable, and safe to run from two places at once."""

import asyncio
import uuid
from pathlib import Path

import asyncpg
from alembic.config import Config
from alembic.script import ScriptDirectory

from deploy.local.bootstrap import MIGRATOR, OWNER
from deploy.migrations import __main__ as migrations
from tests.kit.fixtures import TestDatabase
from tests.kit.stores import Stores

DIRECTORY = Path(migrations.__file__).parent


def test_each_sql_file_has_its_revision_in_one_line() -> None:
    script = ScriptDirectory.from_config(Config(DIRECTORY / "alembic.ini"))
    history = [revision.module.__name__ for revision in script.walk_revisions()]
    assert history[::-1] == sorted(f"{path.stem}_py" for path in (DIRECTORY / "sql").glob("*.sql"))
    assert len(script.get_heads()) == 1


def test_a_revision_is_the_number_of_its_file() -> None:
    script = ScriptDirectory.from_config(Config(DIRECTORY / "alembic.ini"))
    for revision in script.walk_revisions():
        assert Path(str(revision.path)).name.startswith(f"{revision.revision}_")


async def test_upgrading_again_changes_nothing(database: TestDatabase) -> None:
    assert await migrations.migrate(database.dsn(MIGRATOR)) == migrations.head()


async def test_two_runners_at_once_take_turns(stores: Stores, template: str) -> None:
    name = f"test_{uuid.uuid4().hex}"
    connection = await asyncpg.connect(stores.postgres_dsn())
    await connection.execute(f"CREATE DATABASE {name} OWNER {OWNER}")
    try:
        runners = [_run(stores.postgres_dsn(MIGRATOR, name)) for _ in range(2)]
        assert await asyncio.gather(*runners) == [f"upgrade: {migrations.head()}"] * 2
    finally:
        await connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
        await connection.close()


async def test_nothing_is_owned_by_a_role_that_logs_in(database: TestDatabase) -> None:
    connection = await asyncpg.connect(database.owner_dsn)
    owners = await connection.fetch(
        "SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"
    )
    await connection.close()
    assert [row["tableowner"] for row in owners] == [OWNER]


async def _run(dsn: str) -> str:
    process = await asyncio.create_subprocess_exec(
        *(".venv/bin/python", "-m", "deploy.migrations", "upgrade", "--dsn", dsn),
        cwd=DIRECTORY.parents[1],
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await process.communicate()
    return output.decode().strip()
