"""Accounts with credit, messages that they may send, and a look into their books."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

import asyncpg

from sema_common.messages.store.accepting import NewMessage
from sema_common.wire.sms import Lane
from tests.kit import seeds

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]
else:
    Connection = asyncpg.Connection


@dataclass(frozen=True)
class Account:
    """An account that pays for itself."""

    account_id: UUID
    mode: str = "live"
    account_type: str = "direct"
    tier: str = "starter"
    currency: str = "KES"

    @property
    def tenant_id(self) -> UUID:
        return self.account_id

    @property
    def billing_account_id(self) -> UUID:
        return self.account_id


async def open_account(owner: Connection, credit: str) -> Account:
    """A new account with so much credit."""
    return Account(await seeds.open_account(owner, balance=credit))  # type: ignore[arg-type]


def message(
    account: Account, cost: str = "1.0000", hash_: str | None = None, lane: Lane = "normal"
) -> NewMessage:
    """A message of the account, priced at `cost`."""
    return seeds.new_message(account.account_id, cost, idempotency_hash=hash_, lane=lane)


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
