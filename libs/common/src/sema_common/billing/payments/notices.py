"""`billing.payment_notices`: what came through the callback door, kept as it came; and when the list is read."""

from datetime import datetime
from typing import Final, LiteralString
from uuid import UUID

from sema_common.platform.db import Tx

SQL_KEEP: Final[LiteralString] = """
INSERT INTO billing.payment_notices (id, kind, top_up_id, receipt, finding, body, received_at)
VALUES ($1, $2, $3, $4, $5, $6, $7)
"""


async def keep(
    tx: Tx,
    notice_id: UUID,
    kind: str,
    body: str,
    at: datetime,
    finding: str,
    *,
    top_up_id: UUID | None = None,
    receipt: str | None = None,
) -> None:
    """Write down what came, and what was made of it."""
    await tx.execute(SQL_KEEP, notice_id, kind, top_up_id, receipt, finding, body, at)


SQL_PURGE: Final[LiteralString] = """
DELETE FROM billing.payment_notices WHERE id IN (
    SELECT id FROM billing.payment_notices WHERE received_at < $1 ORDER BY received_at LIMIT $2)
"""


async def purge(tx: Tx, received_before: datetime, limit: int) -> bool:
    """Delete old ones: they hold numbers. True: there may be more."""
    return await tx.execute(SQL_PURGE, received_before, limit) == f"DELETE {limit}"


SQL_HURRY: Final[LiteralString] = """
UPDATE billing.payment_tasks SET due_at = $2 WHERE name = $1 AND due_at > $2
"""


async def hurry(tx: Tx, name: str, at: datetime) -> None:
    """A task is due at `at`, if it was not sooner."""
    await tx.execute(SQL_HURRY, name, at)


SQL_CLAIM: Final[LiteralString] = """
UPDATE billing.payment_tasks SET due_at = $3
WHERE name = (SELECT name FROM billing.payment_tasks WHERE name = $1 AND due_at <= $2 FOR UPDATE SKIP LOCKED)
RETURNING COALESCE(done_to, 'epoch')
"""


async def claim(tx: Tx, name: str, at: datetime, next_at: datetime) -> datetime | None:
    """Take a task that is due: how far it was done before. None: it is not due, or somebody else has it."""
    found: datetime | None = await tx.fetchval(SQL_CLAIM, name, at, next_at)
    return found


SQL_DONE_TO: Final[LiteralString] = """
UPDATE billing.payment_tasks SET done_to = $2 WHERE name = $1 AND COALESCE(done_to, 'epoch') < $2
"""


async def set_done_to(tx: Tx, name: str, moment: datetime) -> None:
    """How far a task was done."""
    await tx.execute(SQL_DONE_TO, name, moment)


SQL_READ_DONE_TO: Final[LiteralString] = "SELECT done_to FROM billing.payment_tasks WHERE name = $1"


async def done_to(tx: Tx, name: str) -> datetime | None:
    """How far a task was done; None: never."""
    found: datetime | None = await tx.fetchval(SQL_READ_DONE_TO, name)
    return found
