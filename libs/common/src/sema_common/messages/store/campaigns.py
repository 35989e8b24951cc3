"""The messages of campaigns, counted."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final, LiteralString
from uuid import UUID

from sema_common.platform.db import COMMAND_SECONDS, Tx

SQL_COUNT: Final[LiteralString] = """
SELECT campaign_id, status, count(*) AS messages FROM orch.sms_messages
WHERE campaign_id = ANY($1::uuid[]) AND enqueued_at >= $2 GROUP BY campaign_id, status
"""


async def count_by_status(
    tx: Tx, campaign_ids: Sequence[UUID], since: datetime, timeout: float = COMMAND_SECONDS
) -> dict[UUID, dict[str, int]]:
    """How many messages of each campaign stand where; `since`: when the first of these campaigns was created."""
    counts: dict[UUID, dict[str, int]] = {campaign_id: {} for campaign_id in campaign_ids}
    for row in await tx.fetch(SQL_COUNT, campaign_ids, since, timeout=timeout):
        counts[row["campaign_id"]][row["status"]] = row["messages"]
    return counts
