"""How accounts begin, by the operators' CLI or by registering: each in one transaction with its audit line."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Final
from uuid import UUID

from sema_common.billing import agents, ledger
from sema_common.billing.accounts import billing_account_for, tenant_for
from sema_common.platform.db import Tx
from sema_common.platform.secrets import SecretBox
from sema_common.values.errors import Refused
from sema_common.values.ids import KeyMode, api_key, hash_api_key, new_id, webhook_secret
from sema_main_api.accounts import store
from sema_main_api.http.routing import SCOPES
from sema_main_api.http.store import Audit, write_audit

CURRENCY: Final = "KES"


@dataclass(frozen=True, slots=True)
class Opening:
    """What an operator asks for. `agent_id`: the agent whose customer this is, for type `agent_customer` only."""

    name: str
    type: str
    tier: str
    credit: Decimal
    sender: str
    agent_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class Opened:
    """A new account; the keys are shown here and never again."""

    account_id: UUID
    live_key: str
    test_key: str


async def open_account(tx: Tx, box: SecretBox, wanted: Opening, operator: str) -> Opened:
    """An active account with its balance, an approved sender ID and a live and a test key.

    An agent's customer has no balance of his own; Refused when he is given credit, or no agent.
    """
    if (wanted.type == "agent_customer") != (wanted.agent_id is not None):
        raise Refused("validation_failed", "An agent's customer, and nobody else, needs an agent.")
    if wanted.agent_id is not None:
        agent = await store.read_account(tx, wanted.agent_id)
        if agent is None or agent.type != "agent":
            raise Refused("not_found", "There is no such agent.", 404)
        if wanted.credit:
            raise Refused("billed_to_agent", "An agent's customer has no balance of his own.", 403)
    account_id = new_id()
    tenant_id = tenant_for(account_id, wanted.agent_id)
    await _insert(tx, box, account_id, tenant_id, wanted)
    if wanted.credit:
        await ledger.adjust(tx, account_id, wanted.credit, account_id, kind="opening")
    await store.grant_sender(tx, tenant_id, account_id, wanted.sender)
    live = await _new_key(tx, tenant_id, account_id, "live")
    test = await _new_key(tx, tenant_id, account_id, "test")
    after = {"name": wanted.name, "type": wanted.type, "tier": wanted.tier, "credit": str(wanted.credit)}
    await write_audit(
        tx, Audit(operator, None, "account.opened", "account", str(account_id), account_id, after=after)
    )
    return Opened(account_id, live, test)


async def open_registered(tx: Tx, box: SecretBox, name: str) -> tuple[UUID, UUID]:
    """An active account of whoever registered, with nothing in it: its id and its tenant's."""
    account_id = new_id()
    tenant_id = tenant_for(account_id, None)
    await _insert(tx, box, account_id, tenant_id, Opening(name, "direct", "starter", Decimal(0), ""))
    after = {"name": name, "type": "direct", "tier": "starter"}
    await write_audit(
        tx, Audit("registration", None, "account.opened", "account", str(account_id), account_id, after=after)
    )
    return account_id, tenant_id


async def open_customer(tx: Tx, box: SecretBox, name: str, agent_id: UUID) -> UUID:
    """An active account of an agent's customer, in the agent's tenant; its id. Whoever opens it writes the audit."""
    account_id = new_id()
    wanted = Opening(name, "agent_customer", "starter", Decimal(0), "", agent_id)
    await _insert(tx, box, account_id, tenant_for(account_id, agent_id), wanted)
    return account_id


async def _insert(tx: Tx, box: SecretBox, account_id: UUID, tenant_id: UUID, wanted: Opening) -> None:
    """The account's row, and its balance where it has one of its own."""
    billing_id = billing_account_for(account_id, wanted.agent_id)
    secret = box.seal(webhook_secret())
    await store.insert_account(
        tx,
        store.NewAccount(
            account_id, tenant_id, billing_id, wanted.name, wanted.type, wanted.tier, CURRENCY, secret
        ),
    )
    if wanted.agent_id is not None:
        await agents.join(tx, account_id, wanted.agent_id, tenant_id)
        return
    await ledger.open_balance(tx, account_id, tenant_id, CURRENCY)
    if wanted.type == "agent":
        await agents.open_terms(tx, account_id, tenant_id)


async def _new_key(tx: Tx, tenant_id: UUID, account_id: UUID, mode: KeyMode) -> str:
    key = api_key(mode)
    await store.insert_key(
        tx,
        store.NewKey(
            id=new_id(),
            tenant_id=tenant_id,
            account_id=account_id,
            name="First key",
            mode=mode,
            prefix=key.prefix,
            last4=key.last4,
            hash=hash_api_key(key.text),
            scopes=list(SCOPES),
        ),
    )
    return key.text
