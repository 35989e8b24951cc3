"""Every SQL statement of content-worker."""

from datetime import datetime
from typing import Final, LiteralString
from uuid import UUID

from sema_common.platform.db import Tx
from sema_content_checker import Rule

SQL_APPROVE: Final[LiteralString] = """
UPDATE core.campaigns SET status = 'approved', screened_at = $2
WHERE id = $1 AND status IN ('submitted', 'pending_content_check')
"""


async def approve(tx: Tx, campaign_id: UUID, at: datetime) -> bool:
    """False if the campaign no longer waits for a verdict."""
    return await tx.execute(SQL_APPROVE, campaign_id, at) == "UPDATE 1"


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
