"""Every column that holds something sealed, read and written by pages."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, LiteralString
from uuid import UUID

from sema_common.platform.db import Tx

FIRST: Final = UUID(int=0)


@dataclass(frozen=True, slots=True)
class Column:
    """One column of sealed texts: how its next page is locked and read (id, sealed), and how it is written back."""

    name: str
    read: LiteralString
    write: LiteralString


SQL_ACCOUNTS: Final[LiteralString] = """
SELECT id, webhook_secret AS sealed FROM core.accounts WHERE id > $1 ORDER BY id LIMIT $2 FOR NO KEY UPDATE
"""
SQL_PUT_ACCOUNTS: Final[LiteralString] = """
UPDATE core.accounts t SET webhook_secret = n.sealed FROM unnest($1::uuid[], $2::bytea[]) AS n(id, sealed)
WHERE t.id = n.id
"""
SQL_ENDPOINTS: Final[LiteralString] = """
SELECT id, secret AS sealed FROM webhooks.endpoints WHERE id > $1 ORDER BY id LIMIT $2 FOR NO KEY UPDATE
"""
SQL_PUT_ENDPOINTS: Final[LiteralString] = """
UPDATE webhooks.endpoints t SET secret = n.sealed FROM unnest($1::uuid[], $2::bytea[]) AS n(id, sealed)
WHERE t.id = n.id
"""
SQL_OLD: Final[LiteralString] = """
SELECT id, old_secret AS sealed FROM webhooks.endpoints WHERE id > $1 AND old_secret IS NOT NULL
ORDER BY id LIMIT $2 FOR NO KEY UPDATE
"""
SQL_PUT_OLD: Final[LiteralString] = """
UPDATE webhooks.endpoints t SET old_secret = n.sealed FROM unnest($1::uuid[], $2::bytea[]) AS n(id, sealed)
WHERE t.id = n.id
"""
SQL_TOTP: Final[LiteralString] = """
SELECT user_id AS id, secret AS sealed FROM core.user_totp WHERE user_id > $1
ORDER BY user_id LIMIT $2 FOR NO KEY UPDATE
"""
SQL_PUT_TOTP: Final[LiteralString] = """
UPDATE core.user_totp t SET secret = n.sealed FROM unnest($1::uuid[], $2::bytea[]) AS n(id, sealed)
WHERE t.user_id = n.id
"""
SQL_MAILS: Final[LiteralString] = """
SELECT id, content AS sealed FROM core.mails WHERE id > $1 AND content IS NOT NULL
ORDER BY id LIMIT $2 FOR NO KEY UPDATE
"""
SQL_PUT_MAILS: Final[LiteralString] = """
UPDATE core.mails t SET content = n.sealed FROM unnest($1::uuid[], $2::bytea[]) AS n(id, sealed) WHERE t.id = n.id
"""

COLUMNS: Final = (
    Column("core.accounts.webhook_secret", SQL_ACCOUNTS, SQL_PUT_ACCOUNTS),
    Column("webhooks.endpoints.secret", SQL_ENDPOINTS, SQL_PUT_ENDPOINTS),
    Column("webhooks.endpoints.old_secret", SQL_OLD, SQL_PUT_OLD),
    Column("core.user_totp.secret", SQL_TOTP, SQL_PUT_TOTP),
    Column("core.mails.content", SQL_MAILS, SQL_PUT_MAILS),
)


async def next_page(tx: Tx, column: Column, after: UUID, limit: int) -> list[tuple[UUID, bytes]]:
    """What follows `after`, locked until commit: nobody replaces it meanwhile."""
    return [(row["id"], row["sealed"]) for row in await tx.fetch(column.read, after, limit)]


async def put(tx: Tx, column: Column, sealed: Mapping[UUID, bytes]) -> None:
    """Write these back."""
    ids: Sequence[UUID] = sorted(sealed)
    await tx.execute(column.write, ids, [sealed[each] for each in ids])
