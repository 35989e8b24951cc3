"""Whom mails about invoices go to: the only thing here that `billing` does not keep."""

from collections.abc import Sequence
from typing import Final, LiteralString
from uuid import UUID

from sema_common.platform.db import Tx

SQL_OWNERS: Final[LiteralString] = """
SELECT account_id, email FROM core.users
WHERE account_id = ANY($1::uuid[]) AND role = 'owner' AND disabled_at IS NULL ORDER BY account_id, email
"""


async def read_owners(tx: Tx, accounts: Sequence[UUID]) -> dict[UUID, list[str]]:
    """The addresses of each account's owners."""
    found: dict[UUID, list[str]] = {}
    for row in await tx.fetch(SQL_OWNERS, accounts):
        found.setdefault(row["account_id"], []).append(row["email"])
    return found
