"""What the routes about senders work with."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sema_common.platform.db import Database, Tx
from sema_main_api.http.callers import Staff
from sema_main_api.http.requests import Request
from sema_main_api.http.store import Audit, write_audit


@dataclass(frozen=True, slots=True)
class Deps:
    pipeline: Database


async def audit(
    tx: Tx,
    staff: Staff,
    request: Request,
    action: str,
    subject: tuple[str, object],
    before: Mapping[str, Any] | None,
    after: Mapping[str, Any] | None,
    *,
    reason: str | None = None,
    account_id: UUID | None = None,
) -> None:
    """The line of what staff have just done, in its transaction."""
    line = Audit.by_staff(
        staff,
        request.request_id,
        action,
        subject,
        account_id=account_id,
        before=before,
        after=after,
        reason=reason,
    )
    await write_audit(tx, line)
