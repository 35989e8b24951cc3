"""/v1/me, /v1/api-keys and /v1/sender-ids."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from starlette.responses import Response

from sema_common.platform.db import Database, Tx
from sema_common.values.clock import now
from sema_common.values.errors import FieldError, Refused
from sema_common.values.ids import KeyMode, api_key, hash_api_key, new_id
from sema_main_api.accounts import schemas, store
from sema_main_api.http.auth import Authenticator
from sema_main_api.http.bodies import invalid, read_body, read_query
from sema_main_api.http.callers import Caller
from sema_main_api.http.idempotency import Created, create_once
from sema_main_api.http.paging import PageQuery, Pager
from sema_main_api.http.problems import not_found
from sema_main_api.http.requests import Request
from sema_main_api.http.responses import json_response, no_content
from sema_main_api.http.routing import MANAGERS, WRITERS, Operation
from sema_main_api.http.store import Audit, write_audit
from sema_main_api.http.tenants import TenantReads

MAX_LIVE_KEYS: Final = 100


@dataclass(frozen=True, slots=True)
class Deps:
    tenant: TenantReads
    pipeline: Database
    authenticator: Authenticator


async def me(deps: Deps, _: Request, caller: Caller) -> Response:
    """Who is calling."""
    async with deps.tenant.of(caller) as tx:
        account = await store.read_account(tx, caller.account_id)
        key = await store.read_key(tx, caller.key_id, caller.account_id) if caller.key_id else None
        user = await store.read_user(tx, caller.user_id, caller.account_id) if caller.user_id else None
    if account is None:
        raise not_found()
    return json_response(
        schemas.Me(
            account=schemas.Account.model_validate(account),
            key=schemas.Key.model_validate(key) if key else None,
            user=schemas.User.model_validate(user) if user else None,
        )
    )


async def create_key(deps: Deps, request: Request, caller: Caller) -> Response:
    """201 with the key in `secret`, this once."""
    wanted = await read_body(request, schemas.CreateKey)
    if wanted.expires_at is not None and wanted.expires_at <= now():
        raise invalid([FieldError("expires_at", "out_of_range", "This time has passed.")])

    async def create(tx: Tx) -> Created:
        return await _insert_key(tx, request, caller, **wanted.model_dump())

    return await create_once(deps.pipeline, request, caller, "api_key", create)


async def rotate_key(deps: Deps, request: Request, caller: Caller) -> Response:
    """201 with a key of the same kind in `secret`; the old one ends by itself once clients had time to change."""
    wanted = await read_body(request, schemas.RotateKey)
    old_id = request.path_id()

    async def rotate(tx: Tx) -> Created:
        old = await _lock_live_key(tx, old_id, caller)
        kind = ("name", "mode", "scopes", "allowed_networks", "rate_per_second", "expires_at")
        created = await _insert_key(tx, request, caller, **{name: getattr(old, name) for name in kind})
        end = now() + timedelta(seconds=wanted.keep_seconds)
        ending = await store.change_key(tx, replace(old, expires_at=min(old.expires_at or end, end)))
        await _audit_change(tx, request, caller, "api_key.rotated", old, ending)
        return created

    response = await create_once(deps.pipeline, request, caller, "api_key", rotate)
    deps.authenticator.forget(old_id)
    return response


async def change_key(deps: Deps, request: Request, caller: Caller) -> Response:
    """Name and bounds; in force here at once and everywhere within seconds."""
    wanted = await read_body(request, schemas.ChangeKey)
    async with deps.pipeline.transaction() as tx:
        before = await _lock_live_key(tx, request.path_id(), caller)
        after = await store.change_key(tx, replace(before, **wanted.model_dump(exclude_unset=True)))
        await _audit_change(tx, request, caller, "api_key.changed", before, after)
    deps.authenticator.forget(after.id)
    return json_response(schemas.Key.model_validate(after))


async def _insert_key(
    tx: Tx,
    request: Request,
    caller: Caller,
    *,
    name: str,
    mode: KeyMode,
    scopes: Iterable[str],
    allowed_networks: list[str],
    rate_per_second: int | None,
    expires_at: datetime | None = None,
) -> Created:
    if await store.count_live_keys(tx, caller.account_id, now()) >= MAX_LIVE_KEYS:
        raise Refused("too_many_keys", f"An account has at most {MAX_LIVE_KEYS} keys: revoke some.", 409)
    key = api_key(mode)
    row = await store.insert_key(
        tx,
        store.NewKey(
            id=new_id(),
            tenant_id=caller.tenant_id,
            account_id=caller.account_id,
            name=name,
            mode=mode,
            prefix=key.prefix,
            last4=key.last4,
            hash=hash_api_key(key.text),
            scopes=sorted(set(scopes)),
            expires_at=expires_at,
            allowed_networks=allowed_networks,
            rate_per_second=rate_per_second,
        ),
    )
    body = schemas.Key.model_validate(row).model_dump(mode="json")
    audit = Audit.by(caller, request.request_id, "api_key.created", ("api_key", row.id), after=body)
    await write_audit(tx, audit)
    return Created(row.id, body, secret={"secret": key.text})


async def _lock_live_key(tx: Tx, key_id: UUID, caller: Caller) -> store.KeyRow:
    row = await store.lock_key(tx, key_id, caller.account_id)
    if row is None:
        raise not_found()
    if row.revoked_at is not None or (row.expires_at is not None and row.expires_at <= now()):
        raise Refused("key_not_live", "This key was revoked or has expired: create another.", 409)
    return row


async def _audit_change(
    tx: Tx, request: Request, caller: Caller, action: str, before: store.KeyRow, after: store.KeyRow
) -> None:
    shown = [schemas.Key.model_validate(row).model_dump(mode="json") for row in (before, after)]
    audit = Audit.by(
        caller, request.request_id, action, ("api_key", after.id), before=shown[0], after=shown[1]
    )
    await write_audit(tx, audit)


async def list_keys(deps: Deps, request: Request, caller: Caller) -> Response:
    """Prefix, scopes, last used; never the key."""
    pager = Pager("api-keys", caller.account_id, read_query(request, PageQuery))
    before = pager.after(UUID)
    async with deps.tenant.of(caller) as tx:
        rows = await store.list_keys(tx, caller.account_id, before, pager.fetch)
    return json_response(pager.page(rows, schemas.Key.model_validate, lambda row: row.id))


async def revoke_key(deps: Deps, request: Request, caller: Caller) -> Response:
    """204; the key ends here at once and everywhere within seconds. Revoking it again changes nothing."""
    async with deps.pipeline.transaction() as tx:
        row = await store.revoke_key(tx, request.path_id(), caller.account_id, now())
        if row is None:
            raise not_found()
        after = {"prefix": row.prefix, "last4": row.last4}
        audit = Audit.by(caller, request.request_id, "api_key.revoked", ("api_key", row.id), after=after)
        await write_audit(tx, audit)
    deps.authenticator.forget(row.id)
    return no_content()


async def request_sender(deps: Deps, request: Request, caller: Caller) -> Response:
    """201 with status `pending`: staff decide. One that was rejected may be asked for again."""
    wanted = await read_body(request, schemas.RequestSender)

    async def create(tx: Tx) -> Created:
        row = await store.request_sender(
            tx, caller.tenant_id, caller.account_id, wanted.sender, wanted.countries, wanted.purpose
        )
        if row is None:
            raise Refused("sender_id_exists", "This account has this sender ID, or has asked for it.", 409)
        body = schemas.Sender.model_validate(row).model_dump(mode="json")
        audit = Audit.by(caller, request.request_id, "sender_id.requested", ("sender_id", row.id), after=body)
        await write_audit(tx, audit)
        return Created(row.id, body)

    return await create_once(deps.pipeline, request, caller, "sender_id", create)


async def list_senders(deps: Deps, request: Request, caller: Caller) -> Response:
    """The account's sender IDs with what became of them."""
    query = read_query(request, schemas.SenderQuery)
    pager = Pager("sender-ids", caller.account_id, query)
    before = pager.after(UUID)
    async with deps.tenant.of(caller) as tx:
        rows = await store.list_senders(tx, caller.account_id, before, query.status, pager.fetch)
    return json_response(pager.page(rows, schemas.Sender.model_validate, lambda row: row.id))


OPERATIONS = (
    Operation(
        "GET", "/v1/me", me, "Who is calling", "Account", scope="account:read", answers={200: schemas.Me}
    ),
    Operation(
        "POST",
        "/v1/api-keys",
        create_key,
        "Create an API key",
        "Account",
        roles=MANAGERS,
        creates=True,
        body=schemas.CreateKey,
        answers={201: schemas.NewKey},
        problems={409: "`too_many_keys`"},
    ),
    Operation(
        "GET",
        "/v1/api-keys",
        list_keys,
        "List API keys",
        "Account",
        roles=MANAGERS,
        query=PageQuery,
        answers={200: schemas.KeyList},
    ),
    Operation(
        "PATCH",
        "/v1/api-keys/{id}",
        change_key,
        "Change an API key's name and bounds",
        "Account",
        roles=MANAGERS,
        body=schemas.ChangeKey,
        answers={200: schemas.Key},
        problems={409: "`key_not_live`"},
    ),
    Operation(
        "POST",
        "/v1/api-keys/{id}/rotate",
        rotate_key,
        "Replace an API key",
        "Account",
        roles=MANAGERS,
        creates=True,
        body=schemas.RotateKey,
        answers={201: schemas.NewKey},
        problems={409: "`key_not_live`, `too_many_keys`"},
        description="Two keys work until the old one ends, so that clients can change without a gap.",
    ),
    Operation(
        "DELETE",
        "/v1/api-keys/{id}",
        revoke_key,
        "Revoke an API key",
        "Account",
        roles=MANAGERS,
        answers={204: None},
    ),
    Operation(
        "POST",
        "/v1/sender-ids",
        request_sender,
        "Request a sender ID",
        "Account",
        scope="sender_ids:write",
        roles=WRITERS,
        creates=True,
        body=schemas.RequestSender,
        answers={201: schemas.Sender},
        problems={409: "`sender_id_exists`"},
    ),
    Operation(
        "GET",
        "/v1/sender-ids",
        list_senders,
        "List sender IDs",
        "Account",
        scope="account:read",
        query=schemas.SenderQuery,
        answers={200: schemas.SenderList},
    ),
)
