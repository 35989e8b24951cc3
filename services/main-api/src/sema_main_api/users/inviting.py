"""The first owner of an account that somebody else has opened."""

from uuid import UUID

from sema_common.platform.db import Tx
from sema_common.values.clock import now
from sema_common.values.errors import Refused
from sema_common.values.ids import new_id
from sema_main_api.users import mails, store
from sema_main_api.users.endpoints.deps import JOIN_WITHIN, Deps, new_token


async def invite_owner(tx: Tx, deps: Deps, account_id: UUID, tenant_id: UUID, email: str, brand: str) -> None:
    """Invite an owner in the name of `brand`; Refused(409) for an address that somebody has already."""
    user_id = new_id()
    if await store.insert_user(tx, user_id, tenant_id, account_id, email, "", "", "owner") is None:
        raise Refused("email_taken", "Somebody with this address has an account already.", 409)
    token, hashed = new_token()
    await store.keep_link(tx, hashed, user_id, "invitation", now() + JOIN_WITHIN)
    company = await store.account_name(tx, account_id)
    await deps.owe(tx, mails.invitation(email, deps.web, token, company, brand))
