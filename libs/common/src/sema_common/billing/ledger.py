"""The balance and every movement of it: the only module whose SQL writes `billing.credits` and its ledger.

What must never happen: a balance that differs from the sum of its entries, a message charged or refunded
twice, a balance below its limit. Entries are unique by (reference, kind), so a repeat is a no-op; balances
are locked before they are read, in the order of their ids, before any other row of the transaction.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Final, Literal, LiteralString
from uuid import UUID

from sema_common.billing.agents import TAKE_BACK, THIS_MONTH, Sale, record_sales
from sema_common.platform.db import Row, Tx
from sema_common.values.ids import event_id

CounterAccount = Literal["revenue", "reservations", "mpesa_clearing", "adjustments", "commissions"]


@dataclass(frozen=True, slots=True)
class Balance:
    """One locked balance row; `available` is what may still be spent."""

    account_id: UUID
    tenant_id: UUID
    currency: str
    balance: Decimal
    credit_limit: Decimal

    @property
    def available(self) -> Decimal:
        return self.balance + self.credit_limit


@dataclass(frozen=True, slots=True)
class Charge:
    """The charge of one message, with the balance that it leaves behind.

    `segments` count for the volume of the month: none for a test. `sale`: whom an agent charges for it.
    """

    account_id: UUID
    tenant_id: UUID
    message_id: UUID
    cost: Decimal
    balance_after: Decimal
    segments: int = 0
    sale: Sale | None = None


SQL_LOCK_FREE_BALANCES: Final[LiteralString] = """
SELECT account_id, tenant_id, currency, balance, credit_limit
FROM billing.credits WHERE account_id = ANY($1::uuid[])
ORDER BY account_id FOR NO KEY UPDATE SKIP LOCKED
"""


async def lock_free_balances(tx: Tx, account_ids: Iterable[UUID]) -> dict[UUID, Balance]:
    """Lock the balances that nobody else holds; one that is missing from the answer is busy (or no account)."""
    return _balances(await tx.fetch(SQL_LOCK_FREE_BALANCES, sorted(account_ids)))


SQL_LOCK_BALANCES: Final[LiteralString] = """
SELECT account_id, tenant_id, currency, balance, credit_limit
FROM billing.credits WHERE account_id = ANY($1::uuid[])
ORDER BY account_id FOR NO KEY UPDATE
"""


async def lock_balances(tx: Tx, account_ids: Iterable[UUID]) -> dict[UUID, Balance]:
    """Lock the balances, waiting for whoever holds them (at most the transaction's lock_timeout)."""
    return _balances(await tx.fetch(SQL_LOCK_BALANCES, sorted(set(account_ids))))


def _balances(rows: Sequence[Row]) -> dict[UUID, Balance]:
    balances = (Balance(*row.values()) for row in rows)
    return {balance.account_id: balance for balance in balances}


COUNT_VOLUME: Final[LiteralString] = f"""
month_segments = CASE WHEN month = {THIS_MONTH} THEN month_segments ELSE 0 END + total.segments, month = {THIS_MONTH}
"""

SQL_CHARGE: Final[LiteralString] = f"""
WITH charged AS MATERIALIZED (
    SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::numeric[], $5::numeric[], $6::smallint[])
        AS c(account_id, tenant_id, message_id, cost, balance_after, segments)
), entries AS (
    INSERT INTO billing.credit_ledger (account_id, tenant_id, kind, reference, amount, counter_account, balance_after)
    SELECT account_id, tenant_id, 'charge', message_id, -cost, 'revenue', balance_after FROM charged
)
UPDATE billing.credits SET balance = balance - total.cost, {COUNT_VOLUME}
FROM (SELECT account_id, sum(cost) AS cost, sum(segments) AS segments FROM charged GROUP BY account_id) AS total
WHERE credits.account_id = total.account_id
"""


async def charge(tx: Tx, charges: Sequence[Charge]) -> None:
    """Write one charge per message. The balances are locked by this transaction and known to suffice."""
    await tx.execute(
        SQL_CHARGE,
        [c.account_id for c in charges],
        [c.tenant_id for c in charges],
        [c.message_id for c in charges],
        [c.cost for c in charges],
        [c.balance_after for c in charges],
        [c.segments for c in charges],
    )
    sales = [c.sale for c in charges if c.sale is not None]
    if sales:
        await record_sales(tx, sales)


@dataclass(frozen=True, slots=True)
class Spent:
    """What one message takes out of a reservation; `sale` as in a charge."""

    message_id: UUID
    cost: Decimal
    segments: int
    sale: Sale | None = None


SQL_CHARGE_RESERVED: Final[LiteralString] = f"""
WITH entries AS (
    INSERT INTO billing.credit_ledger (account_id, tenant_id, kind, reference, amount, counter_account, balance_after)
    SELECT $1::uuid, $2::uuid, 'release', $3::uuid, $4::numeric, 'reservations', $5::numeric + $4
    UNION ALL
    SELECT $1::uuid, $2::uuid, 'charge', c.message_id, -c.cost, 'revenue', c.balance_after
    FROM unnest($6::uuid[], $7::numeric[], $8::numeric[]) AS c(message_id, cost, balance_after)
)
UPDATE billing.credits SET {COUNT_VOLUME} FROM (SELECT $9::bigint AS segments) AS total WHERE account_id = $1
"""


async def charge_reserved(tx: Tx, payer: Balance, spent: Sequence[Spent], release_id: UUID) -> Decimal:
    """Charge messages of one campaign out of its reservation; answers their sum.

    What is released is charged in the same statement, so the locked balance of `payer` stays as it is.
    `release_id` is the same however often this chunk is tried: only one of the tries can be committed.
    """
    total = sum((each.cost for each in spent), Decimal(0))
    left = payer.balance + total
    after = []
    for each in spent:
        left -= each.cost
        after.append(left)
    await tx.execute(
        SQL_CHARGE_RESERVED,
        payer.account_id,
        payer.tenant_id,
        release_id,
        total,
        payer.balance,
        [each.message_id for each in spent],
        [each.cost for each in spent],
        after,
        sum(each.segments for each in spent),
    )
    sales = [each.sale for each in spent if each.sale is not None]
    if sales:
        await record_sales(tx, sales)
    return total


SQL_REFUND: Final[LiteralString] = f"""
WITH owed AS MATERIALIZED (
    SELECT c.account_id, c.tenant_id, c.reference, -c.amount AS amount
    FROM unnest($1::uuid[]) AS wanted(reference)
    JOIN billing.credit_ledger c ON c.reference = wanted.reference AND c.kind = 'charge'
    WHERE NOT EXISTS (
        SELECT FROM billing.credit_ledger r WHERE r.reference = wanted.reference AND r.kind = 'refund')
), entries AS (
    INSERT INTO billing.credit_ledger (account_id, tenant_id, kind, reference, amount, counter_account, balance_after)
    SELECT o.account_id, o.tenant_id, 'refund', o.reference, o.amount, 'revenue',
           b.balance + sum(o.amount) OVER (PARTITION BY o.account_id ORDER BY o.reference)
    FROM owed o JOIN billing.credits b USING (account_id)
), paid AS (
    UPDATE billing.credits SET balance = balance + total.amount
    FROM (SELECT account_id, sum(amount) AS amount FROM owed GROUP BY account_id) AS total
    WHERE credits.account_id = total.account_id
), {TAKE_BACK}
SELECT reference FROM owed
"""


async def refund(tx: Tx, message_ids: Iterable[UUID]) -> set[UUID]:
    """Give back the charges of these messages, each at most once; answers which were refunded now.

    The caller has locked the balances of their billing accounts (`lock_balances`) in this transaction:
    under that lock the statement sees every refund that was ever made, so none is made twice.
    """
    rows = await tx.fetch(SQL_REFUND, sorted(set(message_ids)))
    return {row["reference"] for row in rows}


SQL_REFUNDED: Final[LiteralString] = """
SELECT l.reference FROM unnest($1::uuid[]) AS wanted(reference)
JOIN billing.credit_ledger l ON l.reference = wanted.reference AND l.kind = 'refund'
"""


async def refunded(tx: Tx, message_ids: Iterable[UUID]) -> set[UUID]:
    """Which of these messages have been refunded."""
    rows = await tx.fetch(SQL_REFUNDED, sorted(set(message_ids)))
    return {row["reference"] for row in rows}


SQL_MOVE: Final[LiteralString] = """
WITH entry AS (
    INSERT INTO billing.credit_ledger (account_id, tenant_id, kind, reference, amount, counter_account, balance_after)
    SELECT account_id, tenant_id, $3, $2, $4, $5, balance + $4 FROM billing.credits WHERE account_id = $1
    ON CONFLICT (reference, kind) DO NOTHING
    RETURNING account_id, amount
)
UPDATE billing.credits SET balance = balance + entry.amount
FROM entry WHERE credits.account_id = entry.account_id
RETURNING balance
"""


async def adjust(
    tx: Tx, account_id: UUID, amount: Decimal, reference: UUID, kind: Literal["opening", "adjustment"]
) -> Decimal | None:
    """Put `amount` (or, negative, take it) by staff's hand; None when this reference was booked before."""
    return await _move(tx, account_id, amount, reference, kind, "adjustments")


async def top_up(tx: Tx, account_id: UUID, amount: Decimal, top_up_id: UUID) -> Decimal | None:
    """Credit what was paid by M-Pesa: the balance after; None when this top-up was credited before.

    The caller has made sure that the money came (`mpesa_clearing` owes it until it is settled). ValueError unless
    `amount` is positive.
    """
    if amount <= 0:
        raise ValueError("a top-up is more than nothing")
    return await _move(tx, account_id, amount, top_up_id, "top_up", "mpesa_clearing")


async def reserve(tx: Tx, account_id: UUID, amount: Decimal, campaign_id: UUID) -> Decimal | None:
    """Set `amount` aside for a campaign; None when it was before. The caller knows that the balance suffices."""
    return await _move(tx, account_id, -amount, campaign_id, "reserve", "reservations")


async def release(tx: Tx, account_id: UUID, amount: Decimal, campaign_id: UUID) -> Decimal | None:
    """Return what is left of a campaign's reservation; None when it was returned before."""
    return await _move(tx, account_id, amount, campaign_id, "release", "reservations")


async def pay_commission(tx: Tx, agent_id: UUID, amount: Decimal, month: date) -> Decimal | None:
    """Credit an agent's commissions up to and with `month` (its first day); None when that was done before."""
    return await _move(
        tx, agent_id, amount, event_id("commission", agent_id, month), "commission", "commissions"
    )


async def _move(
    tx: Tx, account_id: UUID, amount: Decimal, reference: UUID, kind: str, counter: CounterAccount
) -> Decimal | None:
    await lock_balances(tx, [account_id])
    balance: Decimal | None = await tx.fetchval(SQL_MOVE, account_id, reference, kind, amount, counter)
    return balance


SQL_OPEN: Final[LiteralString] = """
INSERT INTO billing.credits (account_id, tenant_id, currency, credit_limit) VALUES ($1, $2, $3, $4)
"""


async def open_balance(
    tx: Tx, account_id: UUID, tenant_id: UUID, currency: str, credit_limit: Decimal = Decimal(0)
) -> None:
    """Give a new paying account its balance row, at zero."""
    await tx.execute(SQL_OPEN, account_id, tenant_id, currency, credit_limit)


SQL_SET_LIMIT: Final[LiteralString] = "UPDATE billing.credits SET credit_limit = $2 WHERE account_id = $1"


async def set_credit_limit(tx: Tx, account_id: UUID, limit: Decimal) -> None:
    """How far below zero a balance may go. The caller has locked it and knows that it is not further down already."""
    await tx.execute(SQL_SET_LIMIT, account_id, limit)


SQL_BALANCE: Final[LiteralString] = """
SELECT account_id, tenant_id, currency, balance, credit_limit FROM billing.credits WHERE account_id = $1
"""


async def read_balance(tx: Tx, account_id: UUID) -> Balance | None:
    """The truth, as committed."""
    return _balances(await tx.fetch(SQL_BALANCE, account_id)).get(account_id)


SQL_VOLUME: Final[LiteralString] = f"""
SELECT CASE WHEN month = {THIS_MONTH} THEN month_segments ELSE 0 END FROM billing.credits WHERE account_id = $1
"""


async def read_volume(tx: Tx, account_id: UUID) -> int:
    """Segments that this account was charged for in this calendar month, UTC; none where an agent pays for it."""
    return await tx.fetchval(SQL_VOLUME, account_id) or 0


@dataclass(frozen=True, slots=True)
class Entry:
    """One movement, as `GET /v1/ledger` shows it; `amount` is negative where credit left the account."""

    entry_id: int
    kind: str
    reference: UUID
    amount: Decimal
    counter_account: str
    balance_after: Decimal
    created_at: datetime


SQL_ENTRIES: Final[LiteralString] = """
SELECT entry_id, kind, reference, amount, counter_account, balance_after, created_at
FROM billing.credit_ledger WHERE account_id = $1 AND entry_id < $2
ORDER BY entry_id DESC LIMIT $3
"""

NEWEST: Final = 2**63 - 1


async def read_entries(tx: Tx, account_id: UUID, before: int = NEWEST, limit: int = 50) -> list[Entry]:
    """A page of movements, newest first, older than entry `before`."""
    return [Entry(*row.values()) for row in await tx.fetch(SQL_ENTRIES, account_id, before, limit)]


SQL_DRIFT: Final[LiteralString] = """
SELECT c.account_id, c.balance - l.amount AS drift
FROM (SELECT account_id, balance FROM billing.credits WHERE account_id > $1 ORDER BY account_id LIMIT $2) AS c
CROSS JOIN LATERAL (SELECT COALESCE(sum(amount), 0) AS amount FROM billing.credit_ledger
                    WHERE account_id = c.account_id) AS l
ORDER BY c.account_id
"""

FIRST: Final = UUID(int=0)


async def find_drift_among(tx: Tx, after: UUID, at_most: int) -> tuple[dict[UUID, Decimal], UUID | None]:
    """Of the next accounts those whose balance is not the sum of all their entries, and the last one looked at.

    None instead of it when that was all. It reads whole histories: for a pass that takes its time.
    """
    rows = await tx.fetch(SQL_DRIFT, after, at_most)
    drift = {row["account_id"]: row["drift"] for row in rows if row["drift"]}
    return drift, rows[-1]["account_id"] if len(rows) == at_most else None


async def find_drift(tx: Tx) -> dict[UUID, Decimal]:
    """All of them, in one transaction; anything but {} is an incident."""
    found: dict[UUID, Decimal] = {}
    after: UUID | None = FIRST
    while after is not None:
        drift, after = await find_drift_among(tx, after, 1000)
        found |= drift
    return found
