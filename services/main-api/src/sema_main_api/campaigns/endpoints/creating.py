"""POST /v1/campaigns and /v1/campaigns/estimate."""

from dataclasses import asdict
from typing import Any

from starlette.responses import Response

from sema_common.messages.campaigns import campaign_object
from sema_common.platform import telemetry
from sema_common.platform.db import Tx
from sema_common.values.clock import now
from sema_common.values.ids import new_id
from sema_common.values.money import Money
from sema_common.values.segments import measure
from sema_common.values.templates import Template
from sema_main_api.campaigns import estimating, rules, schemas, submitting
from sema_main_api.campaigns.endpoints.deps import Deps, audit_of
from sema_main_api.campaigns.store.campaigns import NewCampaign
from sema_main_api.http.bodies import read_body
from sema_main_api.http.callers import Caller
from sema_main_api.http.idempotency import Created, create_once
from sema_main_api.http.requests import Request
from sema_main_api.http.responses import json_response
from sema_main_api.http.senders import approved_sender
from sema_main_api.http.store import write_audit


async def create(deps: Deps, request: Request, caller: Caller) -> Response:
    """202: recipients and prices are fixed, the estimate is reserved, the text goes to its verdict."""
    caller.require_active()
    wanted = await read_body(request, schemas.CreateCampaign)

    async def submit(tx: Tx) -> Created:
        new, template, registered = await drafted(deps, wanted, caller)
        row = await submitting.submit(tx, new, template, registered, caller, deps.reference.current, now())
        body = campaign_object(row, {})
        request.noted["contacts"] = row.contacts
        await write_audit(tx, audit_of(caller, request, "campaign.submitted", row.id, row.status))
        return Created(row.id, body, status=202)

    async with deps.submissions.turn():
        response = await create_once(
            deps.pipeline, request, caller, "campaign", submit, timeout=submitting.SUBMIT_SECONDS
        )
    deps.wake()
    return response


async def estimate(deps: Deps, request: Request, caller: Caller) -> Response:
    """What a submission would come to, read and not written. Credit is not looked at."""
    wanted = await read_body(request, schemas.CreateCampaign)
    new, template, registered = await drafted(deps, wanted, caller)
    async with deps.estimates.turn(), deps.pipeline.transaction(submitting.SUBMIT_SECONDS) as tx:
        found = await estimating.estimate(
            tx, new, template, registered, caller, deps.reference.current, now()
        )
    return json_response(estimate_object(found, new, template))


def estimate_object(found: estimating.Estimate, new: NewCampaign, template: Template) -> dict[str, Any]:
    """The answer to an estimate."""
    samples = []
    for one in found.first:
        text = template.render(one.fields or {})
        cut = measure(text or " ")
        samples.append(
            {"phone": one.msisdn, "text": text, "encoding": cut.encoding, "segments": cut.segments}
        )
    return {
        "contacts": found.quote.contacts,
        "refused": found.quote.refused,
        "skipped": asdict(found.skipped),
        "missing_values": found.quote.missing,
        "cost_estimate": Money(found.quote.total, new.currency).wire(),
        "samples": samples,
    }


async def drafted(
    deps: Deps, wanted: schemas.CreateCampaign, caller: Caller
) -> tuple[NewCampaign, Template, frozenset[str]]:
    """The campaign that is wanted, and where its sender is known; Refused where text, sender or time will not do."""
    template = rules.template(wanted.message)
    rules.check_send_at(wanted.send_at, now())
    approved = await deps.reference.senders(caller.account_id, wanted.sender)
    sender = approved_sender(wanted.sender, approved)
    new = NewCampaign(
        id=new_id(),
        tenant_id=caller.tenant_id,
        account_id=caller.account_id,
        billing_account_id=caller.billing_account_id,
        contact_list_id=wanted.contact_list_id,
        name=wanted.name,
        sender=sender,
        message=wanted.message,
        test=caller.mode == "test",
        send_at=wanted.send_at,
        quiet_hours=wanted.quiet_hours,
        on_missing=wanted.on_missing,
        currency=caller.currency,
        traceparent=telemetry.traceparent(),
    )
    return new, template, approved[sender]
