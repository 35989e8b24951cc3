"""`billing.mpesa_payments`: one row for one receipt, and the credit that it is worth.

Whoever saw a payment first, the row is the same: a callback's word is `told`, the provider's list makes it `listed`,
and only that is credited beyond what its top-up was.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Final, LiteralString
from uuid import UUID

from sema_common.billing import ledger
from sema_common.platform.db import Tx
from sema_common.values.ids import event_id


@dataclass(frozen=True, slots=True)
class Listed:
    """One row of the provider's list."""

    receipt: str
    amount: Decimal
    bill_reference: str
    payer: str = field(repr=False)
    paid_at: datetime


@dataclass(frozen=True, slots=True)
class Payment:
    """One receipt. `listed_at` None: only a callback told of it."""

    receipt: str
    amount: Decimal
    bill_reference: str
    payer: str = field(repr=False)
    paid_at: datetime
    listed_at: datetime | None
    state: str
    top_up_id: UUID | None
    account_id: UUID | None
    settled_at: datetime | None
    decided_by: str | None


_COLUMNS: Final[
    LiteralString
] = """receipt, amount, bill_reference, payer, paid_at, listed_at, state, top_up_id,
    account_id, settled_at, decided_by"""

# What a callback told becomes listed once, and is settled like any other; what was settled stays as it is.
SQL_PUT_LISTED: Final[LiteralString] = """
INSERT INTO billing.mpesa_payments (receipt, amount, bill_reference, payer, paid_at, listed_at, state)
SELECT receipt, amount, bill_reference, payer, paid_at, $6, 'listed'
FROM unnest($1::text[], $2::numeric[], $3::text[], $4::text[], $5::timestamptz[])
    AS l(receipt, amount, bill_reference, payer, paid_at) ORDER BY receipt
ON CONFLICT (receipt) DO UPDATE SET amount = excluded.amount, bill_reference = excluded.bill_reference,
    payer = excluded.payer, paid_at = excluded.paid_at, listed_at = excluded.listed_at, state = 'listed'
    WHERE mpesa_payments.listed_at IS NULL
"""


async def put_listed(tx: Tx, rows: Sequence[Listed], at: datetime) -> int:
    """Keep a page of the list; how many were news. Receipts of one page differ."""
    done = await tx.execute(
        SQL_PUT_LISTED,
        [row.receipt for row in rows],
        [row.amount for row in rows],
        [row.bill_reference for row in rows],
        [row.payer for row in rows],
        [row.paid_at for row in rows],
        at,
    )
    return int(done.rpartition(" ")[2])


SQL_PUT_TOLD: Final[LiteralString] = """
INSERT INTO billing.mpesa_payments (receipt, amount, bill_reference, paid_at, state, top_up_id, account_id, reference)
VALUES ($1, $2, $3, $4, 'told', $5, $6, $5) ON CONFLICT DO NOTHING RETURNING receipt
"""


async def put_told(
    tx: Tx,
    receipt: str,
    amount: Decimal,
    bill_reference: str,
    at: datetime,
    top_up_id: UUID,
    account_id: UUID,
) -> bool:
    """The receipt of a top-up that is credited; False when the receipt or the top-up's place is taken."""
    return bool(await tx.fetchval(SQL_PUT_TOLD, receipt, amount, bill_reference, at, top_up_id, account_id))


SQL_CLAIM_LISTED: Final[LiteralString] = f"""
SELECT {_COLUMNS} FROM billing.mpesa_payments WHERE state = 'listed' ORDER BY receipt LIMIT 1
FOR NO KEY UPDATE SKIP LOCKED
"""


async def claim_listed(tx: Tx) -> Payment | None:
    """One that is to be settled, locked."""
    row = await tx.fetchrow(SQL_CLAIM_LISTED)
    return None if row is None else Payment(*row.values())


SQL_LOCK: Final[LiteralString] = f"""
SELECT {_COLUMNS} FROM billing.mpesa_payments WHERE receipt = $1 FOR NO KEY UPDATE
"""


async def lock(tx: Tx, receipt: str) -> Payment | None:
    """One, locked."""
    row = await tx.fetchrow(SQL_LOCK, receipt)
    return None if row is None else Payment(*row.values())


SQL_OF_TOP_UP: Final[LiteralString] = f"""
SELECT {_COLUMNS} FROM billing.mpesa_payments WHERE top_up_id = $1
"""


async def of_top_up(tx: Tx, top_up_id: UUID) -> Payment | None:
    """The payment that is this top-up's. The top-up is locked, so nobody else is about to take the place."""
    row = await tx.fetchrow(SQL_OF_TOP_UP, top_up_id)
    return None if row is None else Payment(*row.values())


SQL_DISPLACE: Final[LiteralString] = """
UPDATE billing.mpesa_payments SET top_up_id = NULL, account_id = NULL, reference = NULL
WHERE receipt = $1 AND state = 'told'
"""


async def displace(tx: Tx, receipt: str) -> None:
    """A told receipt that the list contradicts: it stays, as nobody's."""
    await tx.execute(SQL_DISPLACE, receipt)


SQL_SETTLE: Final[LiteralString] = """
UPDATE billing.mpesa_payments SET state = $2, top_up_id = $3, account_id = $4, reference = $5, settled_at = $6,
    decided_by = $7
WHERE receipt = $1
"""


async def settle(
    tx: Tx,
    receipt: str,
    state: str,
    at: datetime,
    *,
    top_up_id: UUID | None = None,
    account_id: UUID | None = None,
    reference: UUID | None = None,
    by: str | None = None,
) -> None:
    """What became of a locked payment; `reference` is that of its entry in the ledger."""
    await tx.execute(SQL_SETTLE, receipt, state, top_up_id, account_id, reference, at, by)


async def credit(tx: Tx, payment: Payment, account_id: UUID, at: datetime, by: str | None = None) -> None:
    """Credit a listed payment that is no top-up's own to an account that has a balance; the row is locked."""
    reference = event_id("payment", payment.receipt)
    await ledger.top_up(tx, account_id, payment.amount, reference)
    await settle(tx, payment.receipt, "credited", at, account_id=account_id, reference=reference, by=by)


SQL_PAGE: Final[LiteralString] = f"""
SELECT {_COLUMNS} FROM billing.mpesa_payments
WHERE state = $1 AND ($2::timestamptz IS NULL OR (paid_at, receipt) < ($2, $3::text))
  AND paid_at >= COALESCE($4::timestamptz, '-infinity') AND paid_at < COALESCE($5::timestamptz, 'infinity')
ORDER BY paid_at DESC, receipt DESC LIMIT $6
"""


async def page(
    tx: Tx,
    state: str,
    before: tuple[datetime, str] | None,
    paid_after: datetime | None,
    paid_before: datetime | None,
    limit: int,
) -> list[Payment]:
    """Payments in one state, the youngest first."""
    rows = await tx.fetch(SQL_PAGE, state, *(before or (None, None)), paid_after, paid_before, limit)
    return [Payment(*row.values()) for row in rows]


SQL_COUNT_UNASSIGNED: Final[LiteralString] = (
    "SELECT count(*) FROM billing.mpesa_payments WHERE state = 'unassigned'"
)


async def count_unassigned(tx: Tx) -> int:
    """Payments that wait for staff."""
    found: int = await tx.fetchval(SQL_COUNT_UNASSIGNED)
    return found
