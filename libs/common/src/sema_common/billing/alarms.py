"""The alarm of a balance that runs low: off once per crossing, armed again by new credit.

What counts is what may still be spent. The threshold is the account's own, and for a postpaid account at least 20 %
of its credit limit.
"""

from dataclasses import dataclass
from decimal import Decimal
from typing import Final, LiteralString
from uuid import UUID

from sema_common.platform.db import Tx


@dataclass(frozen=True, slots=True)
class Low:
    """A balance below its threshold whose alarm is to go off; `crossing` counts this one."""

    account_id: UUID
    currency: str
    balance: Decimal
    credit_limit: Decimal
    threshold: Decimal
    crossing: int
    funded: Decimal


# Only credit that comes in counts: refunds lift a balance too, and would have one crossing told again and again.
SQL_LOW: Final[LiteralString] = """
SELECT account_id, currency, balance, credit_limit,
       round(GREATEST(COALESCE(low_threshold, 0), credit_limit / 5), 4) AS threshold, low_crossings + 1 AS crossing,
       (SELECT COALESCE(sum(d.amount), 0) FROM billing.ledger_days d
        WHERE d.account_id = c.account_id AND d.kind IN ('opening', 'top_up', 'adjustment') AND d.amount > 0) AS funded
FROM billing.credits c
WHERE low_at IS NULL AND balance + credit_limit < GREATEST(COALESCE(low_threshold, 0), credit_limit / 5)
ORDER BY account_id LIMIT $1
"""


async def find_low(tx: Tx, limit: int) -> list[Low]:
    """Armed alarms whose balance has crossed."""
    return [Low(*row.values()) for row in await tx.fetch(SQL_LOW, limit)]


SQL_GONE_OFF: Final[LiteralString] = """
UPDATE billing.credits SET low_at = now(), low_crossings = $2, low_funded = $3
WHERE account_id = $1 AND low_at IS NULL AND low_crossings = $2 - 1
"""


async def went_off(tx: Tx, low: Low) -> bool:
    """Note that this crossing is told; False when another process has."""
    tag: str = await tx.execute(SQL_GONE_OFF, low.account_id, low.crossing, low.funded)
    return tag == "UPDATE 1"


# A balance that somebody holds is passed over: whoever charges it must neither wait for us nor meet us half-way.
SQL_ARM: Final[LiteralString] = """
UPDATE billing.credits SET low_at = NULL WHERE account_id IN (
    SELECT account_id FROM billing.credits c
    WHERE low_at IS NOT NULL AND balance + credit_limit >= GREATEST(COALESCE(low_threshold, 0), credit_limit / 5)
      AND (low_at < now() - interval '1 day' OR low_funded < (
          SELECT COALESCE(sum(d.amount), 0) FROM billing.ledger_days d
          WHERE d.account_id = c.account_id AND d.kind IN ('opening', 'top_up', 'adjustment') AND d.amount > 0))
    ORDER BY account_id FOR NO KEY UPDATE SKIP LOCKED)
"""


async def arm(tx: Tx) -> None:
    """Arm what was funded since it went off, or has been above its threshold for whatever reason a day later.

    A balance that is locked just now is armed the next time.
    """
    await tx.execute(SQL_ARM)


SQL_THRESHOLD: Final[LiteralString] = "SELECT low_threshold FROM billing.credits WHERE account_id = $1"


async def read_threshold(tx: Tx, account_id: UUID) -> Decimal | None:
    """The account's own; None without one."""
    threshold: Decimal | None = await tx.fetchval(SQL_THRESHOLD, account_id)
    return threshold


SQL_SET_THRESHOLD: Final[LiteralString] = """
UPDATE billing.credits SET low_threshold = $2, low_at = NULL WHERE account_id = $1
"""


async def set_threshold(tx: Tx, account_id: UUID, threshold: Decimal | None) -> None:
    """Arms the alarm: a balance that is below the new threshold is told at once."""
    await tx.execute(SQL_SET_THRESHOLD, account_id, threshold)


SQL_NEAR_LIMIT: Final[LiteralString] = """
SELECT count(*)::integer FROM billing.credits WHERE credit_limit > 0 AND balance + credit_limit < credit_limit / 5
"""


async def count_near_limit(tx: Tx) -> int:
    """Postpaid accounts that have less than 20 % of their credit limit left."""
    found: int = await tx.fetchval(SQL_NEAR_LIMIT)
    return found
