"""Reading the audit log."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, LiteralString
from uuid import UUID

from sema_common.platform.db import Tx
from sema_main_api.admin.audit.schemas import AuditQuery


@dataclass(frozen=True, slots=True)
class AuditRow:
    id: int
    at: datetime
    actor: str
    actor_id: UUID | None
    action: str
    subject_type: str
    subject_id: str
    account_id: UUID | None
    before: dict[str, Any] | None
    after: dict[str, Any] | None
    reason: str | None
    request_id: str | None


SQL_AUDIT_LOG: Final[LiteralString] = """
SELECT id, at, actor, actor_id, action, subject_type, subject_id, account_id, before, after, reason, request_id
FROM core.audit_log
WHERE ($1::bigint IS NULL OR id < $1) AND ($2::text IS NULL OR actor = $2) AND ($3::uuid IS NULL OR actor_id = $3)
  AND ($4::text IS NULL OR starts_with(action, $4)) AND ($5::text IS NULL OR subject_type = $5)
  AND ($6::text IS NULL OR subject_id = $6) AND ($7::uuid IS NULL OR account_id = $7)
  AND ($8::timestamptz IS NULL OR at >= $8) AND ($9::timestamptz IS NULL OR at < $9)
ORDER BY id DESC LIMIT $10
"""


async def read_log(tx: Tx, query: AuditQuery, before: int | None, limit: int) -> list[AuditRow]:
    """Entries that the query asks for, the youngest first."""
    rows = await tx.fetch(
        SQL_AUDIT_LOG,
        before,
        query.actor,
        query.actor_id,
        query.action,
        query.subject_type,
        query.subject_id,
        query.account_id,
        query.since,
        query.until,
        limit,
    )
    return [AuditRow(*row.values()) for row in rows]
