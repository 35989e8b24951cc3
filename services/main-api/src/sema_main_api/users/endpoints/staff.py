"""Our own people: invited, changed and shut out by a staff_admin. The first one is made by the operators' CLI."""

from uuid import UUID

from starlette.responses import Response

from sema_common.values.clock import now
from sema_common.values.errors import Refused
from sema_common.values.ids import new_id
from sema_main_api.http.bodies import read_body, read_query
from sema_main_api.http.callers import Staff
from sema_main_api.http.paging import PageQuery, Pager
from sema_main_api.http.problems import not_found
from sema_main_api.http.requests import Request
from sema_main_api.http.responses import json_response
from sema_main_api.http.store import Audit, write_audit
from sema_main_api.users import mails, rules, schemas, store
from sema_main_api.users.endpoints.deps import JOIN_WITHIN, Deps, new_token
from sema_main_api.users.endpoints.managing import NEWEST, facts, shown


async def list_staff(deps: Deps, request: Request, staff: Staff) -> Response:
    """Everybody, invited and disabled ones too."""
    pager = Pager("staff", staff.user_id, read_query(request, PageQuery))
    before = pager.after(UUID) or NEWEST
    async with deps.pipeline.transaction() as tx:
        rows = await store.list_staff(tx, before, pager.fetch)
    return json_response(pager.page(rows, shown, lambda row: row.id))


async def invite_staff(deps: Deps, request: Request, staff: Staff) -> Response:
    """201; the link to join is in the mail. Who was invited before and never came is invited anew."""
    wanted = await read_body(request, schemas.InviteStaffRequest)
    async with deps.pipeline.transaction() as tx:
        known = await store.find_by_email(tx, wanted.email)
        if known is not None and (not known.invited or known.account_id is not None):
            raise _taken()
        await store.forget_invited(tx, wanted.email)
        user_id = new_id()
        made = await store.insert_user(tx, user_id, None, None, wanted.email, wanted.name, "", wanted.role)
        if made is None:
            raise _taken()
        token, hashed = new_token()
        await store.keep_link(tx, hashed, user_id, "invitation", now() + JOIN_WITHIN)
        await deps.owe(tx, mails.staff_invitation(wanted.email, deps.web, token))
        after = {"email": wanted.email, "role": wanted.role}
        audit = Audit.by_staff(staff, request.request_id, "staff.invited", ("user", user_id), after=after)
        await write_audit(tx, audit)
    row = store.UserRow(user_id, None, wanted.email, wanted.name, wanted.role, True, False, made)
    return json_response(shown(row), 201)


async def change_staff(deps: Deps, request: Request, staff: Staff) -> Response:
    """Role, name, disabled; whoever is disabled is logged out everywhere within seconds."""
    user_id = request.path_id()
    wanted = await read_body(request, schemas.ChangeStaffRequest)
    async with deps.pipeline.transaction() as tx:
        people = await store.lock_staff(tx)
        before = people.get(user_id)
        if before is None:
            raise not_found()
        role = wanted.role or before.role
        name = before.name if wanted.name is None else wanted.name
        disabled = before.disabled if wanted.disabled is None else wanted.disabled
        rules.check_staff_change(people, user_id, role, disabled)
        await store.change_user(tx, user_id, role, name, disabled)
        after = await store.read_user(tx, user_id)
        assert after is not None
        audit = Audit.by_staff(
            staff,
            request.request_id,
            "staff.changed",
            ("user", user_id),
            before=facts(before),
            after=facts(after),
            reason=wanted.reason,
        )
        await write_audit(tx, audit)
    deps.authenticator.forget(user_id)
    if disabled:
        await deps.end_sessions(user_id, None)
    return json_response(shown(after))


def _taken() -> Refused:
    return Refused("email_taken", "Somebody has this address already.", 409)
