"""Accounts and messages for tests below main-api: written through the same store functions as in production.

`accept` takes the steps of main-api's accept transaction, without its HTTP: lock, decide in order, charge,
insert. Only accounts are inserted by hand: their SQL belongs to main-api.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from sema_common.billing import agents, ledger
from sema_common.billing.ledger import Charge
from sema_common.messages.store import accepting, attempts, publishing
from sema_common.messages.store.accepting import NewMessage
from sema_common.messages.store.attempts import Claim
from sema_common.messages.store.outcomes import Sent, record_sent
from sema_common.platform.db import Tx
from sema_common.values.ids import id_time, new_id

AGGREGATOR = "celcom"

SQL_ACCOUNT = """
INSERT INTO core.accounts (id, tenant_id, billing_account_id, name, type, tier, currency, webhook_secret,
    refund_undelivered)
VALUES ($1, $1, $1, 'Test', 'direct', 'growth', 'KES', '', $2)
"""


async def open_account(
    tx: Tx, *, balance: str = "0", credit_limit: str = "0", refund_undelivered: bool = False
) -> UUID:
    """A paying account in a tenant of its own; `tx` is of `main_api_pipeline` or the owner."""
    account_id = new_id()
    await tx.execute(SQL_ACCOUNT, account_id, refund_undelivered)
    await ledger.open_balance(tx, account_id, account_id, "KES", Decimal(credit_limit))
    if Decimal(balance):
        await ledger.adjust(tx, account_id, Decimal(balance), new_id(), "opening")
    return account_id


SQL_CUSTOMER = """
INSERT INTO core.accounts (id, tenant_id, billing_account_id, name, type, tier, currency, webhook_secret)
VALUES ($1, $2, $2, 'Customer', 'agent_customer', 'growth', 'KES', '')
"""


async def open_customer(tx: Tx, agent_id: UUID, *, commission: str = "0") -> UUID:
    """A customer of this account, which becomes an agent with this share."""
    customer_id = new_id()
    await tx.execute("UPDATE core.accounts SET type = 'agent' WHERE id = $1", agent_id)
    await tx.execute(SQL_CUSTOMER, customer_id, agent_id)
    await agents.open_terms(tx, agent_id, agent_id)
    await agents.set_commission(tx, agent_id, Decimal(commission))
    await agents.join(tx, customer_id, agent_id, agent_id)
    return customer_id


def new_message(
    account_id: UUID, cost: str = "1.0000", at: datetime | None = None, **changes: Any
) -> NewMessage:
    """A message of this account, priced at `cost`; `changes` are fields of NewMessage."""
    message_id = new_id(at)
    enqueued_at = id_time(message_id)
    message = NewMessage(
        message_id=message_id,
        enqueued_at=enqueued_at,
        tenant_id=account_id,
        account_id=account_id,
        billing_account_id=account_id,
        to="+254712345678",
        sender="SEMALINK",
        body="Your order is on its way.",
        kind="SMS",
        lane="normal",
        test=False,
        encoding="GSM-7",
        segments=1,
        cost=Decimal(cost),
        currency="KES",
        country="KE",
        mno="Safaricom",
        idempotency_hash=None,
        metadata={"order": "7"},
        callback_url=None,
        traceparent=None,
        valid_until=enqueued_at + timedelta(days=1),
    )
    return replace(message, **changes)


async def accept(tx: Tx, messages: Sequence[NewMessage]) -> list[NewMessage]:
    """Charge and write those that fit their balances, in order; answers them."""
    balances = await ledger.lock_balances(tx, {m.billing_account_id for m in messages})
    left = {account: balance.available for account, balance in balances.items()}
    fitting, charges = [], []
    for message in messages:
        payer = balances[message.billing_account_id]
        if left[payer.account_id] < message.charged:
            continue
        left[payer.account_id] -= message.charged
        after = left[payer.account_id] - payer.credit_limit
        charges.append(
            Charge(
                payer.account_id,
                payer.tenant_id,
                message.message_id,
                message.charged,
                after,
                message.volume,
                message.sale,
            )
        )
        fitting.append(message)
    if fitting:
        await ledger.charge(tx, charges)
        await accepting.insert_messages(tx, fitting)
    return fitting


async def queue(tx: Tx, messages: Sequence[NewMessage], at: datetime) -> None:
    """The relay's confirm; under `main_api_pipeline`."""
    ordered = sorted(messages, key=lambda m: m.message_id)
    await publishing.mark_queued(
        tx,
        [m.message_id for m in ordered],
        [m.enqueued_at for m in ordered],
        [m.tenant_id for m in ordered],
        [at for _ in ordered],
    )


def claim_of(message: NewMessage, attempt: int = 1, aggregator: str = AGGREGATOR) -> Claim:
    """The wish to submit this message."""
    return Claim(message.message_id, attempt, message.tenant_id, message.lane, aggregator)


def sent_of(message: NewMessage, aggregator_id: str, at: datetime, attempt: int = 1) -> Sent:
    """The aggregator's acceptance of this message."""
    return Sent(message.message_id, attempt, message.tenant_id, AGGREGATOR, aggregator_id, at, at)


async def submit(tx: Tx, messages: Sequence[NewMessage], at: datetime | None = None) -> dict[UUID, str]:
    """Claim and record as sent; the aggregator's ids. Under `sms_worker_pipeline`."""
    at = at or datetime.now(UTC)
    await attempts.claim(tx, [claim_of(m) for m in messages], at + timedelta(minutes=1))
    ids = {m.message_id: f"agg-{m.message_id.hex}" for m in messages}
    await record_sent(tx, [sent_of(m, ids[m.message_id], at) for m in messages])
    return ids
