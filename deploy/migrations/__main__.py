"""`python -m deploy.migrations upgrade|current [--dsn …]`: the migration job."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine
from sqlalchemy.pool import NullPool

# Any number will do as long as nothing else uses it: "sema" in ASCII.
LOCK: Final = 0x73656D61
LOCK_SECONDS: Final = 300.0
RETRY_SECONDS: Final = 0.5


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m deploy.migrations", description=__doc__)
    parser.add_argument("command", choices=("upgrade", "current"))
    parser.add_argument("--dsn", default=os.environ.get("DATABASE_URL"), help="default: DATABASE_URL")
    arguments = parser.parse_args()
    if not arguments.dsn:
        sys.exit("give --dsn or DATABASE_URL")
    revision = asyncio.run(migrate(arguments.dsn, upgrade=arguments.command == "upgrade"))
    print(f"{arguments.command}: {revision or 'empty'}")


async def migrate(dsn: str, upgrade: bool = True) -> str | None:
    """Brings the database to the newest revision under one lock; the revision it now has."""
    engine = create_async_engine(make_url(dsn).set(drivername="postgresql+asyncpg"), poolclass=NullPool)
    try:
        async with engine.connect() as connection:
            if upgrade:
                await _lock(connection)
            return await connection.run_sync(_migrate if upgrade else _current)
    finally:
        await engine.dispose()


async def _lock(connection: AsyncConnection) -> None:
    """Polls: a second runner that waited inside pg_advisory_lock would hold a snapshot, and CREATE INDEX
    CONCURRENTLY of the first would wait for that, forever. The lock is the session's and ends with
    it."""
    async with asyncio.timeout(LOCK_SECONDS):
        while not await connection.scalar(text(f"SELECT pg_try_advisory_lock({LOCK})")):
            await connection.rollback()
            await asyncio.sleep(RETRY_SECONDS)
    await connection.commit()


def _migrate(connection: Connection) -> str | None:
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
    # Every room reads the revision to see whether it may serve.
    connection.exec_driver_sql("GRANT SELECT ON alembic_version TO PUBLIC")
    connection.commit()
    return _current(connection)


def _current(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def head() -> str:
    """The newest revision of this checkout."""
    revision = ScriptDirectory.from_config(_config()).get_current_head()
    assert revision is not None
    return revision


def _config() -> Config:
    return Config(Path(__file__).parent / "alembic.ini")


if __name__ == "__main__":
    main()
