"""/v1/admin/sender-rules and /v1/admin/protected-names: what is decided by."""

import re
from typing import Final

from starlette.responses import Response

from sema_common.values.errors import Refused
from sema_main_api.admin.senders import schemas, store
from sema_main_api.admin.senders.endpoints.deps import Deps, audit
from sema_main_api.http.bodies import read_body, read_query
from sema_main_api.http.callers import Staff
from sema_main_api.http.problems import not_found
from sema_main_api.http.requests import Request
from sema_main_api.http.responses import json_response, no_content

COUNTRY: Final = re.compile("[A-Z]{2}")


async def list_rules(deps: Deps, _: Request, __: Staff) -> Response:
    """All countries that have a rule."""
    async with deps.pipeline.transaction() as tx:
        rows = await store.list_rules(tx)
    return json_response(schemas.SenderRuleList.model_validate({"data": rows}))


async def put_rule(deps: Deps, request: Request, staff: Staff) -> Response:
    """Every process goes by it within five seconds; sender IDs keep the countries that they are registered in."""
    country = _country(request)
    wanted = await read_body(request, schemas.PutSenderRule)
    async with deps.pipeline.transaction() as tx:
        before = await store.lock_rule(tx, country)
        after = await store.put_rule(
            tx,
            country,
            wanted.needs_registration,
            wanted.allows_alphanumeric,
            wanted.allows_numeric,
            wanted.note,
        )
        subject = ("sender_rule", country)
        told = before.audited if before else None
        await audit(tx, staff, request, "sender_rule.set", subject, told, after.audited, reason=wanted.reason)
    return json_response(schemas.SenderRule.model_validate(after))


async def remove_rule(deps: Deps, request: Request, staff: Staff) -> Response:
    """The country takes any sender."""
    country = _country(request)
    query = read_query(request, schemas.RemoveQuery)
    async with deps.pipeline.transaction() as tx:
        before = await store.lock_rule(tx, country)
        if before is None:
            raise not_found()
        await store.remove_rule(tx, country)
        subject = ("sender_rule", country)
        await audit(
            tx, staff, request, "sender_rule.removed", subject, before.audited, None, reason=query.reason
        )
    return no_content()


async def list_names(deps: Deps, _: Request, __: Staff) -> Response:
    """All protected names, by the alphabet."""
    async with deps.pipeline.transaction() as tx:
        rows = await store.list_names(tx)
    return json_response(schemas.ProtectedNameList.model_validate({"data": rows}))


async def add_name(deps: Deps, request: Request, staff: Staff) -> Response:
    """201; from the next approval on. What was approved before stays."""
    wanted = await read_body(request, schemas.AddProtectedName)
    async with deps.pipeline.transaction() as tx:
        row = await store.add_name(tx, wanted.name, wanted.note)
        if row is None:
            raise Refused("name_exists", "This name is protected already.", 409)
        after = {"name": row.name, "note": row.note}
        await audit(tx, staff, request, "protected_name.added", ("protected_name", row.name), None, after)
    return json_response(schemas.ProtectedName.model_validate(row), 201)


async def remove_name(deps: Deps, request: Request, staff: Staff) -> Response:
    """204."""
    query = read_query(request, schemas.RemoveQuery)
    async with deps.pipeline.transaction() as tx:
        row = await store.remove_name(tx, request.path_params["name"])
        if row is None:
            raise not_found()
        before = {"name": row.name, "note": row.note}
        subject = ("protected_name", row.name)
        await audit(tx, staff, request, "protected_name.removed", subject, before, None, reason=query.reason)
    return no_content()


def _country(request: Request) -> str:
    country: str = request.path_params["country"]
    if not COUNTRY.fullmatch(country):
        raise not_found()
    return country
