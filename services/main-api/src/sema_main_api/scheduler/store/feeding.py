"""Expansion: the claim of a campaign, its next recipients, and the cursor that says who had his turn."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final, LiteralString
from uuid import UUID

from sema_common.messages.campaigns import COLUMNS, CampaignRow, campaign_row
from sema_common.platform.db import Tx

# Which campaigns an instance expands is decided here, in one statement: a row goes to one of those who ask at once.
# Every account's first comes before anybody's second, so that many campaigns of one account keep no place from others;
# accounts that are suspended, or whose agent is, take none.
SQL_CLAIM: Final[LiteralString] = f"""
WITH waiting AS (
    SELECT c.id, row_number() OVER (PARTITION BY c.account_id ORDER BY c.id) AS turn
    FROM core.campaigns c JOIN core.accounts a ON a.id = c.account_id AND a.status = 'active'
    JOIN core.accounts p ON p.id = c.billing_account_id AND p.status = 'active'
    WHERE c.status IN ('queued', 'sending') AND c.expanded_at IS NULL AND (c.wake_at IS NULL OR c.wake_at <= $3)
      AND (c.claimed_by = $1 OR c.claimed_until IS NULL OR c.claimed_until < now())
)
UPDATE core.campaigns c SET claimed_by = $1, claimed_until = now() + $2::interval
FROM core.accounts a
WHERE a.id = c.account_id AND c.id IN (
    SELECT k.id FROM core.campaigns k JOIN waiting w ON w.id = k.id
    WHERE k.status IN ('queued', 'sending') AND k.expanded_at IS NULL
      AND (k.claimed_by = $1 OR k.claimed_until IS NULL OR k.claimed_until < now())
    ORDER BY w.turn, k.id LIMIT $4 FOR NO KEY UPDATE OF k SKIP LOCKED)
RETURNING {COLUMNS}, a.tier
"""


async def claim(
    tx: Tx, instance: UUID, lease: timedelta, now: datetime, at_most: int
) -> list[tuple[CampaignRow, str]]:
    """The campaigns that this instance expands for the length of the lease, each with its account's tier."""
    rows = await tx.fetch(SQL_CLAIM, instance, lease, now, at_most)
    return [(campaign_row(row), row["tier"]) for row in rows]


SQL_LET_GO: Final[LiteralString] = """
UPDATE core.campaigns SET claimed_by = NULL, claimed_until = NULL
WHERE claimed_by = $1 AND status IN ('queued', 'sending')
"""


async def let_go(tx: Tx, instance: UUID) -> None:
    """This instance ends: another may take over at once."""
    await tx.execute(SQL_LET_GO, instance)


@dataclass(frozen=True, slots=True)
class Part:
    """What is left of a campaign in one country: recipients after `cursor`, up to `last_seq`.

    Prices of a segment by MNO: what the account pays, and (`wholesale`) what its agent is charged, if it has one.
    """

    country: str
    cursor: int
    last_seq: int
    prices: Mapping[str, str]
    wholesale: Mapping[str, str] | None


SQL_PARTS: Final[LiteralString] = """
SELECT country, cursor, last_seq, prices, wholesale FROM core.campaign_parts
WHERE campaign_id = $1 AND cursor < last_seq ORDER BY country
"""


async def parts(tx: Tx, campaign_id: UUID) -> list[Part]:
    """The countries in which somebody still waits."""
    return [Part(*row.values()) for row in await tx.fetch(SQL_PARTS, campaign_id)]


SQL_NEXT_RECIPIENTS: Final[LiteralString] = """
SELECT seq, msisdn, mno, fields, refused IS NOT NULL AS refused FROM core.campaign_recipients
WHERE campaign_id = $1 AND country = $2 AND seq > $3 ORDER BY seq LIMIT $4
"""


@dataclass(frozen=True, slots=True)
class RecipientRow:
    seq: int
    msisdn: str
    mno: str | None
    fields: dict[str, str] | None
    refused: bool


async def next_recipients(
    tx: Tx, campaign_id: UUID, country: str, cursor: int, at_most: int
) -> list[RecipientRow]:
    """Who comes next."""
    rows = await tx.fetch(SQL_NEXT_RECIPIENTS, campaign_id, country, cursor, at_most)
    return [RecipientRow(*row.values()) for row in rows]


SQL_LOCK: Final[LiteralString] = """
SELECT p.cursor = $4 FROM core.campaigns c JOIN core.campaign_parts p ON p.campaign_id = c.id AND p.country = $3
WHERE c.id = $1 AND c.claimed_by = $2 AND c.status IN ('queued', 'sending')
FOR NO KEY UPDATE OF c
"""


async def lock(tx: Tx, campaign_id: UUID, instance: UUID, country: str, cursor: int) -> bool:
    """Lock the campaign; False when it was paused, cancelled or claimed by another, or its cursor has moved on."""
    return await tx.fetchval(SQL_LOCK, campaign_id, instance, country, cursor) is True


SQL_ADVANCE: Final[LiteralString] = """
WITH moved AS (
    UPDATE core.campaign_parts SET cursor = $3 WHERE campaign_id = $1 AND country = $2
)
UPDATE core.campaigns SET status = 'sending', expanded = expanded + $4, refused = refused + $5, cost = cost + $6,
    reserved = reserved - $8, started_at = COALESCE(started_at, $7), moved_at = $7
WHERE id = $1
"""


async def advance(
    tx: Tx,
    campaign_id: UUID,
    country: str,
    cursor: int,
    expanded: int,
    refused: int,
    cost: Decimal,
    charged: Decimal,
    at: datetime,
) -> None:
    """Everybody up to `cursor` has had his turn; what they cost, and what was charged of the reservation for them."""
    await tx.execute(SQL_ADVANCE, campaign_id, country, cursor, expanded, refused, cost, at, charged)


SQL_END: Final[LiteralString] = """
WITH held AS (
    SELECT id, reserved FROM core.campaigns c WHERE c.id = $1
      AND NOT EXISTS (SELECT FROM core.campaign_parts p WHERE p.campaign_id = c.id AND p.cursor < p.last_seq)
    FOR NO KEY UPDATE
)
UPDATE core.campaigns c SET expanded_at = $2, reserved = 0, claimed_by = NULL, claimed_until = NULL, wake_at = NULL
FROM held WHERE c.id = held.id RETURNING held.reserved
"""


async def end(tx: Tx, campaign_id: UUID, at: datetime) -> Decimal | None:
    """When nobody is left: what remains of the reservation, for the caller to release; else None."""
    left: Decimal | None = await tx.fetchval(SQL_END, campaign_id, at)
    return left


SQL_REFUSE: Final[LiteralString] = """
UPDATE core.campaign_recipients r SET refused = n.refused
FROM unnest($3::integer[], $4::jsonb[]) AS n(seq, refused)
WHERE r.campaign_id = $1 AND r.country = $2 AND r.seq = n.seq
"""


async def refuse(
    tx: Tx, campaign_id: UUID, country: str, refused: Sequence[tuple[int, Mapping[str, str]]]
) -> None:
    """Note who gets no message, and why."""
    seqs, reasons = zip(*refused, strict=True)
    await tx.execute(SQL_REFUSE, campaign_id, country, list(seqs), list(reasons))


SQL_SLEEP: Final[LiteralString] = """
UPDATE core.campaigns SET wake_at = $3, claimed_by = NULL, claimed_until = NULL WHERE id = $1 AND claimed_by = $2
"""


async def sleep_until(tx: Tx, campaign_id: UUID, instance: UUID, wake_at: datetime) -> None:
    """Quiet hours everywhere: leave it alone until then."""
    await tx.execute(SQL_SLEEP, campaign_id, instance, wake_at)
