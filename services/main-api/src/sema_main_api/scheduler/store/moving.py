"""`core.campaigns` from the verdict to the end."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, LiteralString
from uuid import UUID

from sema_common.messages.campaigns import COLUMNS, CampaignRow, campaign_row
from sema_common.platform.db import Tx


@dataclass(frozen=True, slots=True)
class Unscreened:
    """A campaign whose text has not been sent to its verdict."""

    id: UUID
    account_id: UUID
    traceparent: str | None


SQL_FIND_UNSCREENED: Final[LiteralString] = """
SELECT id, account_id, traceparent FROM core.campaigns WHERE status = 'submitted'
ORDER BY id LIMIT $1 FOR NO KEY UPDATE SKIP LOCKED
"""


async def find_unscreened(tx: Tx, at_most: int) -> list[Unscreened]:
    """Lock campaigns that nobody has asked a verdict for; other instances skip them until commit."""
    return [Unscreened(*row.values()) for row in await tx.fetch(SQL_FIND_UNSCREENED, at_most)]


SQL_PEND: Final[LiteralString] = """
UPDATE core.campaigns SET status = 'pending_content_check' WHERE id = ANY($1::uuid[]) AND status = 'submitted'
"""


async def pend(tx: Tx, campaign_ids: Sequence[UUID]) -> None:
    """Their texts are on their way to the verdict."""
    await tx.execute(SQL_PEND, campaign_ids)


# Only one instance gets a row, however many ask at once.
SQL_START: Final[LiteralString] = """
UPDATE core.campaigns SET status = CASE WHEN send_at > $1 THEN 'scheduled' ELSE 'queued' END
WHERE id IN (
    SELECT id FROM core.campaigns
    WHERE status = 'approved' OR (status = 'scheduled' AND send_at <= $1)
    ORDER BY id LIMIT $2 FOR NO KEY UPDATE SKIP LOCKED)
RETURNING id, account_id, status
"""


async def start(tx: Tx, now: datetime, at_most: int) -> list[tuple[UUID, UUID, str]]:
    """Move what was approved or has become due; answers id, account and new status of each."""
    return [tuple(row.values()) for row in await tx.fetch(SQL_START, now, at_most)]


SQL_NEXT_DUE: Final[LiteralString] = "SELECT min(send_at) FROM core.campaigns WHERE status = 'scheduled'"


async def next_due(tx: Tx) -> datetime | None:
    """When the next scheduled campaign is to start."""
    due: datetime | None = await tx.fetchval(SQL_NEXT_DUE)
    return due


SQL_FIND_FINISHED: Final[LiteralString] = f"""
SELECT {COLUMNS} FROM core.campaigns c
WHERE c.status = 'sending' AND c.expanded_at IS NOT NULL
  AND NOT EXISTS (SELECT FROM orch.sms_messages m WHERE m.campaign_id = c.id
                  AND m.status IN ('submitted', 'queued') AND m.enqueued_at >= c.created_at)
ORDER BY c.id LIMIT $1
"""


async def find_finished(tx: Tx, at_most: int, timeout: float) -> list[CampaignRow]:
    """Campaigns all of whose messages have been submitted, or ended otherwise."""
    return [campaign_row(row) for row in await tx.fetch(SQL_FIND_FINISHED, at_most, timeout=timeout)]


SQL_COMPLETE: Final[LiteralString] = """
UPDATE core.campaigns SET status = 'completed', completed_at = $2 WHERE id = $1 AND status = 'sending'
"""


async def complete(tx: Tx, campaign_id: UUID, at: datetime) -> bool:
    """False when another instance was quicker."""
    return await tx.execute(SQL_COMPLETE, campaign_id, at) == "UPDATE 1"


SQL_FIND_UNSETTLED: Final[LiteralString] = f"""
SELECT {COLUMNS} FROM core.campaigns c
WHERE c.status = 'completed' AND c.totals IS NULL
  AND (c.completed_at < $1 OR NOT EXISTS (
      SELECT FROM orch.sms_messages m WHERE m.campaign_id = c.id AND m.status IN ('submitted', 'queued', 'sent')
      AND m.enqueued_at >= c.created_at))
ORDER BY c.completed_at LIMIT $2
"""


async def find_unsettled(tx: Tx, before: datetime, at_most: int, timeout: float) -> list[CampaignRow]:
    """Completed campaigns none of whose messages moves any more, or that ended before `before`."""
    return [campaign_row(row) for row in await tx.fetch(SQL_FIND_UNSETTLED, before, at_most, timeout=timeout)]


SQL_SETTLE: Final[LiteralString] = "UPDATE core.campaigns SET totals = $2 WHERE id = $1"


async def settle(tx: Tx, campaign_id: UUID, totals: Mapping[str, int]) -> None:
    """Keep the last count: nobody needs to count these messages again."""
    await tx.execute(SQL_SETTLE, campaign_id, totals)


# By the partial index of those that still have recipients, the oldest end first.
SQL_FIND_UNPURGED: Final[LiteralString] = """
SELECT id FROM core.campaigns
WHERE status IN ('completed', 'rejected', 'cancelled') AND purged_at IS NULL AND moved_at < $1
ORDER BY moved_at LIMIT 1 FOR NO KEY UPDATE SKIP LOCKED
"""


async def find_unpurged(tx: Tx, before: datetime) -> UUID | None:
    """Lock a campaign that ended before `before` and still has its recipients."""
    found: UUID | None = await tx.fetchval(SQL_FIND_UNPURGED, before)
    return found


SQL_PURGE_RECIPIENTS: Final[LiteralString] = """
DELETE FROM core.campaign_recipients WHERE ctid = ANY(ARRAY(
    SELECT ctid FROM core.campaign_recipients WHERE campaign_id = $1 LIMIT $2))
"""


async def purge_recipients(tx: Tx, campaign_id: UUID, at_most: int, timeout: float) -> int:
    """Delete recipients of the campaign, a bounded number at a time; how many."""
    status = await tx.execute(SQL_PURGE_RECIPIENTS, campaign_id, at_most, timeout=timeout)
    return int(status.split()[-1])


SQL_PURGED: Final[LiteralString] = """
WITH parts AS (DELETE FROM core.campaign_parts WHERE campaign_id = $1)
UPDATE core.campaigns SET purged_at = $2 WHERE id = $1
"""


async def purged(tx: Tx, campaign_id: UUID, at: datetime) -> None:
    """Its last recipient is gone: so are its parts, and it is not looked at again."""
    await tx.execute(SQL_PURGED, campaign_id, at)


@dataclass(frozen=True, slots=True)
class Still:
    """A campaign that has not moved for a while; `waits_until` where it waits for a time."""

    id: UUID
    account_id: UUID
    status: str
    expanded: bool
    waits_until: datetime | None
    moved_at: datetime


SQL_FIND_STILL: Final[LiteralString] = """
SELECT c.id, c.account_id, c.status, c.expanded_at IS NOT NULL,
       CASE WHEN c.status = 'scheduled' THEN c.send_at ELSE c.wake_at END, c.moved_at
FROM core.campaigns c JOIN core.accounts a ON a.id = c.account_id JOIN core.accounts p ON p.id = c.billing_account_id
WHERE c.status IN ('submitted', 'pending_content_check', 'approved', 'scheduled', 'queued', 'sending')
  AND c.moved_at < $1 AND a.status = 'active' AND p.status = 'active'
"""


async def find_still(tx: Tx, now: datetime, for_: timedelta) -> list[Still]:
    """Campaigns of active accounts that are not at their end and have not moved for so long."""
    return [Still(*row.values()) for row in await tx.fetch(SQL_FIND_STILL, now - for_)]
