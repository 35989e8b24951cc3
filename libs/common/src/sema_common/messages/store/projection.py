"""The history is the truth and `status` its projection: compare the two, and write it anew.

The comparison is an operator's command and a test, never part of the journey. A status event is written by the
statement that moves the message, so a difference can only come from a hand or from a bug.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, LiteralString
from uuid import UUID

from sema_common.messages.status import Status
from sema_common.platform.db import Tx
from sema_common.values.ids import id_time


@dataclass(frozen=True, slots=True)
class Difference:
    """A message whose status is not what its events add up to."""

    message_id: UUID
    status: Status
    history: Status


SQL_COMPARE: Final[LiteralString] = """
SELECT m.message_id, m.status, told.status
FROM orch.sms_messages m CROSS JOIN LATERAL (
    SELECT e.status FROM orch.message_events e
    WHERE e.message_id = m.message_id AND e.enqueued_at = m.enqueued_at AND orch.status_rank(e.status) IS NOT NULL
    ORDER BY orch.status_rank(e.status) DESC, e.occurred_at LIMIT 1
) AS told
WHERE m.enqueued_at >= $1 AND m.enqueued_at < $2 AND m.status <> told.status
ORDER BY m.enqueued_at LIMIT $3
"""


async def compare(tx: Tx, since: datetime, until: datetime, at_most: int = 1000) -> list[Difference]:
    """Messages accepted in that time whose status and history disagree, oldest first."""
    return [Difference(*row.values()) for row in await tx.fetch(SQL_COMPARE, since, until, at_most)]


SQL_REBUILD: Final[LiteralString] = """
UPDATE orch.sms_messages m SET status = d.history, status_updated_at = now(), updated_at = now()
FROM unnest($1::uuid[], $2::timestamptz[], $3::text[], $4::text[]) AS d(message_id, enqueued_at, status, history)
WHERE m.message_id = d.message_id AND m.enqueued_at = d.enqueued_at AND m.status = d.status
"""


async def rebuild(tx: Tx, differences: Sequence[Difference]) -> None:
    """Make these statuses what their history says, unless they have moved since they were compared."""
    ordered = sorted(differences, key=lambda d: d.message_id)
    await tx.execute(
        SQL_REBUILD,
        [d.message_id for d in ordered],
        [id_time(d.message_id) for d in ordered],
        [d.status for d in ordered],
        [d.history for d in ordered],
    )
