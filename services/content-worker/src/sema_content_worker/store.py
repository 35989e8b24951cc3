"""Every SQL statement of content-worker."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from hashlib import sha256
from typing import Final, LiteralString
from uuid import UUID

from sema_common.platform.bus import DeadLetter
from sema_common.platform.db import Tx
from sema_common.values.ids import event_id
from sema_content_checker import Rule
from sema_content_worker.rules import Campaign

SCHEMA_REVISION: Final = "0004"

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


SQL_READ_RULES: Final[LiteralString] = """
SELECT kind, value, language, whole_word FROM core.content_blocklist ORDER BY id
"""


async def read_rules(tx: Tx) -> list[Rule]:
    """The team's rules, all of them."""
    return [Rule(*row) for row in await tx.fetch(SQL_READ_RULES)]


def _letter_id(letter: DeadLetter) -> UUID:
    """The same death read twice is one row; a message that was sent again and died again is another."""
    return event_id(
        "dead_letter", letter.queue, letter.event_id, letter.dead_at, sha256(letter.body).hexdigest()
    )


def _text(value: object) -> str:
    """As Postgres can hold it: one NUL in a header must not block the queue for ever."""
    return str(value).replace("\x00", "\ufffd")


SQL_KEEP_DEAD_LETTERS: Final[LiteralString] = """
INSERT INTO core.dead_letters (id, queue, reason, type, version, headers, body, delivery_count, dead_at)
SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::jsonb[], $7::bytea[],
                     $8::integer[], $9::timestamptz[])
ON CONFLICT (id) DO NOTHING
"""


async def keep_dead_letters(tx: Tx, letters: Sequence[DeadLetter]) -> None:
    """Set them aside for staff; a letter that was kept before is left as it is, decided or not."""
    await tx.execute(
        SQL_KEEP_DEAD_LETTERS,
        [_letter_id(letter) for letter in letters],
        [letter.queue for letter in letters],
        [_text(letter.reason) for letter in letters],
        [_text(letter.type) for letter in letters],
        [str(letter.version) for letter in letters],
        [{_text(name): _text(value) for name, value in letter.headers.items()} for letter in letters],
        [letter.body for letter in letters],
        [letter.delivery_count for letter in letters],
        [letter.dead_at for letter in letters],
    )
