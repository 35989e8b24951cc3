"""Accounts with credit, messages that they may send, and a look into their books."""

from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import UUID

import asyncpg

from sema_common.messages.store.accepting import NewMessage
from sema_common.values.ids import id_time, new_id
from sema_common.wire.sms import Lane

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]
else:
    Connection = asyncpg.Connection


@dataclass(frozen=True)
class Account:
    """An account that pays for itself."""

    account_id: UUID
    mode: str = "live"
    tier: str = "starter"
    currency: str = "KES"

    @property
    def tenant_id(self) -> UUID:
        return self.account_id

    @property
    def billing_account_id(self) -> UUID:
        return self.account_id


async def open_account(owner: Connection, credit: str) -> Account:
    account = Account(new_id())
    await owner.execute(
        "INSERT INTO core.accounts (id, tenant_id, billing_account_id, name, type, tier, currency, webhook_secret)"
        " VALUES ($1, $1, $1, 'test', 'direct', 'starter', 'KES', 'x')",
        account.account_id,
    )
    await owner.execute(
        "INSERT INTO billing.credits (account_id, tenant_id, currency, balance) VALUES ($1, $1, 'KES', $2)",
        account.account_id,
        Decimal(credit),
    )
    await owner.execute(
        "INSERT INTO billing.credit_ledger (account_id, tenant_id, kind, reference, amount, counter_account,"
        " balance_after) VALUES ($1, $1, 'opening', $1, $2, 'adjustments', $2)",
        account.account_id,
        Decimal(credit),
    )
    return account


def message(
    account: Account, cost: str = "1.0000", hash_: str | None = None, lane: Lane = "normal"
) -> NewMessage:
    message_id = new_id()
    at = id_time(message_id)
    return NewMessage(
        message_id=message_id,
        enqueued_at=at,
        tenant_id=account.tenant_id,
        account_id=account.account_id,
        billing_account_id=account.billing_account_id,
        to="+254712345678",
        sender="SEMALINK",
        body="Habari",
        kind="SMS",
        lane=lane,
        test=False,
        encoding="GSM-7",
        segments=1,
        cost=Decimal(cost),
        currency="KES",
        country="KE",
        mno="Safaricom",
        idempotency_hash=hash_,
        metadata={"order": "1"},
        callback_url=None,
        traceparent=None,
        valid_until=at + timedelta(days=1),
    )


async def books(owner: Connection, account: Account) -> dict[str, Any]:
    """What the account has, what its ledger says, and what it sent."""
    row = await owner.fetchrow(
        "SELECT (SELECT balance FROM billing.credits WHERE account_id = $1) AS balance,"
        " (SELECT sum(amount) FROM billing.credit_ledger WHERE account_id = $1) AS ledger,"
        " (SELECT count(*) FROM billing.credit_ledger WHERE account_id = $1 AND kind = 'charge') AS charges,"
        " (SELECT count(*) FROM orch.sms_messages WHERE account_id = $1) AS messages,"
        " (SELECT count(*) FROM orch.message_events e JOIN orch.sms_messages m USING (message_id)"
        "   WHERE m.account_id = $1) AS events",
        account.account_id,
    )
    assert row is not None
    assert row["balance"] == row["ledger"], "the balance is the sum of its ledger"
    return dict(row)
