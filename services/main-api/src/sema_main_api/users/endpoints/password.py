"""A forgotten password, a new one by a link, a changed one."""

from starlette.responses import Response

from sema_common.values.clock import now
from sema_common.values.errors import FieldError
from sema_main_api.http.bodies import invalid, read_body
from sema_main_api.http.callers import Principal
from sema_main_api.http.problems import not_found
from sema_main_api.http.requests import Request
from sema_main_api.http.responses import json_response, no_content
from sema_main_api.http.store import Audit, write_audit
from sema_main_api.users import mails, schemas, store
from sema_main_api.users.endpoints.deps import RESET_WITHIN, Deps, new_token, stale, token_hash


async def forgot(deps: Deps, request: Request) -> Response:
    """202, whether or not the address is known here."""
    wanted = await read_body(request, schemas.EmailRequest)
    await deps.attempts.attempt(wanted.email, request.address(deps.trusted_proxies))
    token, hashed = new_token()
    async with deps.pipeline.transaction() as tx:
        user = await store.find_by_email(tx, wanted.email)
        if user is not None and not user.disabled and not user.invited:
            await store.keep_link(tx, hashed, user.id, "reset", now() + RESET_WITHIN)
            await deps.owe(tx, mails.reset_password(user.email, deps.web, token))
    return json_response({}, 202)


async def reset(deps: Deps, request: Request) -> Response:
    """204: the link's owner has a new password and is logged out everywhere. A second factor stays."""
    wanted = await read_body(request, schemas.SetPasswordRequest)
    password_hash = await deps.hash_for(token_hash(wanted.token), "reset", wanted.password)
    async with deps.pipeline.transaction() as tx:
        user_id = await store.take_link(tx, token_hash(wanted.token), "reset", now())
        user = await store.read_user(tx, user_id) if user_id else None
        if user is None or user.disabled:
            raise stale()
        # Sessions first: should Redis be away, the link still works and nothing has changed.
        await deps.end_sessions(user.id, None)
        await store.set_password(tx, user.id, password_hash)
        await deps.owe(tx, mails.password_changed(user.email))
        audit = Audit("user", user.id, "user.password_reset", "user", str(user.id), user.account_id)
        await write_audit(tx, audit)
    await deps.end_late_sessions(user.id, None)
    return no_content()


async def change(deps: Deps, request: Request, caller: Principal) -> Response:
    """204: a new password for whoever knows the old one; every other session of his ends."""
    wanted = await read_body(request, schemas.ChangePasswordRequest)
    assert caller.user_id is not None
    await deps.attempts.attempt(str(caller.user_id), request.address(deps.trusted_proxies))
    async with deps.pipeline.transaction() as tx:
        kept = await store.read_hash(tx, caller.user_id)
    if not await deps.passwords.verify(kept, wanted.current_password):
        raise invalid([FieldError("current_password", "wrong_password", "This is not your password.")])
    password_hash = await deps.passwords.hash(wanted.password)
    async with deps.pipeline.transaction() as tx:
        user = await store.read_user(tx, caller.user_id)
        if user is None:
            raise not_found()
        await deps.end_sessions(user.id, caller.session_id)
        await store.set_password(tx, user.id, password_hash)
        await store.forget_links(tx, user.id)
        await deps.owe(tx, mails.password_changed(user.email))
        audit = Audit("user", user.id, "user.password_changed", "user", str(user.id), user.account_id)
        await write_audit(tx, audit)
    await deps.end_late_sessions(user.id, caller.session_id)
    return no_content()
