"""PATCH /v1/campaigns/{id}/cancel, /pause and /resume."""

from starlette.responses import Response

from sema_common.billing import ledger
from sema_common.values.errors import Refused
from sema_main_api.campaigns import rules
from sema_main_api.campaigns.endpoints.deps import Deps, audit_of
from sema_main_api.campaigns.endpoints.reading import read
from sema_main_api.campaigns.store import campaigns
from sema_main_api.http.callers import Caller
from sema_main_api.http.problems import not_found
from sema_main_api.http.requests import Request
from sema_main_api.http.store import write_audit


async def cancel(deps: Deps, request: Request, caller: Caller) -> Response:
    """End it and give back, once, what it has not spent; 409 when it runs or has ended."""
    campaign_id = request.path_id()
    async with deps.pipeline.transaction() as tx:
        found = await campaigns.read(tx, campaign_id, caller.account_id)
        if found is None:
            raise not_found()
        if found.reserved:  # balances are locked before any other row, everywhere
            await ledger.lock_balances(tx, [found.billing_account_id])
        returned = await campaigns.cancel(tx, campaign_id, caller.account_id, rules.CANCELLABLE)
        if returned is None:
            raise conflict("not_cancellable", found.status, "pause it first, if it runs")
        if returned:
            await ledger.release(tx, found.billing_account_id, returned, campaign_id)
        after = {"status": "cancelled", "returned": str(returned)}
        await write_audit(
            tx, audit_of(caller, request, "campaign.cancelled", campaign_id, found.status, after)
        )
    return await read(deps, request, caller)


async def pause(deps: Deps, request: Request, caller: Caller) -> Response:
    """Stop expanding; messages that are on their way go on."""
    campaign_id = request.path_id()
    async with deps.pipeline.transaction() as tx:
        found = await campaigns.read(tx, campaign_id, caller.account_id)
        if found is None:
            raise not_found()
        if not await campaigns.pause(tx, campaign_id, caller.account_id, rules.PAUSABLE):
            raise conflict(
                "not_pausable", found.status, "it does not run, or all of its messages are on their way"
            )
        await write_audit(tx, audit_of(caller, request, "campaign.paused", campaign_id, found.status))
    return await read(deps, request, caller)


async def resume(deps: Deps, request: Request, caller: Caller) -> Response:
    """Go on where it was paused."""
    caller.require_active()
    campaign_id = request.path_id()
    async with deps.pipeline.transaction() as tx:
        found = await campaigns.read(tx, campaign_id, caller.account_id)
        if found is None:
            raise not_found()
        if not await campaigns.resume(tx, campaign_id, caller.account_id):
            raise conflict("not_resumable", found.status, "only a paused campaign can go on")
        await write_audit(tx, audit_of(caller, request, "campaign.resumed", campaign_id, found.status))
    return await read(deps, request, caller)


def conflict(code: str, status: str, hint: str) -> Refused:
    """409: its status does not allow it."""
    return Refused(code, f"The campaign is {status}: {hint}.", 409)
