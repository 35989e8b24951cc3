"""GET /v1/campaigns, one campaign and its recipients: read behind the tenant's wall."""

from typing import Any
from uuid import UUID

from starlette.responses import Response

from sema_common.messages.campaigns import CampaignRow, campaign_object
from sema_common.messages.store.campaigns import count_by_status
from sema_common.platform.db import Tx
from sema_main_api.campaigns import rules, schemas, submitting
from sema_main_api.campaigns.endpoints.deps import Deps
from sema_main_api.campaigns.store import campaigns, recipients
from sema_main_api.http.bodies import read_query
from sema_main_api.http.callers import Caller
from sema_main_api.http.paging import Pager
from sema_main_api.http.problems import not_found
from sema_main_api.http.requests import Request
from sema_main_api.http.responses import json_response


async def show(tx: Tx, row: CampaignRow) -> dict[str, Any]:
    """The campaign's object; its messages are counted while they still move."""
    totals = row.totals
    if totals is None and row.started_at is not None:
        totals = (await count_by_status(tx, [row.id], row.created_at))[row.id]
    return campaign_object(row, totals or {})


async def list_all(deps: Deps, request: Request, caller: Caller) -> Response:
    """The account's campaigns, newest first, from their rows alone: no message is counted for a list."""
    query = read_query(request, schemas.CampaignQuery)
    pager = Pager("campaigns", caller.account_id, query)
    before = pager.after(UUID)
    async with deps.tenant.of(caller) as tx:
        rows = await campaigns.page(tx, caller.account_id, before, query.status, pager.fetch)
    return json_response(
        pager.page(
            rows, lambda row: campaign_object(row, row.totals or rules.uncounted(row)), lambda row: row.id
        )
    )


async def read(deps: Deps, request: Request, caller: Caller) -> Response:
    """One campaign as it stands."""
    async with deps.tenant.of(caller) as tx:
        row = await campaigns.read(tx, request.path_id(), caller.account_id)
        if row is None:
            raise not_found()
        body = await show(tx, row)
    return json_response(body)


async def list_recipients(deps: Deps, request: Request, caller: Caller) -> Response:
    """Who receives it, in the order of expansion; until 30 days after its end."""
    query = read_query(request, schemas.RecipientQuery)
    pager = Pager("campaign-recipients", caller.account_id, query)
    after = pager.after(_position) or submitting.BEFORE_ALL
    async with deps.tenant.of(caller) as tx:
        row = await campaigns.read(tx, request.path_id(), caller.account_id)
        if row is None:
            raise not_found()
        rows = await recipients.recipients(
            tx, row.id, after, pager.fetch, missing=query.missing, refused=query.refused
        )
    fields = rules.template(row.message).fields

    def one(recipient: recipients.Recipient) -> dict[str, Any]:
        return {
            "phone": recipient.msisdn,
            "country": recipient.country,
            "mno": recipient.mno,
            "contact_id": str(recipient.contact_id),
            "missing": [name for name in fields if name not in (recipient.fields or {})],
            "refused": recipient.refused,
        }

    return json_response(pager.page(rows, one, lambda r: f"{r.country}:{r.seq}"))


def _position(text: str) -> tuple[str, int]:
    country, _, seq = text.partition(":")
    return country, int(seq)
