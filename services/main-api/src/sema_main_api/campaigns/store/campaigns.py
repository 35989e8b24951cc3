"""`core.campaigns` as customers submit, read and stop them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Final, LiteralString
from uuid import UUID

from sema_common.messages.campaigns import COLUMNS, CampaignRow, campaign_row
from sema_common.platform.db import Tx
from sema_main_api.campaigns.rules import Quote
from sema_main_api.campaigns.store.recipients import Skipped

SQL_LIST_STATE: Final[LiteralString] = """
SELECT EXISTS (SELECT FROM core.contact_validation_jobs j
               WHERE j.contact_list_id = l.id AND j.status IN ('queued', 'running')) AS busy
FROM core.contact_lists l WHERE l.id = $1 AND l.account_id = $2 FOR KEY SHARE OF l
"""


async def is_list_busy(tx: Tx, list_id: UUID, account_id: UUID) -> bool | None:
    """Whether a job is validating this list of the account; None when there is no such list."""
    busy: bool | None = await tx.fetchval(SQL_LIST_STATE, list_id, account_id)
    return busy


@dataclass(frozen=True, slots=True)
class NewCampaign:
    """What is known of a campaign before its recipients are."""

    id: UUID
    tenant_id: UUID
    account_id: UUID
    billing_account_id: UUID
    contact_list_id: UUID
    name: str
    sender: str
    message: str
    test: bool
    send_at: datetime | None
    quiet_hours: bool
    on_missing: str
    currency: str
    traceparent: str | None


SQL_INSERT: Final[LiteralString] = """
INSERT INTO core.campaigns (id, tenant_id, account_id, billing_account_id, contact_list_id, name, sender, message,
    test, send_at, quiet_hours, on_missing, currency, traceparent)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
"""


async def insert(tx: Tx, new: NewCampaign) -> None:
    """Write the campaign, `submitted` and still without recipients."""
    await tx.execute(SQL_INSERT, *(getattr(new, name) for name in new.__slots__))


SQL_FIX: Final[LiteralString] = f"""
UPDATE core.campaigns c SET estimate = $2, reserved = $9, contacts = $3, refused = $4, missing = $5,
    suppressed = $6, duplicates = $7, invalid = $8
WHERE c.id = $1 RETURNING {COLUMNS}
"""


async def fix(
    tx: Tx,
    campaign_id: UUID,
    quote: Quote,
    skipped: Skipped,
) -> CampaignRow:
    """Write what the recipients add up to; the campaign as it is then."""
    row = await tx.fetchrow(
        SQL_FIX,
        campaign_id,
        quote.total,
        quote.contacts,
        quote.refused,
        quote.missing,
        skipped.suppressed,
        skipped.duplicates,
        skipped.invalid,
        quote.held,
    )
    assert row is not None
    return campaign_row(row)


SQL_READ: Final[LiteralString] = (
    f"SELECT {COLUMNS} FROM core.campaigns c WHERE c.id = $1 AND c.account_id = $2"
)


async def read(tx: Tx, campaign_id: UUID, account_id: UUID) -> CampaignRow | None:
    """One campaign of the account."""
    row = await tx.fetchrow(SQL_READ, campaign_id, account_id)
    return None if row is None else campaign_row(row)


SQL_PAGE: Final[LiteralString] = f"""
SELECT {COLUMNS} FROM core.campaigns c
WHERE c.account_id = $1 AND ($2::uuid IS NULL OR c.id < $2) AND ($3::text IS NULL OR c.status = $3)
ORDER BY c.id DESC LIMIT $4
"""


async def page(
    tx: Tx, account_id: UUID, before: UUID | None, status: str | None, limit: int
) -> list[CampaignRow]:
    """A page of the account's campaigns, newest first."""
    rows = await tx.fetch(SQL_PAGE, account_id, before, status, limit)
    return [campaign_row(row) for row in rows]


SQL_CANCEL: Final[LiteralString] = """
WITH held AS (
    SELECT id, reserved FROM core.campaigns
    WHERE id = $1 AND account_id = $2 AND status = ANY($3::text[]) FOR NO KEY UPDATE
)
UPDATE core.campaigns c SET status = 'cancelled', reserved = 0, claimed_by = NULL, claimed_until = NULL
FROM held WHERE c.id = held.id RETURNING held.reserved
"""


async def cancel(tx: Tx, campaign_id: UUID, account_id: UUID, while_: Sequence[str]) -> Decimal | None:
    """End it; what it had still reserved and the caller now releases, None when it cannot be cancelled any more."""
    reserved: Decimal | None = await tx.fetchval(SQL_CANCEL, campaign_id, account_id, list(while_))
    return reserved


SQL_PAUSE: Final[LiteralString] = """
UPDATE core.campaigns SET status = 'paused', claimed_by = NULL, claimed_until = NULL
WHERE id = $1 AND account_id = $2 AND status = ANY($3::text[]) AND expanded_at IS NULL
"""


async def pause(tx: Tx, campaign_id: UUID, account_id: UUID, while_: Sequence[str]) -> bool:
    """False when it does not run, or when all of its messages are on their way already."""
    return await tx.execute(SQL_PAUSE, campaign_id, account_id, list(while_)) == "UPDATE 1"


SQL_RESUME: Final[LiteralString] = """
UPDATE core.campaigns SET status = CASE WHEN started_at IS NULL THEN 'queued' ELSE 'sending' END
WHERE id = $1 AND account_id = $2 AND status = 'paused'
"""


async def resume(tx: Tx, campaign_id: UUID, account_id: UUID) -> bool:
    """False when it is not paused."""
    return await tx.execute(SQL_RESUME, campaign_id, account_id) == "UPDATE 1"
