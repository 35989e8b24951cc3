"""`billing.top_ups`: asked for, pushed at most once, asked about until there is a result, credited at most once."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final, LiteralString
from uuid import UUID

from sema_common.billing import ledger
from sema_common.platform.db import Tx

LAST: Final = UUID(int=(1 << 128) - 1)


@dataclass(frozen=True, slots=True)
class TopUp:
    """One top-up. `held`: a callback told of another amount, so that only the list of transactions settles it."""

    id: UUID
    tenant_id: UUID
    account_id: UUID
    amount: Decimal
    currency: str
    msisdn: str = field(repr=False)
    account_reference: str
    status: str
    reason: str | None
    receipt: str | None
    checkout_request_id: str | None
    told_receipt: str | None
    held: bool
    queries: int
    created_at: datetime
    settled_at: datetime | None


_COLUMNS: Final[
    LiteralString
] = """id, tenant_id, account_id, amount, currency, msisdn, account_reference, status,
    reason, receipt, checkout_request_id, told_receipt, held, queries, created_at, settled_at"""

SQL_LOCK_PHONE: Final[LiteralString] = "SELECT pg_advisory_xact_lock(hashtextextended($1, 1))"
SQL_COUNT_PUSHES: Final[LiteralString] = """
SELECT (SELECT count(*) FROM billing.top_ups WHERE msisdn = $1 AND created_at > $2) AS of_phone,
       (SELECT count(*) FROM billing.top_ups WHERE account_id = $3 AND id > $4) AS of_account
"""


async def count_pushes(
    tx: Tx, msisdn: str, since: datetime, account_id: UUID, after: UUID
) -> tuple[int, int]:
    """Top-ups that lit this phone up since then, whoever asked, and the account's own with an id after `after`.

    Whoever counts for a phone does so alone until the end of his transaction: nobody slips through beside him.
    """
    await tx.execute(SQL_LOCK_PHONE, msisdn)
    row = await tx.fetchrow(SQL_COUNT_PUSHES, msisdn, since, account_id, after)
    return (row["of_phone"], row["of_account"]) if row else (0, 0)


SQL_INSERT: Final[LiteralString] = f"""
INSERT INTO billing.top_ups (id, tenant_id, account_id, amount, currency, msisdn, account_reference, push_at,
    created_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8) RETURNING {_COLUMNS}
"""


async def insert(
    tx: Tx,
    top_up_id: UUID,
    tenant_id: UUID,
    account_id: UUID,
    amount: Decimal,
    currency: str,
    msisdn: str,
    account_reference: str,
    at: datetime,
) -> TopUp:
    """A new one, to be pushed at once."""
    row = await tx.fetchrow(
        SQL_INSERT, top_up_id, tenant_id, account_id, amount, currency, msisdn, account_reference, at
    )
    assert row is not None
    return TopUp(*row.values())


SQL_READ: Final[LiteralString] = f"SELECT {_COLUMNS} FROM billing.top_ups WHERE account_id = $1 AND id = $2"


async def read(tx: Tx, account_id: UUID, top_up_id: UUID) -> TopUp | None:
    """One of this account's."""
    row = await tx.fetchrow(SQL_READ, account_id, top_up_id)
    return None if row is None else TopUp(*row.values())


SQL_PAGE: Final[LiteralString] = f"""
SELECT {_COLUMNS} FROM billing.top_ups WHERE account_id = $1 AND id < $2 AND ($3::text IS NULL OR status = $3)
ORDER BY id DESC LIMIT $4
"""


async def page(tx: Tx, account_id: UUID, before: UUID | None, status: str | None, limit: int) -> list[TopUp]:
    """This account's, newest first."""
    rows = await tx.fetch(SQL_PAGE, account_id, before or LAST, status, limit)
    return [TopUp(*row.values()) for row in rows]


# The claim is committed before the call: whoever finds push_at empty never pushes again, whatever became of it.
SQL_CLAIM_PUSHES: Final[LiteralString] = f"""
UPDATE billing.top_ups SET push_at = NULL, query_at = $2
WHERE id IN (SELECT id FROM billing.top_ups WHERE push_at <= $1 ORDER BY push_at LIMIT $3 FOR UPDATE SKIP LOCKED)
RETURNING {_COLUMNS}
"""


async def claim_pushes(tx: Tx, at: datetime, query_at: datetime, limit: int) -> list[TopUp]:
    """Those that are to be pushed now, by whoever got them and nobody else. Their result is asked for at `query_at`."""
    return [TopUp(*row.values()) for row in await tx.fetch(SQL_CLAIM_PUSHES, at, query_at, limit)]


SQL_KEY: Final[LiteralString] = "UPDATE billing.top_ups SET callback_hash = $2 WHERE id = $1"


async def set_callback_hash(tx: Tx, top_up_id: UUID, callback_hash: bytes) -> None:
    """The address that its callback will come to."""
    await tx.execute(SQL_KEY, top_up_id, callback_hash)


SQL_PUSHED: Final[LiteralString] = """
UPDATE billing.top_ups SET merchant_request_id = $2, checkout_request_id = $3 WHERE id = $1
"""


async def set_pushed(tx: Tx, top_up_id: UUID, merchant_request_id: str, checkout_request_id: str) -> None:
    """The provider took it under these ids. What a callback said of them before counts less."""
    await tx.execute(SQL_PUSHED, top_up_id, merchant_request_id, checkout_request_id)


SQL_PUSH_AGAIN: Final[LiteralString] = """
UPDATE billing.top_ups SET push_at = $2, query_at = NULL WHERE id = $1 AND status = 'pending'
"""


async def push_again(tx: Tx, top_up_id: UUID, at: datetime) -> None:
    """The provider certainly did not take it: another try is due at `at`."""
    await tx.execute(SQL_PUSH_AGAIN, top_up_id, at)


# gaps[1] went by before the first look (arrays begin at 1), so the gap after look n is gaps[n + 1].
SQL_CLAIM_QUERIES: Final[LiteralString] = f"""
UPDATE billing.top_ups SET queries = queries + 1,
    query_at = $1::timestamptz + $2::interval * ($3::int[])[least(queries + 2, cardinality($3::int[]))]
WHERE id IN (
    SELECT id FROM billing.top_ups WHERE query_at <= $1 ORDER BY query_at LIMIT $4 FOR UPDATE SKIP LOCKED)
RETURNING {_COLUMNS}
"""


async def claim_queries(
    tx: Tx, at: datetime, unit: timedelta, gaps: Sequence[int], limit: int
) -> list[TopUp]:
    """Those whose result is to be asked for now; when to ask again is written first, `gaps` in `unit`."""
    return [TopUp(*row.values()) for row in await tx.fetch(SQL_CLAIM_QUERIES, at, unit, list(gaps), limit)]


SQL_LOCK: Final[LiteralString] = f"SELECT {_COLUMNS} FROM billing.top_ups WHERE id = $1 FOR NO KEY UPDATE"


async def lock(tx: Tx, top_up_id: UUID) -> TopUp:
    """One that is known to be there, locked."""
    row = await tx.fetchrow(SQL_LOCK, top_up_id)
    assert row is not None
    return TopUp(*row.values())


SQL_LOCK_CALLED: Final[LiteralString] = f"""
SELECT {_COLUMNS} FROM billing.top_ups WHERE callback_hash = $1 FOR NO KEY UPDATE
"""


async def lock_called(tx: Tx, callback_hash: bytes) -> TopUp | None:
    """The one whose callback comes to this address, locked."""
    row = await tx.fetchrow(SQL_LOCK_CALLED, callback_hash)
    return None if row is None else TopUp(*row.values())


SQL_LOCK_REFERENCE: Final[LiteralString] = f"""
SELECT {_COLUMNS} FROM billing.top_ups WHERE account_reference = $1 FOR NO KEY UPDATE
"""


async def lock_reference(tx: Tx, account_reference: str) -> TopUp | None:
    """The one that the payer named, locked."""
    row = await tx.fetchrow(SQL_LOCK_REFERENCE, account_reference)
    return None if row is None else TopUp(*row.values())


SQL_REFERENCE: Final[LiteralString] = "SELECT 1 FROM billing.top_ups WHERE account_reference = $1"


async def is_reference(tx: Tx, account_reference: str) -> bool:
    """Whether a payer who types this is understood."""
    return bool(await tx.fetchval(SQL_REFERENCE, account_reference))


SQL_TOLD: Final[LiteralString] = """
UPDATE billing.top_ups
SET told_receipt = COALESCE($3, told_receipt), held = held OR $4,
    checkout_request_id = CASE WHEN checkout_request_id IS NULL
        AND NOT EXISTS (SELECT FROM billing.top_ups o WHERE o.checkout_request_id = $2) THEN $2
        ELSE checkout_request_id END,
    query_at = CASE WHEN status = 'succeeded' THEN query_at ELSE $5 END
WHERE id = $1
"""


async def set_told(
    tx: Tx, top_up_id: UUID, checkout_request_id: str, receipt: str | None, held: bool, at: datetime
) -> None:
    """What a callback said, to be believed once the provider was asked: at `at`."""
    await tx.execute(SQL_TOLD, top_up_id, checkout_request_id, receipt, held, at)


SQL_SUCCEED: Final[LiteralString] = """
UPDATE billing.top_ups SET status = 'succeeded', reason = NULL, query_at = NULL, push_at = NULL, held = false,
    settled_at = $2
WHERE id = $1 AND status <> 'succeeded'
"""


async def succeed(tx: Tx, top_up: TopUp, at: datetime) -> bool:
    """Credit what was asked for, once, and say so; False when it was credited before. The row is locked."""
    credited = await ledger.top_up(tx, top_up.account_id, top_up.amount, top_up.id)
    await tx.execute(SQL_SUCCEED, top_up.id, at)
    return credited is not None


SQL_END: Final[LiteralString] = """
UPDATE billing.top_ups SET status = $2, reason = $3, query_at = NULL, push_at = NULL, settled_at = $4
WHERE id = $1 AND status = 'pending'
"""


async def end(tx: Tx, top_up_id: UUID, status: str, reason: str, at: datetime) -> None:
    """Without the money. A payment that shows up after all still wins."""
    await tx.execute(SQL_END, top_up_id, status, reason, at)


SQL_NO_NEWS: Final[LiteralString] = "UPDATE billing.top_ups SET query_at = NULL WHERE id = $1"


async def stop_asking(tx: Tx, top_up_id: UUID) -> None:
    """There is nothing more to learn about it; a callback or the list may still bring something."""
    await tx.execute(SQL_NO_NEWS, top_up_id)


SQL_RECEIPT: Final[LiteralString] = "UPDATE billing.top_ups SET receipt = $2 WHERE id = $1"


async def set_receipt(tx: Tx, top_up_id: UUID, receipt: str | None) -> None:
    """The receipt that counts; its row in `mpesa_payments` names this top-up."""
    await tx.execute(SQL_RECEIPT, top_up_id, receipt)


@dataclass(frozen=True, slots=True)
class Waiting:
    """How many are pending, since when the oldest, and how many of them are held."""

    pending: int
    oldest: datetime | None
    held: int


SQL_WAITING: Final[LiteralString] = """
SELECT count(*) AS pending, min(created_at) AS oldest, count(*) FILTER (WHERE held) AS held FROM (
    SELECT created_at, held FROM billing.top_ups WHERE query_at <= 'infinity' AND status = 'pending'
    UNION ALL SELECT created_at, held FROM billing.top_ups WHERE push_at <= 'infinity') AS waiting
"""


async def waiting(tx: Tx) -> Waiting:
    """For the metrics."""
    row = await tx.fetchrow(SQL_WAITING)
    return Waiting(*row.values()) if row else Waiting(0, None, 0)
