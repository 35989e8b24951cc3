"""Register, confirm, accept an invitation."""

from starlette.responses import Response

from sema_common.values.clock import now
from sema_common.values.errors import Refused
from sema_common.values.ids import new_id
from sema_main_api.http.bodies import read_body
from sema_main_api.http.requests import Request
from sema_main_api.http.responses import json_response, no_content
from sema_main_api.http.store import Audit, write_audit
from sema_main_api.users import mails, schemas, store
from sema_main_api.users.endpoints.deps import CONFIRM_WITHIN, Deps, new_token, stale, token_hash


async def register(deps: Deps, request: Request) -> Response:
    """202, whether or not the address is known here: only its owner's mail tells."""
    wanted = await read_body(request, schemas.RegisterRequest)
    await deps.attempts.attempt(wanted.email, request.address(deps.trusted_proxies))
    password_hash = await deps.passwords.hash(wanted.password)
    token, hashed = new_token()
    registration = store.Registration(wanted.email, password_hash, wanted.name, wanted.company)
    async with deps.pipeline.transaction() as tx:
        known = await store.find_by_email(tx, wanted.email)
        if known is not None and not known.invited:
            await deps.owe(tx, mails.registered_already(wanted.email, deps.web))
        else:
            await store.register(tx, hashed, registration, now() + CONFIRM_WITHIN)
            await deps.owe(tx, mails.confirm_registration(wanted.email, deps.web, token))
    return json_response({}, 202)


async def confirm(deps: Deps, request: Request) -> Response:
    """201: the account is open, and whoever followed the link is its owner."""
    wanted = await read_body(request, schemas.TokenRequest)
    async with deps.pipeline.transaction() as tx:
        registration = await store.take_registration(tx, token_hash(wanted.token), now())
        if registration is None:
            raise stale()
        await store.forget_invited(tx, registration.email)  # nobody else can keep an address from its owner
        account_id, tenant_id = await deps.open_account(tx, registration.company)
        user_id = new_id()
        made = await store.insert_user(
            tx,
            user_id,
            tenant_id,
            account_id,
            registration.email,
            registration.name,
            registration.password_hash,
            "owner",
        )
        if made is None:
            raise Refused("email_taken", "Somebody has this address already: log in.", 409)
        after = {"email": registration.email, "role": "owner"}
        subject = ("user", str(user_id))
        await write_audit(
            tx,
            Audit(
                "user",
                user_id,
                "user.registered",
                *subject,
                account_id,
                after=after,
                request_id=request.request_id,
            ),
        )
    return json_response(schemas.Confirmed(account_id=account_id, user_id=user_id), 201)


async def accept(deps: Deps, request: Request) -> Response:
    """204: the invited user has a password now and may log in."""
    wanted = await read_body(request, schemas.AcceptRequest)
    password_hash = await deps.hash_for(token_hash(wanted.token), "invitation", wanted.password)
    async with deps.pipeline.transaction() as tx:
        user_id = await store.take_link(tx, token_hash(wanted.token), "invitation", now())
        user = await store.read_user(tx, user_id) if user_id else None
        if user is None or user.disabled or not user.invited:
            raise stale()
        await store.set_password(tx, user.id, password_hash)
        if wanted.name:
            await store.set_name(tx, user.id, wanted.name)
        audit = Audit("user", user.id, "user.joined", "user", str(user.id), user.account_id)
        await write_audit(tx, audit)
    return no_content()
