"""/v1/agent/customers."""

from typing import Any
from uuid import UUID

from starlette.responses import Response

from sema_common.billing import agents
from sema_common.platform.db import Tx
from sema_common.values.errors import Refused
from sema_main_api.agents import rules, schemas, store
from sema_main_api.agents.endpoints.deps import Deps, amount_of, money
from sema_main_api.http.bodies import read_body, read_query
from sema_main_api.http.callers import Caller
from sema_main_api.http.idempotency import Created, create_once
from sema_main_api.http.paging import Pager
from sema_main_api.http.problems import not_found
from sema_main_api.http.requests import Request
from sema_main_api.http.responses import json_response
from sema_main_api.http.store import Audit, write_audit


async def create(deps: Deps, request: Request, caller: Caller) -> Response:
    """201 with the customer; its owner gets an invitation, in the agent's name."""
    rules.require_agent(caller)
    caller.require_active()
    wanted = await read_body(request, schemas.CreateCustomer)
    limit = amount_of("monthly_limit", wanted.monthly_limit, caller) if wanted.monthly_limit else None

    async def make(tx: Tx) -> Created:
        customer_id = await deps.open_customer(tx, wanted.name, caller.account_id)
        await agents.set_limit(tx, customer_id, limit)
        if wanted.email is not None:
            brand = await store.branding(tx, caller.account_id)
            await deps.invite_owner(
                tx, customer_id, caller.tenant_id, wanted.email, brand.name if brand else "Sema Link"
            )
        row = await store.customer(tx, customer_id, caller.account_id)
        assert row is not None
        body = _object(row)
        await write_audit(tx, _audit(caller, request, "customer.created", customer_id, None, body))
        return Created(customer_id, body)

    return await create_once(deps.pipeline, request, caller, "customer", make)


async def list_all(deps: Deps, request: Request, caller: Caller) -> Response:
    """The agent's customers, the youngest first."""
    rules.require_agent(caller)
    query = read_query(request, schemas.CustomerQuery)
    pager = Pager("agent-customers", caller.account_id, query)
    before = pager.after(UUID)
    async with deps.tenant.of(caller) as tx:
        rows = await store.customers(tx, caller.account_id, before, query.status, pager.fetch)
    return json_response(pager.page(rows, _shown, lambda row: row.id))


async def read(deps: Deps, request: Request, caller: Caller) -> Response:
    """One customer; 404 for anybody else's."""
    rules.require_his(caller)
    async with deps.tenant.of(caller) as tx:
        row = await store.customer(tx, request.path_id(), caller.account_id)
    if row is None:
        raise not_found()
    return json_response(_shown(row))


async def change(deps: Deps, request: Request, caller: Caller) -> Response:
    """Name and limit; a limit holds from the next message on, and what campaigns have reserved counts."""
    rules.require_his(caller)
    wanted = await read_body(request, schemas.ChangeCustomer)
    customer_id = request.path_id()
    async with deps.pipeline.transaction() as tx:
        before = await _locked(tx, customer_id, caller)
        limit = before.monthly_limit
        if "monthly_limit" in wanted.model_fields_set:
            limit = amount_of("monthly_limit", wanted.monthly_limit, caller) if wanted.monthly_limit else None
        await store.rename(tx, customer_id, wanted.name or before.name)
        await agents.set_limit(tx, customer_id, limit)
        after = await _changed(tx, request, caller, "customer.changed", before)
    return json_response(_shown(after))


async def suspend(deps: Deps, request: Request, caller: Caller) -> Response:
    """The customer reads on and sends nothing, here at once and everywhere within seconds."""
    return await _move(deps, request, caller, suspended=True)


async def resume(deps: Deps, request: Request, caller: Caller) -> Response:
    """The customer sends again; 409 when it was us who suspended it."""
    return await _move(deps, request, caller, suspended=False)


async def _move(deps: Deps, request: Request, caller: Caller, *, suspended: bool) -> Response:
    rules.require_his(caller)
    customer_id = request.path_id()
    async with deps.pipeline.transaction() as tx:
        before = await _locked(tx, customer_id, caller)
        if before.status == ("suspended" if suspended else "active"):
            raise Refused(f"already_{before.status}", f"This customer is {before.status} already.", 409)
        if not suspended and before.suspended_by != "agent":
            raise Refused("suspended_by_staff", "Sema Link has suspended this customer: ask us.", 409)
        await store.suspend(tx, customer_id, suspended)
        action = "customer.suspended" if suspended else "customer.resumed"
        after = await _changed(tx, request, caller, action, before)
    deps.authenticator.forget(customer_id)
    return json_response(_shown(after))


async def _locked(tx: Tx, customer_id: UUID, caller: Caller) -> store.CustomerRow:
    row = await store.lock_customer(tx, customer_id, caller.account_id)
    if row is None:
        raise not_found()
    return row


async def _changed(
    tx: Tx, request: Request, caller: Caller, action: str, before: store.CustomerRow
) -> store.CustomerRow:
    """The customer as it is now, once its change stands in the audit log."""
    after = await store.customer(tx, before.id, caller.account_id)
    assert after is not None
    await write_audit(tx, _audit(caller, request, action, before.id, _object(before), _object(after)))
    return after


def _audit(
    caller: Caller,
    request: Request,
    action: str,
    customer_id: UUID,
    before: dict[str, Any] | None,
    after: dict[str, Any],
) -> Audit:
    return Audit.by(caller, request.request_id, action, ("account", customer_id), before=before, after=after)


def _shown(row: store.CustomerRow) -> schemas.Customer:
    return schemas.Customer(
        id=row.id,
        name=row.name,
        status=row.status,  # type: ignore[arg-type]  # the column has no other
        suspended_by=row.suspended_by,  # type: ignore[arg-type]
        monthly_limit=None if row.monthly_limit is None else money(row.monthly_limit, row.currency),
        spent_this_month=money(row.spent, row.currency),
        created_at=row.created_at,
    )


def _object(row: store.CustomerRow) -> dict[str, Any]:
    return _shown(row).model_dump(mode="json")
