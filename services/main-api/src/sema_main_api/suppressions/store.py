"""`core.suppressions`."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, LiteralString
from uuid import UUID

from sema_common.platform.db import Tx
from sema_common.values.ids import new_id
from sema_main_api.suppressions.rules import OptOut


@dataclass(frozen=True, slots=True)
class SuppressionRow:
    id: UUID
    phone: str
    scope: str
    reason: str | None
    created_at: datetime
    updated_at: datetime


SQL_PUT: Final[LiteralString] = """
INSERT INTO core.suppressions (id, tenant_id, account_id, msisdn, scope, reason)
SELECT n.id, $1, $2, n.msisdn, n.scope, n.reason
FROM unnest($3::uuid[], $4::text[], $5::text[], $6::text[]) AS n(id, msisdn, scope, reason)
ON CONFLICT (account_id, msisdn) DO UPDATE
SET scope = excluded.scope, reason = excluded.reason, updated_at = now()
RETURNING id, msisdn, scope, reason, created_at, updated_at, xmax = 0 AS added
"""


async def put(
    tx: Tx, tenant_id: UUID, account_id: UUID, optouts: Sequence[OptOut]
) -> list[tuple[SuppressionRow, bool]]:
    """Write opt-outs, each number once; one that was there gets the new scope and reason. True: it is new."""
    ordered = sorted(optouts, key=lambda o: o.msisdn)
    rows = await tx.fetch(
        SQL_PUT,
        tenant_id,
        account_id,
        [new_id() for _ in ordered],
        [o.msisdn for o in ordered],
        [o.scope for o in ordered],
        [o.reason for o in ordered],
    )
    return [(SuppressionRow(*list(row.values())[:6]), row["added"]) for row in rows]


SQL_LIST: Final[LiteralString] = """
SELECT id, msisdn, scope, reason, created_at, updated_at FROM core.suppressions
WHERE account_id = $1 AND ($2::uuid IS NULL OR id < $2)
  AND ($3::text IS NULL OR msisdn = $3) AND ($4::text IS NULL OR scope = $4)
ORDER BY id DESC LIMIT $5
"""


async def page(
    tx: Tx, account_id: UUID, before: UUID | None, phone: str | None, scope: str | None, limit: int
) -> list[SuppressionRow]:
    """A page of the account's opt-outs, newest first."""
    rows = await tx.fetch(SQL_LIST, account_id, before, phone, scope, limit)
    return [SuppressionRow(*row.values()) for row in rows]


SQL_READ: Final[LiteralString] = """
SELECT id, msisdn, scope, reason, created_at, updated_at FROM core.suppressions WHERE account_id = $1 AND id = $2
"""


async def read(tx: Tx, account_id: UUID, suppression_id: UUID) -> SuppressionRow | None:
    """One opt-out of the account."""
    row = await tx.fetchrow(SQL_READ, account_id, suppression_id)
    return None if row is None else SuppressionRow(*row.values())


SQL_DELETE: Final[LiteralString] = "DELETE FROM core.suppressions WHERE account_id = $1 AND id = $2"


async def delete(tx: Tx, account_id: UUID, suppression_id: UUID) -> bool:
    """False when there is none."""
    return await tx.execute(SQL_DELETE, account_id, suppression_id) == "DELETE 1"
