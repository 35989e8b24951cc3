"""/v1/webhooks/{id}/deliveries and /v1/webhook-deliveries: what was delivered, how, and once more."""

from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

from starlette.responses import Response

from sema_common.platform.db import Tx
from sema_common.platform.telemetry import traceparent
from sema_common.values.ids import new_id
from sema_common.wire.webhook import Redeliver
from sema_main_api.http.bodies import read_query
from sema_main_api.http.callers import Caller
from sema_main_api.http.paging import Pager
from sema_main_api.http.problems import not_found
from sema_main_api.http.requests import Request
from sema_main_api.http.responses import json_response
from sema_main_api.http.routing import WRITERS, Operation
from sema_main_api.http.schemas import Reference
from sema_main_api.webhooks import schemas, store
from sema_main_api.webhooks.endpoints import QUEUE, Deps

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


async def list_all(deps: Deps, request: Request, caller: Caller) -> Response:
    """Deliveries to one endpoint, newest first."""
    query = read_query(request, schemas.DeliveryQuery)
    endpoint_id = request.path_id()
    pager = Pager(f"deliveries:{endpoint_id}", caller.account_id, query)
    before = pager.after(_position)
    async with deps.tenant.of(caller) as tx:
        if await store.read_endpoint(tx, endpoint_id, caller.account_id) is None:
            raise not_found()
        rows = await store.list_deliveries(
            tx, caller.account_id, endpoint_id, query.status, before, pager.fetch
        )
    return json_response(
        pager.page(
            rows,
            schemas.Delivery.model_validate,
            lambda row: f"{(row.created_at - _EPOCH) // _MICROSECOND}:{row.id}",
        )
    )


async def read(deps: Deps, request: Request, caller: Caller) -> Response:
    """One delivery with every attempt."""
    async with deps.tenant.of(caller) as tx:
        row = await _existing(tx, request.path_id(), caller)
        payload = await store.read_payload(tx, row.id, caller.account_id)
        attempts = await store.list_attempts(tx, row.id)
    shown = schemas.Delivery.model_validate(row).model_dump()
    history = [schemas.Attempt.model_validate(attempt) for attempt in attempts]
    return json_response(schemas.DeliveryDetail(**shown, payload=payload, history=history))


async def redeliver(deps: Deps, request: Request, caller: Caller) -> Response:
    """202: it will be tried again, whatever became of it."""
    async with deps.tenant.of(caller) as tx:
        row = await _existing(tx, request.path_id(), caller)
    wanted = Redeliver(delivery_id=row.id, account_id=caller.account_id)
    await deps.bus.publish(QUEUE, wanted, event_id=new_id(), traceparent=traceparent())
    return json_response(Reference(id=row.id), 202)


async def _existing(tx: Tx, delivery_id: UUID, caller: Caller) -> store.DeliveryRow:
    row = await store.read_delivery(tx, delivery_id, caller.account_id)
    if row is None:
        raise not_found()
    return row


def _position(text: str) -> tuple[datetime, UUID]:
    """Where a page ended: microseconds since 1970 and an id; ValueError for anything else."""
    microseconds, _, delivery_id = text.partition(":")
    try:
        return _EPOCH + int(microseconds) * _MICROSECOND, UUID(delivery_id)
    except OverflowError:
        raise ValueError("no such moment") from None


_TAG: Final = "Webhooks"

OPERATIONS = (
    Operation(
        "GET", "/v1/webhooks/{id}/deliveries", list_all, "List a webhook's deliveries", _TAG,
        scope="webhooks:read", query=schemas.DeliveryQuery, answers={200: schemas.DeliveryList},
    ),
    Operation(
        "GET", "/v1/webhook-deliveries/{id}", read, "Read a delivery and its attempts", _TAG,
        scope="webhooks:read", answers={200: schemas.DeliveryDetail},
    ),
    Operation(
        "POST", "/v1/webhook-deliveries/{id}/redeliver", redeliver, "Deliver once more", _TAG,
        scope="webhooks:write", roles=WRITERS, answers={202: Reference},
    ),
)  # fmt: skip
