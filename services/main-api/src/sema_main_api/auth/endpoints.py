"""POST /v1/auth/login."""

from dataclasses import dataclass

from starlette.responses import Response

from sema_common.platform.db import Database
from sema_common.values.clock import now
from sema_common.values.errors import Refused
from sema_main_api import metrics
from sema_main_api.auth import store
from sema_main_api.auth.clients import LoginGuard
from sema_main_api.auth.passwords import Passwords
from sema_main_api.auth.schemas import LoggedInUser, LoginAnswer, LoginRequest
from sema_main_api.auth.tokens import Tokens
from sema_main_api.http.bodies import read_body
from sema_main_api.http.requests import Request
from sema_main_api.http.responses import json_response
from sema_main_api.http.routing import MAX_BODY, Operation


@dataclass(frozen=True, slots=True)
class Deps:
    """`pipeline`: users are looked up before anybody knows their tenant."""

    pipeline: Database
    passwords: Passwords
    tokens: Tokens
    guard: LoginGuard
    trusted_proxies: int


async def login(deps: Deps, request: Request) -> Response:
    """200 with a token; one and the same 401 for a wrong password, an unknown and a disabled user."""
    wanted = await read_body(request, LoginRequest)
    email = wanted.email.strip().lower()
    address = request.address(deps.trusted_proxies)
    await deps.guard.attempt(email, address)
    async with deps.pipeline.transaction() as tx:
        found = await store.find_login(tx, email)
    fits = await deps.passwords.verify(found.password_hash if found else None, wanted.password)
    if found is None or not fits or found.disabled:
        metrics.LOGINS.labels("refused").inc()
        raise Refused("unauthenticated", "The e-mail address or the password is wrong.", 401)
    await deps.guard.succeeded(email, address)
    if (better := await deps.passwords.rehash(found.password_hash, wanted.password)) is not None:
        async with deps.pipeline.transaction() as tx:
            await store.replace_password_hash(tx, found.user_id, better, found.password_hash)
    metrics.LOGINS.labels("accepted").inc()
    request.noted["user_id"] = found.user_id
    return json_response(
        LoginAnswer(
            access_token=deps.tokens.issue(found.user_id, now()),
            expires_in=int(deps.tokens.life.total_seconds()),
            user=LoggedInUser(id=found.user_id, role=found.role, account_id=found.account_id),
        )
    )


OPERATIONS = (
    Operation(
        "POST",
        "/v1/auth/login",
        login,
        "Log in",
        "Authentication",
        public=True,
        body=LoginRequest,
        answers={200: LoginAnswer},
        problems={401: "`unauthenticated`", 429: "`rate_limited`: after five failures in 15 minutes"},
        max_body=MAX_BODY + 4096,  # a password of a whole megabyte is still told what is wrong with it
        description="E-mail address and password become an access token for 15 minutes.",
    ),
)
