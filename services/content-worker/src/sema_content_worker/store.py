"""Every SQL statement of content-worker."""

from datetime import datetime
from decimal import Decimal
from typing import Final, LiteralString
from uuid import UUID

from sema_common.platform.db import Tx
from sema_content_checker import Rule
from sema_content_worker.rules import Campaign

SQL_READ_CAMPAIGN: Final[LiteralString] = """
SELECT id, account_id, billing_account_id, name, message, status, currency, rejection_reasons, send_at,
       created_at, screened_at
FROM core.campaigns WHERE id = $1 AND account_id = $2
"""


async def read_campaign(tx: Tx, campaign_id: UUID, account_id: UUID) -> Campaign | None:
    """The campaign as it is now, unlocked."""
    row = await tx.fetchrow(SQL_READ_CAMPAIGN, campaign_id, account_id)
    return Campaign(*row) if row is not None else None


SQL_APPROVE: Final[LiteralString] = """
UPDATE core.campaigns SET status = 'approved', screened_at = $2
WHERE id = $1 AND status IN ('submitted', 'pending_content_check')
"""


async def approve(tx: Tx, campaign_id: UUID, at: datetime) -> bool:
    """False if the campaign no longer waits for a verdict."""
    return await tx.execute(SQL_APPROVE, campaign_id, at) == "UPDATE 1"


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


async def reject(tx: Tx, campaign_id: UUID, reasons: list[dict[str, str]], at: datetime) -> Decimal | None:
    """What the campaign had reserved and the caller now releases; None if it no longer waits for a verdict."""
    reserved: Decimal | None = await tx.fetchval(SQL_REJECT, campaign_id, reasons, at)
    return reserved


SQL_READ_VERSION: Final[LiteralString] = "SELECT version FROM core.content_rules_version"


async def read_version(tx: Tx) -> int:
    """Moves with every change of the rules."""
    version: int = await tx.fetchval(SQL_READ_VERSION)
    return version


# One statement, so one snapshot: the rules are those of the version.
SQL_READ_RULES: Final[LiteralString] = """
SELECT v.version, b.kind, b.value, b.language, b.whole_word
FROM core.content_rules_version v LEFT JOIN core.content_blocklist b ON true ORDER BY b.id
"""


async def read_rules(tx: Tx) -> tuple[int, list[Rule]]:
    """The version and the team's rules, all of them."""
    rows = await tx.fetch(SQL_READ_RULES)
    return rows[0]["version"], [Rule(*list(row)[1:]) for row in rows if row["kind"] is not None]
