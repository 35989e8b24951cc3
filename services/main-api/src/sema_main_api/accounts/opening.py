"""How accounts and their people begin: what the operators' CLI does, each in one transaction with its audit line."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Final
from uuid import UUID

from sema_common.billing import ledger
from sema_common.billing.accounts import billing_account_for, tenant_for
from sema_common.platform.db import Tx
from sema_common.platform.secrets import SecretBox
from sema_common.values.errors import Refused
from sema_common.values.ids import KeyMode, api_key, hash_api_key, new_id, webhook_secret
from sema_content_checker import skeleton
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
    billing_id = billing_account_for(account_id, wanted.agent_id)
    secret = box.seal(webhook_secret())
    await store.insert_account(
        tx,
        store.NewAccount(
            account_id, tenant_id, billing_id, wanted.name, wanted.type, wanted.tier, CURRENCY, secret
        ),
    )
    if billing_id == account_id:
        await ledger.open_balance(tx, account_id, tenant_id, CURRENCY)
        if wanted.credit:
            await ledger.adjust(tx, account_id, wanted.credit, account_id, kind="opening")
    await store.insert_sender(
        tx, new_id(), tenant_id, account_id, wanted.sender, skeleton(wanted.sender), "approved"
    )
    live = await _new_key(tx, tenant_id, account_id, "live")
    test = await _new_key(tx, tenant_id, account_id, "test")
    after = {"name": wanted.name, "type": wanted.type, "tier": wanted.tier, "credit": str(wanted.credit)}
    await write_audit(
        tx, Audit(operator, None, "account.opened", "account", str(account_id), account_id, after=after)
    )
    return Opened(account_id, live, test)


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


async def put_staff(tx: Tx, email: str, password_hash: str, role: str, operator: str) -> UUID:
    """A member of staff with this address, password and role, new or not."""
    return await _put_user(tx, email, password_hash, role, None, operator)


async def put_owner(tx: Tx, account_id: UUID, email: str, password_hash: str, operator: str) -> UUID:
    """An owner of this account with this address and password, new or not; Refused when there is no such account."""
    account = await store.read_account(tx, account_id)
    if account is None:
        raise Refused("not_found", "There is no such account.", 404)
    return await _put_user(tx, email, password_hash, "owner", account, operator)


async def _put_user(
    tx: Tx, email: str, password_hash: str, role: str, account: store.AccountRow | None, operator: str
) -> UUID:
    account_id = account.id if account else None
    found = await store.find_user_by_email(tx, email)
    if found is not None and found.account_id != account_id:
        raise Refused("email_taken", "Somebody of another account has this address.", 409)
    if found is not None:
        user_id = found.id
        await store.reset_user(tx, user_id, password_hash, role)
    else:
        user_id = new_id()
        tenant_id = account.tenant_id if account else None
        await store.insert_user(tx, user_id, tenant_id, account_id, email, password_hash, role)
    audit = Audit(
        operator,
        None,
        "user.reset" if found else "user.created",
        "user",
        str(user_id),
        account_id,
        before={"role": found.role} if found else None,
        after={"email": email, "role": role},
    )
    await write_audit(tx, audit)
    return user_id
