"""/v1/webhooks."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final
from uuid import UUID

from starlette.responses import Response

from sema_common.platform.bus import Bus
from sema_common.platform.db import Database, Tx
from sema_common.platform.secrets import SecretBox
from sema_common.platform.telemetry import traceparent
from sema_common.values.clock import now
from sema_common.values.errors import FieldError, Refused
from sema_common.values.ids import new_id, webhook_secret
from sema_common.values.public_url import UnsafeUrl, check_public_url
from sema_common.wire.webhook import Fact, Facts
from sema_main_api.http.bodies import invalid, read_body, read_query
from sema_main_api.http.callers import Caller
from sema_main_api.http.idempotency import Created, create_once
from sema_main_api.http.paging import PageQuery, Pager
from sema_main_api.http.problems import not_found
from sema_main_api.http.requests import Request
from sema_main_api.http.responses import json_response, no_content
from sema_main_api.http.routing import OWNERS, WRITERS, Operation
from sema_main_api.http.store import Audit, write_audit
from sema_main_api.http.tenants import TenantReads
from sema_main_api.webhooks import schemas, store

QUEUE: Final = "webhooks.outbound"
TEST_EVENT: Final = "webhook.test"
MAX_ENDPOINTS: Final = 20
OLD_SECRET_LIVES: Final = timedelta(hours=24)
DISABLED_BY_CUSTOMER: Final = "disabled by its owner"


@dataclass(frozen=True, slots=True)
class Deps:
    """`allow_loopback`: on a developer's machine webhooks may stay on it."""

    tenant: TenantReads
    pipeline: Database
    bus: Bus
    box: SecretBox
    allow_loopback: bool


async def create(deps: Deps, request: Request, caller: Caller) -> Response:
    """201 with the secret, this once."""
    wanted = await read_body(request, schemas.CreateWebhook)
    _check_url(wanted.url, deps.allow_loopback)

    async def insert(tx: Tx) -> Created:
        if await store.count_endpoints(tx, caller.account_id) >= MAX_ENDPOINTS:
            raise Refused("too_many_webhooks", f"An account has at most {MAX_ENDPOINTS} webhooks.", 409)
        secret = webhook_secret()
        row = await store.insert_endpoint(
            tx,
            new_id(),
            caller.tenant_id,
            caller.account_id,
            wanted.url,
            _distinct(wanted.events),
            deps.box.seal(secret),
        )
        body = schemas.Webhook.model_validate(row).model_dump(mode="json")
        audit = Audit.by(caller, request.request_id, "webhook.created", ("webhook", row.id), after=body)
        await write_audit(tx, audit)
        return Created(row.id, body, secret={"secret": secret})

    return await create_once(deps.pipeline, request, caller, "webhook", insert)


async def list_all(deps: Deps, request: Request, caller: Caller) -> Response:
    """The account's endpoints."""
    pager = Pager("webhooks", caller.account_id, read_query(request, PageQuery))
    before = pager.after(UUID)
    async with deps.tenant.of(caller) as tx:
        rows = await store.list_endpoints(tx, caller.account_id, before, pager.fetch)
    return json_response(pager.page(rows, schemas.Webhook.model_validate, lambda row: row.id))


async def read(deps: Deps, request: Request, caller: Caller) -> Response:
    """One endpoint, with why it is disabled if it is."""
    async with deps.tenant.of(caller) as tx:
        row = await store.read_endpoint(tx, request.path_id(), caller.account_id)
    if row is None:
        raise not_found()
    return json_response(schemas.Webhook.model_validate(row))


async def change(deps: Deps, request: Request, caller: Caller) -> Response:
    """200 with the endpoint as it is now."""
    wanted = await read_body(request, schemas.ChangeWebhook)
    if wanted.url is not None:
        _check_url(wanted.url, deps.allow_loopback)
    async with deps.pipeline.transaction() as tx:
        row = await store.lock_endpoint(tx, request.path_id(), caller.account_id)
        if row is None:
            raise not_found()
        disabled_at, reason = row.disabled_at, row.disabled_reason
        if wanted.enabled:
            disabled_at = reason = None
        elif wanted.enabled is False and row.enabled:
            disabled_at, reason = now(), DISABLED_BY_CUSTOMER
        changed = await store.change_endpoint(
            tx,
            row.id,
            wanted.url or row.url,
            _distinct(wanted.events) if wanted.events else row.events,
            disabled_at,
            reason,
            revived=wanted.enabled is True,
        )
        before = schemas.Webhook.model_validate(row).model_dump(mode="json")
        after = schemas.Webhook.model_validate(changed).model_dump(mode="json")
        audit = Audit.by(
            caller, request.request_id, "webhook.changed", ("webhook", row.id), before=before, after=after
        )
        await write_audit(tx, audit)
    return json_response(after)


async def delete(deps: Deps, request: Request, caller: Caller) -> Response:
    """204; nothing more is sent there."""
    endpoint_id = request.path_id()
    async with deps.pipeline.transaction() as tx:
        if not await store.delete_endpoint(tx, endpoint_id, caller.account_id):
            raise not_found()
        await write_audit(
            tx, Audit.by(caller, request.request_id, "webhook.deleted", ("webhook", endpoint_id))
        )
    return no_content()


async def rotate_secret(deps: Deps, request: Request, caller: Caller) -> Response:
    """200 with the new secret, this once; the old one signs as well for a day."""
    endpoint_id = request.path_id()
    secret = webhook_secret()
    until = now() + OLD_SECRET_LIVES
    async with deps.pipeline.transaction() as tx:
        if not await store.rotate_secret(tx, endpoint_id, caller.account_id, deps.box.seal(secret), until):
            raise not_found()
        audit = Audit.by(caller, request.request_id, "webhook.secret_rotated", ("webhook", endpoint_id))
        await write_audit(tx, audit)
    return json_response(schemas.RotatedSecret(id=endpoint_id, secret=secret, old_secret_until=until))


async def test(deps: Deps, request: Request, caller: Caller) -> Response:
    """202: a `webhook.test` event is on its way to this endpoint, whatever it subscribed to."""
    async with deps.tenant.of(caller) as tx:
        row = await store.read_endpoint(tx, request.path_id(), caller.account_id)
    if row is None:
        raise not_found()
    if not row.enabled:
        raise Refused("webhook_disabled", "This webhook is disabled: enable it first.", 409)
    moment = now()
    fact = Fact(
        event_id=new_id(moment),
        type=TEST_EVENT,
        account_id=caller.account_id,
        occurred_at=moment,
        data={"webhook_id": str(row.id), "note": "This is a test. Nothing happened."},
        endpoint_id=row.id,
        traceparent=traceparent(),
    )
    await deps.bus.publish(QUEUE, Facts(facts=(fact,)), event_id=fact.event_id)
    return json_response(schemas.TestSent(event_id=fact.event_id), 202)


async def default_secret(deps: Deps, request: Request, caller: Caller) -> Response:
    """The secret that signs what goes to a message's own callback_url. Looking at it is written down."""
    async with deps.pipeline.transaction() as tx:
        sealed = await store.read_default_secret(tx, caller.account_id)
        if sealed is None:
            raise not_found()
        audit = Audit.by(caller, request.request_id, "default_secret.read", ("account", caller.account_id))
        await write_audit(tx, audit)
    return json_response(schemas.DefaultSecret(secret=deps.box.open(sealed)))


def _check_url(url: str, allow_loopback: bool) -> None:
    try:
        check_public_url(url, allow_loopback)
    except UnsafeUrl as exc:
        raise invalid([FieldError("url", "invalid_url", exc.reason)]) from None


def _distinct(events: list[schemas.Event]) -> list[str]:
    return sorted(set(events))


_TAG: Final = "Webhooks"

OPERATIONS = (
    Operation(
        "POST", "/v1/webhooks", create, "Create a webhook", _TAG,
        scope="webhooks:write", roles=WRITERS, creates=True, body=schemas.CreateWebhook,
        answers={201: schemas.NewWebhook}, problems={409: "`too_many_webhooks`"},
    ),
    Operation(
        "GET", "/v1/webhooks", list_all, "List webhooks", _TAG,
        scope="webhooks:read", query=PageQuery, answers={200: schemas.WebhookList},
    ),
    Operation(
        "GET", "/v1/webhooks/default-secret", default_secret, "The secret for callback_url", _TAG,
        roles=OWNERS, answers={200: schemas.DefaultSecret},
    ),
    Operation(
        "GET", "/v1/webhooks/{id}", read, "Read a webhook", _TAG,
        scope="webhooks:read", answers={200: schemas.Webhook},
    ),
    Operation(
        "PATCH", "/v1/webhooks/{id}", change, "Change a webhook", _TAG,
        scope="webhooks:write", roles=WRITERS, body=schemas.ChangeWebhook, answers={200: schemas.Webhook},
    ),
    Operation(
        "DELETE", "/v1/webhooks/{id}", delete, "Delete a webhook", _TAG,
        scope="webhooks:write", roles=WRITERS, answers={204: None},
    ),
    Operation(
        "POST", "/v1/webhooks/{id}/rotate-secret", rotate_secret, "Rotate a webhook's secret", _TAG,
        scope="webhooks:write", roles=WRITERS, answers={200: schemas.RotatedSecret},
    ),
    Operation(
        "POST", "/v1/webhooks/{id}/test", test, "Send a test event", _TAG,
        scope="webhooks:write", roles=WRITERS, answers={202: schemas.TestSent},
        problems={409: "`webhook_disabled`"},
    ),
)  # fmt: skip
