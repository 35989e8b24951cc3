"""/v1/agent/commissions and /v1/agent/messages."""

from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

from starlette.responses import Response

from sema_common.messages.store.rows import MessageRow
from sema_common.values.clock import now
from sema_common.values.ids import event_id, first_id, id_time, parse_message_id
from sema_main_api.agents import rules, schemas, store
from sema_main_api.agents.endpoints.deps import Deps, money
from sema_main_api.http.bodies import read_query
from sema_main_api.http.callers import Caller
from sema_main_api.http.paging import Pager
from sema_main_api.http.problems import not_found
from sema_main_api.http.requests import Request
from sema_main_api.http.responses import json_response

FAR_PAST: Final = datetime(2000, 1, 1, tzinfo=UTC)
LAST_ID: Final = UUID(int=2**128 - 1)


async def commissions(deps: Deps, request: Request, caller: Caller) -> Response:
    """A month by customer: usage, retail, wholesale, margin, commission; and what was paid for it."""
    rules.require_agent(caller)
    month = rules.month_of(read_query(request, schemas.CommissionQuery).month, now())
    async with deps.tenant.of(caller) as tx:
        rows = await store.month(tx, caller.account_id, month)
        reference = event_id("commission", caller.account_id, month)
        rate, paid = await store.commission(tx, caller.account_id, reference)
    total = store.MonthRow(
        caller.account_id,
        "",
        sum(row.messages for row in rows),
        sum(row.segments for row in rows),
        sum((row.retail for row in rows), rules.NOTHING),
        sum((row.wholesale for row in rows), rules.NOTHING),
        sum((row.commission for row in rows), rules.NOTHING),
    )
    return json_response(
        schemas.Commissions(
            month=f"{month:%Y-%m}",
            commission_rate=f"{rate:.4f}",
            total=schemas.SoldObject(**_sold(total, caller.currency)),
            paid=None if paid is None else money(paid["amount"], caller.currency),
            paid_at=None if paid is None else paid["created_at"],
            data=[
                schemas.CustomerSold(
                    customer_id=row.customer_id, name=row.name, **_sold(row, caller.currency)
                )
                for row in rows
            ],
        )
    )


def _sold(row: store.MonthRow, currency: str) -> dict[str, Any]:
    return {
        "messages": row.messages,
        "segments": row.segments,
        "retail": money(row.retail, currency),
        "wholesale": money(row.wholesale, currency),
        "margin": money(row.retail - row.wholesale, currency),
        "commission": money(row.commission, currency),
    }


async def messages(deps: Deps, request: Request, caller: Caller) -> Response:
    """The customers' charged messages, newest first; tests cost nothing and are not among them."""
    rules.require_agent(caller)
    query = read_query(request, schemas.SoldQuery)
    pager = Pager("agent-messages", caller.account_id, query)
    last = pager.after(parse_message_id)
    before = last or (first_id(query.created_before) if query.created_before else LAST_ID)
    since = first_id(query.created_after or FAR_PAST)
    async with deps.tenant.of(caller) as tx:
        customer_id = query.customer_id
        if customer_id and await store.customer(tx, customer_id, caller.account_id) is None:
            raise not_found()
        sales = await store.sold(tx, caller.account_id, before, since, pager.fetch, customer_id)
        ids = [sale.message_id for sale in sales]
        kept = await store.messages(tx, ids, [id_time(message_id) for message_id in ids])

    def show(sale: store.SoldRow) -> dict[str, Any]:
        shown = _shown(sale, kept.get(sale.message_id), caller.currency)
        return shown.model_dump(mode="json", by_alias=True)

    return json_response(pager.page(sales, show, lambda sale: sale.message_id))


def _shown(sale: store.SoldRow, message: MessageRow | None, currency: str) -> schemas.SoldMessage:
    return schemas.SoldMessage.model_validate(
        {
            "id": sale.message_id,
            "customer_id": sale.customer_id,
            "status": message.status if message else None,
            "to": message.to if message else None,
            "from": message.sender if message else None,
            "country": message.country if message else None,
            "mno": message.mno if message else None,
            "segments": sale.segments,
            "retail": money(sale.retail, currency),
            "wholesale": money(sale.wholesale, currency),
            "margin": money(sale.retail - sale.wholesale, currency),
            "commission": money(sale.commission, currency),
            "refunded": sale.refunded,
            "created_at": id_time(sale.message_id),
        }
    )
