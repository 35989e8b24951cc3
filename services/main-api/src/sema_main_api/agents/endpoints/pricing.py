"""/v1/agent/pricing and /v1/agent/customers/{id}/pricing: what the agent charges."""

from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from starlette.responses import Response

from sema_common.billing import agents
from sema_common.billing.prices import PriceList, RetailRow
from sema_common.billing.rates import end_retail, insert_retail, load_prices
from sema_common.platform.db import Tx
from sema_common.values.clock import now
from sema_common.values.errors import FieldError
from sema_common.values.ids import event_id
from sema_main_api.agents import rules, schemas, store
from sema_main_api.agents.endpoints.deps import Deps, amount_of, money
from sema_main_api.http.bodies import invalid, read_body
from sema_main_api.http.callers import Caller
from sema_main_api.http.idempotency import Created, create_once
from sema_main_api.http.problems import not_found
from sema_main_api.http.requests import Request
from sema_main_api.http.responses import json_response, no_content
from sema_main_api.http.store import Audit, write_audit

GRACE: Final = timedelta(minutes=1)
"""A moment that a client's clock calls now is now."""


async def list_rates(deps: Deps, request: Request, caller: Caller) -> Response:
    """The rates that hold now or will, each with what the agent pays."""
    _require_agent(request, caller)
    async with deps.tenant.of(caller) as tx:
        customer_id = await _customer(tx, request, caller)
        rates = await store.rates(tx, caller.account_id, customer_id, now())
        prices = await load_prices(tx)
    return json_response(schemas.AgentRates(data=[_shown(rate, prices) for rate in rates]))


async def create_rate(deps: Deps, request: Request, caller: Caller) -> Response:
    """201; what held for the same until then ends where this begins. 422 `below_cost` below what the agent pays."""
    _require_agent(request, caller)
    wanted = await read_body(request, schemas.CreateRate)
    price = amount_of("price", wanted.price, caller)
    at = now()
    if wanted.valid_from is not None and wanted.valid_from < at - GRACE:
        raise invalid([FieldError("valid_from", "out_of_range", "This time has passed.")])
    begins = max(wanted.valid_from or at, at)

    async def make(tx: Tx) -> Created:
        customer_id = await _customer(tx, request, caller)
        await agents.lock_commission(tx, caller.account_id)  # one change of an agent's rates at a time
        prices = await load_prices(tx)
        others = await store.rates(tx, caller.account_id, customer_id, begins)
        where = wanted.country, wanted.mno
        least = rules.below_cost(prices, caller.account_id, caller.currency, *where, others, begins)
        rules.too_cheap(least, price, caller.currency, wanted.country)
        rate = await insert_retail(
            tx, caller.account_id, customer_id, caller.tenant_id, where, caller.currency, price, begins
        )
        body = _shown(rate, prices).model_dump(mode="json")
        await write_audit(tx, _audit(caller, request, "rate.made", rate, body))
        return Created(event_id("rate", rate.id), body)

    return await create_once(deps.pipeline, request, caller, "rate", make)


async def end_rate(deps: Deps, request: Request, caller: Caller) -> Response:
    """204; the next rule decides: the rate for all customers, then the list price."""
    _require_agent(request, caller)
    rate_id = request.path_number("rate_id")
    async with deps.pipeline.transaction() as tx:
        customer_id = await _customer(tx, request, caller)
        rate = await end_retail(tx, rate_id, caller.account_id, customer_id, now())
        if rate is None:
            raise not_found()
        await write_audit(tx, _audit(caller, request, "rate.ended", rate, {"rate": str(rate_id)}))
    return no_content()


def _require_agent(request: Request, caller: Caller) -> None:
    if request.path_params:
        rules.require_his(caller)
    rules.require_agent(caller)


async def _customer(tx: Tx, request: Request, caller: Caller) -> UUID | None:
    """The customer in the path, None where the path is about all; 404 for anybody else's."""
    if "id" not in request.path_params:
        return None
    customer_id = request.path_id()
    if await store.customer(tx, customer_id, caller.account_id) is None:
        raise not_found()
    return customer_id


def _audit(caller: Caller, request: Request, action: str, rate: RetailRow, after: dict[str, Any]) -> Audit:
    subject = "account", rate.customer_id or rate.agent_id
    return Audit.by(caller, request.request_id, action, subject, after=after)


def _shown(rate: RetailRow, prices: PriceList) -> schemas.AgentRate:
    cost = prices.wholesale(rate.agent_id, rate.country, rate.mno, rate.currency, now())
    return schemas.AgentRate(
        id=str(rate.id),
        customer_id=rate.customer_id,
        country=rate.country,
        mno=rate.mno,
        price=money(rate.price, rate.currency),
        wholesale=None if cost is None else money(cost.per_segment, cost.currency),
        valid_from=rate.valid_from,
        valid_to=rate.valid_to,
    )
