"""/v1/auth: login, refresh, logout, sessions and the second factor."""

from dataclasses import dataclass
from typing import Final
from uuid import UUID

from starlette.responses import Response

from sema_common.platform.db import Database, Tx
from sema_common.platform.secrets import SecretBox
from sema_common.values.clock import now
from sema_common.values.errors import Refused
from sema_main_api import metrics
from sema_main_api.auth import schemas, store, totp
from sema_main_api.auth.sessions import Refreshed, Sessions, refused
from sema_main_api.auth.tokens import Tokens
from sema_main_api.http.attempts import Attempts, Bounds
from sema_main_api.http.auth import Authenticator
from sema_main_api.http.bodies import read_body
from sema_main_api.http.callers import Principal
from sema_main_api.http.passwords import Passwords
from sema_main_api.http.problems import not_found
from sema_main_api.http.requests import Request
from sema_main_api.http.responses import json_response, no_content
from sema_main_api.http.routing import MAX_BODY, Operation
from sema_main_api.http.store import Audit, write_audit

LOGIN_BOUNDS: Final = Bounds(pair=5, pair_seconds=900, address=100, address_seconds=3600)
"""5 attempts on one account from one address in 15 minutes, 100 failed ones from one address in an hour (design)."""

SLOW_DOWN: Final = "Too many attempts to log in: wait, then try again."


@dataclass(frozen=True, slots=True)
class Deps:
    """`pipeline`: users are looked up before anybody knows their tenant."""

    pipeline: Database
    passwords: Passwords
    tokens: Tokens
    sessions: Sessions
    authenticator: Authenticator
    box: SecretBox
    attempts: Attempts
    trusted_proxies: int


async def login(deps: Deps, request: Request) -> Response:
    """200 with tokens; one and the same 401 for a wrong password, an unknown and a disabled user."""
    wanted = await read_body(request, schemas.LoginRequest)
    email = wanted.email.strip().lower()
    address = request.address(deps.trusted_proxies)
    await deps.attempts.attempt(email, address)
    async with deps.pipeline.transaction() as tx:
        found = await store.find_login(tx, email)
    fits = await deps.passwords.verify(found.password_hash if found else None, wanted.password)
    if found is None or not fits or found.disabled:
        metrics.LOGINS.labels("refused").inc()
        raise Refused("unauthenticated", "The e-mail address or the password is wrong.", 401)
    async with deps.pipeline.transaction() as tx:
        await _check_second_factor(deps, tx, found.user_id, wanted.code)
    opened = await deps.sessions.open(found.user_id, address, request.headers.get("user-agent", ""))
    async with deps.pipeline.transaction() as tx:
        still = await store.find_login(tx, email)
    if still is None or still.disabled or still.password_hash != found.password_hash:
        await deps.sessions.end(
            found.user_id, opened.session_id
        )  # a new password ends what the old one opens
        raise Refused("unauthenticated", "The e-mail address or the password is wrong.", 401)
    await deps.attempts.succeeded(email, address)
    if (better := await deps.passwords.rehash(found.password_hash, wanted.password)) is not None:
        async with deps.pipeline.transaction() as tx:
            await store.replace_password_hash(tx, found.user_id, better, found.password_hash)
    metrics.LOGINS.labels("accepted").inc()
    request.noted["user_id"] = found.user_id
    user = schemas.LoggedInUser(id=found.user_id, role=found.role, account_id=found.account_id)
    return json_response({**_tokens(deps, opened), "user": user})


async def refresh(deps: Deps, request: Request) -> Response:
    """200 with new tokens for a refresh token that was not used before."""
    wanted = await read_body(request, schemas.RefreshRequest)
    refreshed = await deps.sessions.refresh(wanted.refresh_token, request.address(deps.trusted_proxies))
    async with deps.pipeline.transaction() as tx:
        known = await store.read_address(tx, refreshed.user_id)
    if known is None:
        await deps.sessions.end_all(refreshed.user_id)
        raise refused()
    request.noted["user_id"] = refreshed.user_id
    return json_response(_tokens(deps, refreshed))


async def logout(deps: Deps, _: Request, caller: Principal) -> Response:
    """204: the session has ended, here at once and elsewhere within seconds."""
    user_id, session_id = _person(caller)
    await _end(deps, user_id, session_id)
    return no_content()


async def list_sessions(deps: Deps, _: Request, caller: Principal) -> Response:
    """Where the caller is logged in."""
    user_id, session_id = _person(caller)
    data = [
        schemas.SessionObject(
            id=each.id,
            created_at=each.created_at,
            refreshed_at=each.refreshed_at,
            address=each.address,
            user_agent=each.user_agent,
            current=each.id == session_id,
        )
        for each in await deps.sessions.of(user_id)
    ]
    return json_response(schemas.SessionList(data=data))


async def end_session(deps: Deps, request: Request, caller: Principal) -> Response:
    """204, or 404 for a session that is not the caller's or has ended."""
    user_id = _person(caller)[0]
    if not await _end(deps, user_id, request.path_params["id"]):
        raise not_found()
    return no_content()


async def begin_totp(deps: Deps, _: Request, caller: Principal) -> Response:
    """201 with a secret for the caller's authenticator app; it asks nothing of anybody until it is confirmed."""
    user_id = _person(caller)[0]
    secret = totp.new_secret()
    async with deps.pipeline.transaction() as tx:
        email = await store.read_address(tx, user_id)
        if email is None:
            raise not_found()
        if not await store.begin_totp(tx, user_id, deps.box.seal(secret)):
            raise Refused("second_factor_exists", "There is a second factor: remove it first.", 409)
    uri = totp.provisioning_uri(secret, email)
    return json_response(schemas.TotpBegun(secret=secret, uri=uri, qr_svg=totp.qr_svg(uri)), 201)


async def confirm_totp(deps: Deps, request: Request, caller: Principal) -> Response:
    """200 with the recovery codes: from now on logging in takes a code."""
    wanted = await read_body(request, schemas.CodeRequest)
    user_id = _person(caller)[0]
    await _count(deps, request, user_id)
    codes = totp.recovery_codes()
    async with deps.pipeline.transaction() as tx:
        kept = await store.lock_totp(tx, user_id)
        if kept is None or kept.confirmed:
            raise not_found()
        step = totp.matching_step(deps.box.open(kept.secret), wanted.code, now(), kept.last_step)
        if step is None:
            raise _wrong_code()
        await store.use_totp(tx, user_id, step, [totp.recovery_hash(code) for code in codes])
        await write_audit(tx, _audit(caller, request, "user.second_factor_set"))
    return json_response(schemas.RecoveryCodes(recovery_codes=codes))


async def remove_totp(deps: Deps, request: Request, caller: Principal) -> Response:
    """204 for a good code: logging in takes the password alone again."""
    wanted = await read_body(request, schemas.CodeRequest)
    user_id = _person(caller)[0]
    await _count(deps, request, user_id)
    async with deps.pipeline.transaction() as tx:
        if not await _check_second_factor(deps, tx, user_id, wanted.code):
            raise not_found()
        await store.delete_totp(tx, user_id)
        await write_audit(tx, _audit(caller, request, "user.second_factor_removed"))
    return no_content()


async def _check_second_factor(deps: Deps, tx: Tx, user_id: UUID, code: str | None) -> bool:
    """Use up the code; False when the user has no second factor. Refused(401) when it is missing or wrong."""
    kept = await store.lock_totp(tx, user_id)
    if kept is None or not kept.confirmed:
        return False
    if code is None:
        raise Refused("second_factor_required", "A code of the authenticator app is needed: `code`.", 401)
    step = totp.matching_step(deps.box.open(kept.secret), code, now(), kept.last_step)
    left = kept.recovery if step is not None else totp.without(kept.recovery, code)
    if left is None:
        metrics.LOGINS.labels("wrong_code").inc()
        raise _wrong_code()
    await store.use_totp(tx, user_id, step or kept.last_step, left)
    return True


def _wrong_code() -> Refused:
    return Refused("invalid_code", "The code is wrong, or was used before.", 401)


async def _count(deps: Deps, request: Request, user_id: UUID) -> None:
    """A code is guessed no faster by who has logged in than by who has not."""
    await deps.attempts.attempt(str(user_id), request.address(deps.trusted_proxies))


async def _end(deps: Deps, user_id: UUID, session_id: str) -> bool:
    ended = await deps.sessions.end(user_id, session_id)
    deps.authenticator.forget(user_id)
    return ended


def _tokens(deps: Deps, session: Refreshed) -> dict[str, object]:
    answer = schemas.TokenAnswer(
        access_token=deps.tokens.issue(session.user_id, session.session_id, now()),
        expires_in=int(deps.tokens.life.total_seconds()),
        refresh_token=session.token,
    )
    return answer.model_dump()


def _person(caller: Principal) -> tuple[UUID, str]:
    """Who has logged in, and by which session: the floor lets nobody else call what is personal."""
    assert caller.user_id is not None
    return caller.user_id, caller.session_id or ""


def _audit(caller: Principal, request: Request, action: str) -> Audit:
    user_id = _person(caller)[0]
    account_id = getattr(caller, "account_id", None)
    return Audit("user", user_id, action, "user", str(user_id), account_id, request_id=request.request_id)


_TAG: Final = "Authentication"
_TRIES: Final = {429: "`rate_limited`: after five failures in 15 minutes"}

OPERATIONS = (
    Operation(
        "POST",
        "/v1/auth/login",
        login,
        "Log in",
        _TAG,
        public=True,
        body=schemas.LoginRequest,
        answers={200: schemas.LoginAnswer},
        problems={401: "`unauthenticated`, `second_factor_required`, `invalid_code`", **_TRIES},
        max_body=MAX_BODY + 4096,  # a password of a whole megabyte is still told what is wrong with it
        description="E-mail address and password, and the second factor of who has one, become an access token for"
        " 15 minutes and a refresh token.",
    ),
    Operation(
        "POST",
        "/v1/auth/refresh",
        refresh,
        "New tokens for a refresh token",
        _TAG,
        public=True,
        body=schemas.RefreshRequest,
        answers={200: schemas.TokenAnswer},
        problems={401: "`unauthenticated`"},
        description="Each refresh token works once. One that was used before ends its session: somebody has stolen it.",
    ),
    Operation(
        "POST",
        "/v1/auth/logout",
        logout,
        "Log out",
        _TAG,
        personal=True,
        answers={204: None},
    ),
    Operation(
        "GET",
        "/v1/auth/sessions",
        list_sessions,
        "Where I am logged in",
        _TAG,
        personal=True,
        answers={200: schemas.SessionList},
    ),
    Operation(
        "DELETE",
        "/v1/auth/sessions/{id}",
        end_session,
        "End a session",
        _TAG,
        personal=True,
        answers={204: None},
    ),
    Operation(
        "POST",
        "/v1/auth/totp",
        begin_totp,
        "Set up a second factor",
        _TAG,
        personal=True,
        answers={201: schemas.TotpBegun},
        problems={409: "`second_factor_exists`"},
    ),
    Operation(
        "POST",
        "/v1/auth/totp/confirm",
        confirm_totp,
        "Confirm the second factor with a first code",
        _TAG,
        personal=True,
        body=schemas.CodeRequest,
        answers={200: schemas.RecoveryCodes},
        problems={401: "`invalid_code`", **_TRIES},
    ),
    Operation(
        "POST",
        "/v1/auth/totp/remove",
        remove_totp,
        "Remove the second factor",
        _TAG,
        personal=True,
        body=schemas.CodeRequest,
        answers={204: None},
        problems={401: "`invalid_code`", **_TRIES},
    ),
)
