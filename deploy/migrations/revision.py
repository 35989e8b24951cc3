"""How a revision runs its SQL file."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import asyncpg
from alembic import op
from sqlalchemy.util import await_only

SQL: Final = Path(__file__).parent / "sql"


def run_sql(revision_file: str) -> None:
    """Runs `sql/<the revision's file name>.sql` as it stands, in the transaction of the revision.

    The whole file goes to Postgres in one simple query: asyncpg's own driver takes several statements
    and function bodies, where SQLAlchemy would prepare them one by one. A statement that waits for a
    lock for more than 5 s fails the migration instead of stopping the traffic behind it (a file may set
    another lock_timeout for itself).
    """
    connection = op.get_bind()
    connection.exec_driver_sql(
        "SET LOCAL lock_timeout = '5s'"
    )  # also opens the transaction that the file joins
    driver = connection.connection.driver_connection
    assert isinstance(driver, asyncpg.Connection)
    await_only(driver.execute((SQL / Path(revision_file).with_suffix(".sql").name).read_text(), timeout=600))
