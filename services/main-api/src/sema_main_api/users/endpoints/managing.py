"""The users of an account, and one's own name."""

from typing import Final
from uuid import UUID

from starlette.responses import Response

from sema_common.platform.db import Tx
from sema_common.values.clock import now
from sema_common.values.errors import Refused
from sema_common.values.ids import new_id
from sema_main_api.http.bodies import read_body, read_query
from sema_main_api.http.callers import Caller, Principal
from sema_main_api.http.idempotency import Created, create_once
from sema_main_api.http.paging import PageQuery, Pager
from sema_main_api.http.problems import not_found
from sema_main_api.http.requests import Request
from sema_main_api.http.responses import json_response
from sema_main_api.http.store import Audit, write_audit
from sema_main_api.users import mails, rules, schemas, store
from sema_main_api.users.endpoints.deps import JOIN_WITHIN, Deps, new_token

NEWEST: Final = UUID(int=2**128 - 1)


async def list_users(deps: Deps, request: Request, caller: Caller) -> Response:
    """Everybody of the account, invited and disabled ones too."""
    pager = Pager("users", caller.account_id, read_query(request, PageQuery))
    before = pager.after(UUID) or NEWEST
    async with deps.tenant.of(caller) as tx:
        rows = await store.list_users(tx, caller.account_id, before, pager.fetch)
    return json_response(pager.page(rows, shown, lambda row: row.id))


async def invite(deps: Deps, request: Request, caller: Caller) -> Response:
    """201 with the invited user; the link to join is in the mail."""
    wanted = await read_body(request, schemas.InviteRequest)
    rules.check_role(caller.role or "", wanted.role)

    async def create(tx: Tx) -> Created:
        known = await store.find_by_email(tx, wanted.email)
        if known is not None and (not known.invited or known.account_id != caller.account_id):
            raise Refused("email_taken", "Somebody with this address has an account already.", 409)
        await store.forget_invited(tx, wanted.email)  # invited again: the old link is void
        user_id = new_id()
        made = await store.insert_user(
            tx, user_id, caller.tenant_id, caller.account_id, wanted.email, wanted.name, "", wanted.role
        )
        if made is None:
            raise Refused("email_taken", "Somebody with this address has an account already.", 409)
        token, hashed = new_token()
        await store.keep_link(tx, hashed, user_id, "invitation", now() + JOIN_WITHIN)
        company = await store.account_name(tx, caller.account_id)
        await deps.owe(tx, mails.invitation(wanted.email, deps.web, token, company))
        after = {"email": wanted.email, "role": wanted.role}
        await write_audit(
            tx, Audit.by(caller, request.request_id, "user.invited", ("user", user_id), after=after)
        )
        row = store.UserRow(
            user_id, caller.account_id, wanted.email, wanted.name, wanted.role, True, False, made
        )
        return Created(user_id, shown(row).model_dump(mode="json"))

    return await create_once(deps.pipeline, request, caller, "user", create)


async def change(deps: Deps, request: Request, caller: Caller) -> Response:
    """Role, name, disabled; a disabled user is logged out everywhere within seconds."""
    wanted = await read_body(request, schemas.ChangeUserRequest)
    user_id = request.path_id()
    async with deps.pipeline.transaction() as tx:
        users = await store.lock_users(tx, caller.account_id)
        user = users.get(user_id)
        if user is None:
            raise not_found()
        role = wanted.role or user.role
        name = user.name if wanted.name is None else wanted.name
        disabled = user.disabled if wanted.disabled is None else wanted.disabled
        rules.check_change(users, caller.role or "", user_id, role, disabled)
        await store.change_user(tx, user_id, role, name, disabled)
        changed = await store.read_user(tx, user_id)
        assert changed is not None
        before, after = facts(user), facts(changed)
        await write_audit(
            tx,
            Audit.by(
                caller, request.request_id, "user.changed", ("user", user_id), before=before, after=after
            ),
        )
    deps.authenticator.forget(user_id)
    if disabled:
        await deps.end_sessions(user_id, None)
    return json_response(shown(changed))


async def change_me(deps: Deps, request: Request, caller: Principal) -> Response:
    """How the caller wants to be called."""
    wanted = await read_body(request, schemas.ChangeMeRequest)
    assert caller.user_id is not None
    async with deps.pipeline.transaction() as tx:
        await store.set_name(tx, caller.user_id, wanted.name)
        user = await store.read_user(tx, caller.user_id)
    if user is None:
        raise not_found()
    return json_response(shown(user))


def facts(user: store.UserRow) -> dict[str, str]:
    """A user as the audit log keeps him."""
    return {"role": user.role, "name": user.name, "status": rules.status_of(user)}


def shown(user: store.UserRow) -> schemas.UserObject:
    """A user as the API shows him."""
    return schemas.UserObject.model_validate(
        {
            "id": user.id,
            "email": user.email,
            "name": user.name,
            "role": user.role,
            "status": rules.status_of(user),
            "created_at": user.created_at,
        }
    )
