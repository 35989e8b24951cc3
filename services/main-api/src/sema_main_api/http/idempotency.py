"""Idempotency-Key for everything that creates, other than messages (their group commit keeps its own).

The row in Postgres decides, written in the transaction of what it is about: a refused call leaves nothing and
frees its key, and a secret is in the first answer only, never in the row.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID

from starlette.responses import Response

from sema_common.messages.store import idempotency as kept
from sema_common.platform.db import COMMAND_SECONDS, Database, Tx
from sema_common.values.clock import now
from sema_common.values.errors import LockBusy, Refused
from sema_main_api.http import store
from sema_main_api.http.callers import Principal, Staff
from sema_main_api.http.requests import Request
from sema_main_api.http.responses import json_response
from sema_main_api.http.rules import idempotency_key

WAIT_MS: Final = 2_000
"""How long a second call waits for the first to finish before it is told that it is still running."""

REPLAYED: Final = {"idempotent-replayed": "true"}


@dataclass(frozen=True, slots=True)
class Created:
    """What a create answers: `body` is kept and replayed, `secret` members are shown this once."""

    id: UUID
    body: dict[str, Any]
    status: int = 201
    secret: dict[str, str] = field(default_factory=dict)


def key_of(request: Request) -> str | None:
    """The request's key; None without one, Refused(400) for one of another shape."""
    header = request.header(b"idempotency-key")
    if header is None:
        return None
    key = idempotency_key(header.decode("latin-1"))
    if key is None:
        detail = "An Idempotency-Key is 1 to 255 printable ASCII characters."
        raise Refused("invalid_idempotency_key", detail, 400)
    return key


def reused() -> Refused:
    """The key was used for another call."""
    return Refused("idempotency_key_reused", "This Idempotency-Key was used for another request.", 422)


def in_flight() -> Refused:
    """The first call with this key has not finished."""
    detail = "The first request with this Idempotency-Key is still running."
    return Refused("idempotency_in_flight", detail, 409, headers={"retry-after": "1"})


async def create_once(
    db: Database,
    request: Request,
    caller: Principal,
    kind: str,
    create: Callable[[Tx], Awaitable[Created]],
    *,
    timeout: float = COMMAND_SECONDS,
    fingerprint: bytes | None = None,
) -> Response:
    """Run `create` in one transaction, once per Idempotency-Key; without a key, just run it.

    `db` is the pipeline pool; `kind` names what is created; the transaction takes at most `timeout` seconds.
    Same key and same request: the first answer again. `fingerprint` is the request's, where its body was a stream.
    """
    key = key_of(request)
    if key is None:
        async with db.transaction(timeout) as tx:
            created = await create(tx)
        return json_response(created.body | created.secret, created.status)
    # Staff have no account: their keys are their own.
    account_id, tenant_id = (
        (caller.user_id, caller.user_id)
        if isinstance(caller, Staff)
        else (caller.account_id, caller.tenant_id)
    )
    key_hash = kept.key_hash(account_id, key)
    if fingerprint is None:
        fingerprint = kept.fingerprint(request.method, request.url.path, await request.body())
    locked = False
    try:
        async with db.transaction(timeout) as tx:
            await store.lock_idempotency_key(tx, key_hash, WAIT_MS)
            locked = True
            moment = now()
            found = (await kept.find_kept(tx, [key_hash], moment)).get(key_hash)
            if found is not None:
                if found.fingerprint != fingerprint:
                    raise reused()
                return json_response(found.response_body, found.http_status, REPLAYED)
            created = await create(tx)
            response = kept.KeptResponse(
                key_hash,
                tenant_id,
                account_id,
                kind,
                created.id,
                fingerprint,
                created.status,
                created.body,
                moment + kept.KEPT_FOR,
            )
            if not await kept.keep(tx, [response], moment):
                raise in_flight()  # a message took the same key in this very moment
    except LockBusy:
        if locked:  # what `create` waited for, a balance: no other call has this key
            raise
        raise in_flight() from None
    return json_response(created.body | created.secret, created.status)
