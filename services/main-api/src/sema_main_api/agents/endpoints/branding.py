"""/v1/agent/branding, and /v1/branding: what an agent's customers see in place of our name."""

from dataclasses import asdict

from starlette.responses import Response

from sema_main_api.agents import rules, schemas, store
from sema_main_api.agents.endpoints.deps import Deps
from sema_main_api.http.bodies import read_body
from sema_main_api.http.callers import Caller
from sema_main_api.http.requests import Request
from sema_main_api.http.responses import json_response
from sema_main_api.http.store import Audit, write_audit

OURS = store.BrandingRow("Sema Link", None, None, None, None, None)


async def read(deps: Deps, _: Request, caller: Caller) -> Response:
    """The agent's own; before it was put, ours."""
    rules.require_agent(caller)
    async with deps.tenant.of(caller) as tx:
        found = await store.branding(tx, caller.account_id)
    return json_response(schemas.Branding.model_validate(found or OURS))


async def put(deps: Deps, request: Request, caller: Caller) -> Response:
    """200 with what the agent's customers see from now on."""
    rules.require_agent(caller)
    body = await read_body(request, schemas.PutBranding)
    wanted = store.BrandingRow(**body.model_dump())
    async with deps.pipeline.transaction() as tx:
        before = await store.branding(tx, caller.account_id)
        await store.put_branding(tx, caller.account_id, caller.tenant_id, wanted)
        subject = "account", caller.account_id
        line = Audit.by(
            caller,
            request.request_id,
            "agent.branding_put",
            subject,
            before=None if before is None else asdict(before),
            after=asdict(wanted),
        )
        await write_audit(tx, line)
    return json_response(schemas.Branding.model_validate(wanted))


async def mine(deps: Deps, _: Request, caller: Caller) -> Response:
    """In whose name the caller's account is served: its agent's, or ours."""
    async with deps.tenant.of(caller) as tx:
        found = await store.branding(tx, caller.billing_account_id)
    return json_response(schemas.Branding.model_validate(found or OURS))
