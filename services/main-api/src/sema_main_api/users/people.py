"""Staff and owners, as the operators' CLI makes them: each in one transaction with its audit line."""

from uuid import UUID

from sema_common.platform.db import Tx
from sema_common.values.errors import Refused
from sema_common.values.ids import new_id
from sema_main_api.http.store import Audit, write_audit
from sema_main_api.users import store


async def put_staff(tx: Tx, email: str, password_hash: str, role: str, operator: str) -> UUID:
    """A member of staff with this address, password and role, new or not."""
    return await _put(tx, email, password_hash, role, None, None, operator)


async def put_owner(tx: Tx, account_id: UUID, email: str, password_hash: str, operator: str) -> UUID:
    """An owner of this account with this address and password, new or not; Refused when there is no such account."""
    tenant_id = await store.find_tenant(tx, account_id)
    if tenant_id is None:
        raise Refused("not_found", "There is no such account.", 404)
    return await _put(tx, email, password_hash, "owner", account_id, tenant_id, operator)


async def _put(
    tx: Tx,
    email: str,
    password_hash: str,
    role: str,
    account_id: UUID | None,
    tenant_id: UUID | None,
    operator: str,
) -> UUID:
    found = await store.find_by_email(tx, email)
    if found is not None and found.account_id != account_id:
        raise Refused("email_taken", "Somebody of another account has this address.", 409)
    if found is not None:
        user_id = found.id
        await store.reset_user(tx, user_id, password_hash, role)
    else:
        user_id = new_id()
        await store.insert_user(tx, user_id, tenant_id, account_id, email, "", password_hash, role)
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
