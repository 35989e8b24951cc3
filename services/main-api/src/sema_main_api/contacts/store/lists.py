"""`core.contact_lists`."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final, LiteralString
from uuid import UUID

from sema_common.platform.db import Tx


@dataclass(frozen=True, slots=True)
class ListRow:
    id: UUID
    name: str
    default_country: str | None
    fields: list[str]
    created_at: datetime


SQL_INSERT_LIST: Final[LiteralString] = """
INSERT INTO core.contact_lists (id, tenant_id, account_id, name, default_country) VALUES ($1, $2, $3, $4, $5)
RETURNING id, name, default_country, fields, created_at
"""


async def insert_list(
    tx: Tx, list_id: UUID, tenant_id: UUID, account_id: UUID, name: str, country: str | None
) -> ListRow:
    """An empty list."""
    row = await tx.fetchrow(SQL_INSERT_LIST, list_id, tenant_id, account_id, name, country)
    assert row is not None
    return ListRow(*row.values())


SQL_LISTS: Final[LiteralString] = """
SELECT id, name, default_country, fields, created_at FROM core.contact_lists
WHERE account_id = $1 AND ($2::uuid IS NULL OR id < $2) AND ($3::text IS NULL OR strpos(lower(name), lower($3)) > 0)
ORDER BY id DESC LIMIT $4
"""


async def page_of_lists(
    tx: Tx, account_id: UUID, before: UUID | None, name: str | None, limit: int
) -> list[ListRow]:
    """The account's lists, newest first."""
    return [ListRow(*row.values()) for row in await tx.fetch(SQL_LISTS, account_id, before, name, limit)]


SQL_READ_LIST: Final[LiteralString] = """
SELECT id, name, default_country, fields, created_at FROM core.contact_lists WHERE id = $1 AND account_id = $2
"""


async def read_list(tx: Tx, list_id: UUID, account_id: UUID) -> ListRow | None:
    """One list of the account."""
    row = await tx.fetchrow(SQL_READ_LIST, list_id, account_id)
    return None if row is None else ListRow(*row.values())


SQL_LOCK_LIST: Final[LiteralString] = """
SELECT id, name, default_country, fields, created_at FROM core.contact_lists WHERE id = $1 AND account_id = $2
FOR NO KEY UPDATE
"""


async def lock_list(tx: Tx, list_id: UUID, account_id: UUID) -> ListRow | None:
    """One list, held until the transaction ends: one at a time adds to it. Reading it goes on."""
    row = await tx.fetchrow(SQL_LOCK_LIST, list_id, account_id)
    return None if row is None else ListRow(*row.values())


SQL_SET_FIELDS: Final[LiteralString] = "UPDATE core.contact_lists SET fields = $2 WHERE id = $1"


async def set_fields(tx: Tx, list_id: UUID, fields: list[str]) -> None:
    """The attributes that its contacts have, in the order of a table's columns."""
    await tx.execute(SQL_SET_FIELDS, list_id, fields)


SQL_DELETE_LIST: Final[LiteralString] = "DELETE FROM core.contact_lists WHERE id = $1 AND account_id = $2"


async def delete_list(tx: Tx, list_id: UUID, account_id: UUID, timeout: float) -> bool:
    """With its contacts and jobs; False when there is none."""
    return await tx.execute(SQL_DELETE_LIST, list_id, account_id, timeout=timeout) == "DELETE 1"


SQL_COUNTS: Final[LiteralString] = """
SELECT validity, count(*) FROM core.contacts WHERE contact_list_id = $1 GROUP BY validity
"""


async def count_contacts(tx: Tx, list_id: UUID) -> dict[str, int]:
    """Its contacts by validity."""
    return dict(tuple(row.values()) for row in await tx.fetch(SQL_COUNTS, list_id))
