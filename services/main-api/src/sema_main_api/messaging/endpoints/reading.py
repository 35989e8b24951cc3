"""GET /v1/messages, one message and its events: read behind the tenant's wall."""

from datetime import UTC, datetime
from typing import Annotated, Final, Literal
from uuid import UUID

from pydantic import Field
from starlette.responses import Response

from sema_common.messages.store.rows import MessageRow
from sema_common.messages.view import of_row
from sema_common.values.clock import wire_time
from sema_common.values.ids import id_time, parse_message_id
from sema_main_api.http import bodies, problems
from sema_main_api.http.callers import Caller
from sema_main_api.http.paging import PageQuery, Pager
from sema_main_api.http.requests import Request
from sema_main_api.http.responses import json_response
from sema_main_api.http.schemas import Instant
from sema_main_api.messaging import store
from sema_main_api.messaging.endpoints.deps import Messaging
from sema_main_api.messaging.rules.history import shown

FAR_PAST: Final = datetime(2000, 1, 1, tzinfo=UTC)
FAR_FUTURE: Final = datetime(9999, 1, 1, tzinfo=UTC)
LAST_ID: Final = UUID(int=2**128 - 1)
METADATA: Final = "metadata."


class ListQuery(PageQuery):
    """Filters of the list; besides them `metadata.KEY=value` may be given for any key."""

    status: Literal["submitted", "queued", "sent", "delivered", "failed", "expired"] | None = None
    to: Annotated[str | None, Field(max_length=64, description="Recipient, E.164.")] = None
    sender: Annotated[str | None, Field(alias="from", max_length=64)] = None
    campaign_id: UUID | None = None
    created_after: Instant | None = None
    created_before: Instant | None = None
    metadata: Annotated[str | None, Field(exclude=False, description="Use metadata.KEY=value.")] = None


async def get_message(deps: Messaging, request: Request, caller: Caller) -> Response:
    """GET /v1/messages/{id}."""
    message_id = path_id(request)
    async with deps.tenant.of(caller) as tx:
        row = await store.message(tx, message_id, id_time(message_id), caller.account_id)
    if row is None:
        raise problems.not_found()
    return json_response(of_row(row))


async def get_events(deps: Messaging, request: Request, caller: Caller) -> Response:
    """GET /v1/messages/{id}/events: the whole journey, oldest first."""
    message_id = path_id(request)
    async with deps.tenant.of(caller) as tx:
        if await store.message(tx, message_id, id_time(message_id), caller.account_id) is None:
            raise problems.not_found()
        rows = await store.events(tx, message_id, id_time(message_id))
    data = [
        {
            "status": row["status"],
            "occurred_at": wire_time(row["occurred_at"]),
            "source": row["source"],
            "detail": shown(row["detail"]),
        }
        for row in rows
    ]
    return json_response({"data": data})


async def list_messages(deps: Messaging, request: Request, caller: Caller) -> Response:
    """GET /v1/messages with filters, newest first."""
    metadata, query = read_filters(request)
    pager = Pager("messages", caller.account_id, query)
    last = pager.after(parse_message_id)
    async with deps.tenant.of(caller) as tx:
        rows = await store.messages(
            tx,
            caller.account_id,
            before=(id_time(last), last) if last else (query.created_before or FAR_FUTURE, LAST_ID),
            since=query.created_after or FAR_PAST,
            status=query.status,
            to=query.to,
            sender=query.sender,
            campaign_id=query.campaign_id,
            metadata=metadata or None,
            limit=pager.fetch,
        )
    return json_response(pager.page(rows, of_row, message_id_of))


def message_id_of(row: MessageRow) -> UUID:
    """What a page of messages continues after."""
    return row.message_id


def path_id(request: Request) -> UUID:
    """The message id in the path, `msg_…` or bare; 404 for what cannot be one of ours."""
    try:
        return parse_message_id(request.path_params["id"])
    except ValueError:
        raise problems.not_found() from None


def read_filters(request: Request) -> tuple[dict[str, str], ListQuery]:
    """The filters; those by metadata are also folded into the query, so that a cursor is bound to them."""
    items = request.query_params.multi_items()
    metadata = {name[len(METADATA) :]: value for name, value in items if name.startswith(METADATA)}
    rest = {name: value for name, value in items if not name.startswith(METADATA)}
    query = bodies.parse_value(rest, ListQuery)
    return metadata, query.model_copy(
        update={"metadata": str(sorted(metadata.items())) if metadata else None}
    )
