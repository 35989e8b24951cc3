"""Campaigns as all rooms see them: their rows, their rejection, their messages counted."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Final, LiteralString
from uuid import UUID

from sema_common.messages.campaigns import COLUMNS, CampaignRow, campaign_row
from sema_common.platform.db import COMMAND_SECONDS, Tx

SQL_READ: Final[LiteralString] = f"SELECT {COLUMNS} FROM core.campaigns c WHERE c.id = $1"


async def read_campaign(tx: Tx, campaign_id: UUID) -> CampaignRow | None:
    """The campaign as it is now, unlocked."""
    row = await tx.fetchrow(SQL_READ, campaign_id)
    return None if row is None else campaign_row(row)


SQL_REJECT: Final[LiteralString] = """
WITH waiting AS (
    SELECT id, reserved FROM core.campaigns
    WHERE id = $1 AND status IN ('submitted', 'pending_content_check')
    FOR NO KEY UPDATE
)
UPDATE core.campaigns c
SET status = 'rejected', rejection_reasons = $2, reserved = 0, screened_at = $3
FROM waiting WHERE c.id = waiting.id
RETURNING waiting.reserved
"""


async def reject(
    tx: Tx, campaign_id: UUID, reasons: Sequence[Mapping[str, str]], at: datetime
) -> Decimal | None:
    """What the campaign had reserved and the caller now releases; None if it waits for no verdict any more."""
    reserved: Decimal | None = await tx.fetchval(SQL_REJECT, campaign_id, reasons, at)
    return reserved


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
