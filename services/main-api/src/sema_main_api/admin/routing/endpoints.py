"""/v1/admin/routing: the routes, their switches and health; accounts' rules; the way that a message took."""

import time
from dataclasses import asdict, dataclass, replace
from uuid import UUID

from starlette.responses import Response

from sema_common.platform.cache import Cache
from sema_common.platform.db import Database, Tx
from sema_common.values.errors import FieldError
from sema_common.values.ids import id_time, parse_message_id
from sema_main_api.admin.routing import clients, rules, schemas, store
from sema_main_api.http.bodies import invalid, read_body, read_query
from sema_main_api.http.callers import Staff
from sema_main_api.http.paging import Pager
from sema_main_api.http.problems import not_found
from sema_main_api.http.requests import Request
from sema_main_api.http.responses import json_response, no_content
from sema_main_api.http.routing import STAFF, STAFF_ADMINS, Operation
from sema_main_api.http.store import Audit, write_audit


@dataclass(frozen=True, slots=True)
class Deps:
    pipeline: Database
    cache: Cache


async def show(deps: Deps, _: Request, staff: Staff) -> Response:
    """The routes in their order, each with its switch, its state and its window."""
    health = await clients.read_health(deps.cache)
    async with deps.pipeline.transaction() as tx:
        rows = await store.read_routes(tx)
        accounts = await store.count_rules(tx)
    now = time.time()
    routes = [asdict(row) | rules.shown(health, row.aggregator, now) for row in rows]
    answer = {"failover": rules.failover(routes), "accounts_with_rules": accounts, "data": routes}
    return json_response(schemas.Routing.model_validate(answer))


async def change(deps: Deps, request: Request, staff: Staff) -> Response:
    """Workers see it within two seconds. What is under way at that moment is finished."""
    wanted = await read_body(request, schemas.ChangeRoute)
    changes = wanted.model_dump(exclude={"reason"}, exclude_unset=True)
    if nulls := [name for name in ("enabled", "rank", "unserved") if changes.get(name, 0) is None]:
        raise invalid([FieldError(name, "required", "This cannot be null.") for name in nulls])
    health = await clients.read_health(deps.cache)
    async with deps.pipeline.transaction() as tx:
        before = await store.lock_route(tx, request.path_params["aggregator"])
        if before is None:
            raise not_found()
        after = await store.change_route(tx, replace(before, **changes))
        audit = Audit.by_staff(
            staff,
            request.request_id,
            "route.changed",
            ("route", after.aggregator),
            before=before.audited,
            after=after.audited,
            reason=wanted.reason,
        )
        await write_audit(tx, audit)
    shown = asdict(after) | rules.shown(health, after.aggregator, time.time())
    return json_response(schemas.Route.model_validate(shown))


async def list_rules(deps: Deps, request: Request, staff: Staff) -> Response:
    """Accounts that do not go by the common order."""
    query = read_query(request, schemas.AccountRouteQuery)
    pager = Pager("account-routes", staff.user_id, query)
    before = pager.after(UUID)
    async with deps.pipeline.transaction() as tx:
        rows = await store.list_rules(tx, before, query.aggregator, pager.fetch)
    return json_response(pager.page(rows, schemas.AccountRoute.model_validate, lambda row: row.account_id))


async def read_rule(deps: Deps, request: Request, staff: Staff) -> Response:
    """404 for an account without a rule of its own."""
    async with deps.pipeline.transaction() as tx:
        row = await store.read_rule(tx, request.path_id("account_id"))
    if row is None:
        raise not_found()
    return json_response(schemas.AccountRoute.model_validate(row))


async def put_rule(deps: Deps, request: Request, staff: Staff) -> Response:
    """Set an account's rule, whatever it was before."""
    account_id = request.path_id("account_id")
    wanted = await read_body(request, schemas.PutAccountRoute)
    async with deps.pipeline.transaction() as tx:
        tenant_id = await store.lock_account(tx, account_id)
        if tenant_id is None:
            raise not_found()
        known = {route.aggregator for route in await store.read_routes(tx)}
        _check_known(wanted, known)
        before = await store.read_rule(tx, account_id)
        off = sorted(set(wanted.switched_off))
        await store.put_rule(tx, account_id, tenant_id, wanted.aggregator, wanted.mode, off)
        after = await store.read_rule(tx, account_id)
        assert after is not None
        await _audit(tx, staff, request, "account_route.set", account_id, before, after, wanted.reason)
    return json_response(schemas.AccountRoute.model_validate(after))


async def remove_rule(deps: Deps, request: Request, staff: Staff) -> Response:
    """The account goes by the common order again."""
    account_id = request.path_id("account_id")
    query = read_query(request, schemas.RemoveQuery)
    async with deps.pipeline.transaction() as tx:
        await store.lock_account(tx, account_id)
        before = await store.read_rule(tx, account_id)
        if before is None:
            raise not_found()
        await store.remove_rule(tx, account_id)
        await _audit(tx, staff, request, "account_route.removed", account_id, before, None, query.reason)
    return no_content()


async def show_way(deps: Deps, request: Request, staff: Staff) -> Response:
    """Every choice that was made for a message: which route, why, what was passed over."""
    try:
        message_id = parse_message_id(request.path_params["id"])
    except ValueError:
        raise not_found() from None
    async with deps.pipeline.transaction() as tx:
        found = await store.read_way(tx, message_id, id_time(message_id))
    if found is None:
        raise not_found()
    account_id, rows = found
    steps = []
    for row in rows:
        detail = row["detail"] or {}
        choice = detail.get("route") or {}
        steps.append(
            {
                "status": row["status"],
                "occurred_at": row["occurred_at"],
                "attempt": detail.get("attempt"),
                "aggregator": detail.get("aggregator"),
                "code": detail.get("code"),
                "reason": choice.get("reason"),
                "passed_over": choice.get("passed_over", []),
            }
        )
    way = {"message_id": message_id, "account_id": account_id, "data": steps}
    return json_response(schemas.MessageRoute.model_validate(way))


def _check_known(wanted: schemas.PutAccountRoute, known: set[str]) -> None:
    detail = f"There are: {', '.join(sorted(known))}."
    wrong = [FieldError("aggregator", "unknown_aggregator", detail)] if wanted.aggregator else []
    wrong = [] if wanted.aggregator in known else wrong
    wrong += [
        FieldError(f"switched_off.{i}", "unknown_aggregator", detail)
        for i, name in enumerate(wanted.switched_off)
        if name not in known
    ]
    if wrong:
        raise invalid(wrong)


async def _audit(
    tx: Tx,
    staff: Staff,
    request: Request,
    action: str,
    account_id: UUID,
    before: store.AccountRouteRow | None,
    after: store.AccountRouteRow | None,
    reason: str | None,
) -> None:
    audit = Audit.by_staff(
        staff,
        request.request_id,
        action,
        ("account_route", account_id),
        account_id=account_id,
        before=before.audited if before else None,
        after=after.audited if after else None,
        reason=reason,
    )
    await write_audit(tx, audit)


ACCOUNT = "/v1/admin/routing/accounts/{account_id}"

OPERATIONS = (
    Operation(
        "GET",
        "/v1/admin/routing",
        show,
        "Show the routes",
        "Staff",
        staff=STAFF,
        answers={200: schemas.Routing},
    ),
    Operation(
        "PATCH",
        "/v1/admin/routing/aggregators/{aggregator}",
        change,
        "Switch or change a route",
        "Staff",
        staff=STAFF_ADMINS,
        body=schemas.ChangeRoute,
        answers={200: schemas.Route},
    ),
    Operation(
        "GET",
        "/v1/admin/routing/accounts",
        list_rules,
        "List accounts' own routes",
        "Staff",
        staff=STAFF,
        query=schemas.AccountRouteQuery,
        answers={200: schemas.AccountRouteList},
    ),
    Operation(
        "GET",
        ACCOUNT,
        read_rule,
        "Show an account's own route",
        "Staff",
        staff=STAFF,
        answers={200: schemas.AccountRoute},
    ),
    Operation(
        "PUT",
        ACCOUNT,
        put_rule,
        "Prefer or force an aggregator for an account, or switch one off",
        "Staff",
        staff=STAFF_ADMINS,
        body=schemas.PutAccountRoute,
        answers={200: schemas.AccountRoute},
    ),
    Operation(
        "DELETE",
        ACCOUNT,
        remove_rule,
        "Remove an account's own route",
        "Staff",
        staff=STAFF_ADMINS,
        query=schemas.RemoveQuery,
        answers={204: None},
    ),
    Operation(
        "GET",
        "/v1/admin/routing/messages/{id}",
        show_way,
        "Show the way that a message took",
        "Staff",
        staff=STAFF,
        answers={200: schemas.MessageRoute},
    ),
)
