"""Accounts of every tenant, with their balances, and what staff write of them."""

from dataclasses import asdict, dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, LiteralString
from uuid import UUID

from sema_common.platform.db import Tx
from sema_main_api.admin.accounts.schemas import AccountQuery


@dataclass(frozen=True, slots=True)
class AccountRow:
    """`balance` and `credit_limit` are None where another account pays."""

    id: UUID
    billing_account_id: UUID
    name: str
    type: str
    tier: str
    status: str
    currency: str
    rate_per_second: int | None
    rate_burst: int | None
    priority_per_second: int | None
    recipient_per_10_minutes: int | None
    prefix_per_10_minutes: int | None
    spend_per_hour: Decimal | None
    refund_undelivered: bool
    created_at: datetime
    suspended_by: str | None
    balance: Decimal | None
    credit_limit: Decimal | None

    @property
    def agent_id(self) -> UUID | None:
        return None if self.billing_account_id == self.id else self.billing_account_id

    @property
    def audited(self) -> dict[str, Any]:
        """What staff may change, as the audit log keeps it."""
        kept = asdict(self)
        return {
            name: f"{kept[name]:f}" if isinstance(kept[name], Decimal) else kept[name] for name in AUDITED
        }


AUDITED: Final = (
    "name", "tier", "status", "suspended_by", "rate_per_second", "rate_burst", "priority_per_second",
    "recipient_per_10_minutes", "prefix_per_10_minutes", "spend_per_hour", "refund_undelivered", "credit_limit",
)  # fmt: skip

ACCOUNT: Final[LiteralString] = """
SELECT a.id, a.billing_account_id, a.name, a.type, a.tier, a.status, a.currency, a.rate_per_second, a.rate_burst,
       a.priority_per_second, a.recipient_per_10_minutes, a.prefix_per_10_minutes, a.spend_per_hour,
       a.refund_undelivered, a.created_at, a.suspended_by, b.balance, b.credit_limit
FROM core.accounts a LEFT JOIN billing.credits b ON b.account_id = a.id
"""

SQL_ACCOUNTS: Final[LiteralString] = f"""{ACCOUNT}
WHERE ($1::uuid IS NULL OR a.id < $1) AND ($2::text IS NULL OR strpos(lower(a.name), lower($2)) > 0)
  AND ($3::text IS NULL OR a.id IN (SELECT u.account_id FROM core.users u WHERE u.email = lower($3)))
  AND ($4::text IS NULL OR a.type = $4) AND ($5::text IS NULL OR a.tier = $5) AND ($6::text IS NULL OR a.status = $6)
  AND ($7::uuid IS NULL OR (a.tenant_id = $7 AND a.type = 'agent_customer'))
ORDER BY a.id DESC LIMIT $8
"""


async def list_accounts(tx: Tx, query: AccountQuery, before: UUID | None, limit: int) -> list[AccountRow]:
    """Accounts that the query asks for, the youngest first."""
    rows = await tx.fetch(
        SQL_ACCOUNTS,
        before,
        query.name,
        query.email,
        query.type,
        query.tier,
        query.status,
        query.agent_id,
        limit,
    )
    return [AccountRow(*row.values()) for row in rows]


SQL_READ: Final[LiteralString] = f"{ACCOUNT} WHERE a.id = $1"


async def read_account(tx: Tx, account_id: UUID) -> AccountRow | None:
    """One account, whoever's it is."""
    row = await tx.fetchrow(SQL_READ, account_id)
    return None if row is None else AccountRow(*row.values())


SQL_LOCK: Final[LiteralString] = f"{ACCOUNT} WHERE a.id = $1 FOR NO KEY UPDATE OF a"


async def lock_account(tx: Tx, account_id: UUID) -> AccountRow | None:
    """One account, against others who change it. A balance is locked before."""
    row = await tx.fetchrow(SQL_LOCK, account_id)
    return None if row is None else AccountRow(*row.values())


SQL_CHANGE: Final[LiteralString] = """
UPDATE core.accounts SET name = $2, tier = $3, status = $4, rate_per_second = $5, rate_burst = $6,
    priority_per_second = $7, refund_undelivered = $8,
    recipient_per_10_minutes = $9, prefix_per_10_minutes = $10, spend_per_hour = $11,
    suspended_by = $12
WHERE id = $1
"""


async def change_account(tx: Tx, wanted: AccountRow) -> None:
    """Write what staff decide, but for the credit limit: that is billing's."""
    await tx.execute(
        SQL_CHANGE,
        wanted.id,
        wanted.name,
        wanted.tier,
        wanted.status,
        wanted.rate_per_second,
        wanted.rate_burst,
        wanted.priority_per_second,
        wanted.refund_undelivered,
        wanted.recipient_per_10_minutes,
        wanted.prefix_per_10_minutes,
        wanted.spend_per_hour,
        wanted.suspended_by,
    )
