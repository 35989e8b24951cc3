"""/v1/invoices and /v1/billing-profile."""

from dataclasses import asdict, dataclass
from typing import Final
from uuid import UUID

from starlette.responses import Response

from sema_common.billing.invoices import following
from sema_common.billing.invoices.following import Invoice, Profile
from sema_common.billing.invoices.rules import Line
from sema_common.platform.db import Database
from sema_common.values.errors import Refused
from sema_main_api.http.bodies import read_body, read_query
from sema_main_api.http.callers import Caller
from sema_main_api.http.paging import PageQuery, Pager
from sema_main_api.http.problems import not_found
from sema_main_api.http.requests import Request
from sema_main_api.http.responses import json_response
from sema_main_api.http.routing import MANAGERS, Operation
from sema_main_api.http.store import Audit, write_audit
from sema_main_api.http.tenants import TenantReads
from sema_main_api.invoices import schemas
from sema_main_api.invoices.rendering import Renderer


@dataclass(frozen=True, slots=True)
class Deps:
    tenant: TenantReads
    pipeline: Database
    renderer: Renderer


async def list_invoices(deps: Deps, request: Request, caller: Caller) -> Response:
    """The account's own, newest first; an agent's customer has none from us."""
    pager = Pager("invoices", caller.account_id, read_query(request, PageQuery))
    async with deps.tenant.of(caller) as tx:
        rows = await following.read_page(tx, caller.account_id, pager.after(UUID), pager.fetch)
    return json_response(pager.page(rows, schemas.show, lambda invoice: invoice.id))


async def show_invoice(deps: Deps, request: Request, caller: Caller) -> Response:
    """With its lines."""
    return json_response(schemas.show_with_lines(*await _read(deps, request, caller)))


async def show_pdf(deps: Deps, request: Request, caller: Caller) -> Response:
    """On paper."""
    invoice, lines = await _read(deps, request, caller)
    pdf = await deps.renderer.render(invoice, lines)
    disposition = {"content-disposition": f'inline; filename="{invoice.number}.pdf"'}
    return Response(pdf, headers=disposition, media_type="application/pdf")


async def _read(deps: Deps, request: Request, caller: Caller) -> tuple[Invoice, list[Line]]:
    async with deps.tenant.of(caller) as tx:
        found = await following.read(tx, request.path_id(), caller.account_id)
    if found is None:
        raise not_found()
    return found


async def read_profile(deps: Deps, _: Request, caller: Caller) -> Response:
    """The account's name alone, until more was set."""
    async with deps.tenant.of(caller) as tx:
        profile = await following.read_profile(tx, caller.account_id)
    return json_response(asdict(profile))


async def put_profile(deps: Deps, request: Request, caller: Caller) -> Response:
    """In whole."""
    if caller.billing_account_id != caller.account_id:
        raise Refused("billed_to_agent", "This account is billed to its agent and gets no invoices.", 403)
    body = await read_body(request, schemas.BillingProfile)
    profile = Profile(**body.model_dump())
    async with deps.pipeline.transaction() as tx:
        before = await following.read_profile(tx, caller.account_id)
        await following.put_profile(tx, caller.account_id, caller.tenant_id, profile)
        audit = Audit.by(
            caller,
            request.request_id,
            "billing_profile.changed",
            ("account", caller.account_id),
            before=asdict(before),
            after=asdict(profile),
        )
        await write_audit(tx, audit)
    return json_response(asdict(profile))


_TAG: Final = "Money"

OPERATIONS: Final = (
    Operation(
        "GET", "/v1/invoices", list_invoices, "List invoices", _TAG,
        scope="billing:read", query=PageQuery, answers={200: schemas.InvoiceList},
    ),
    Operation(
        "GET", "/v1/invoices/{id}.pdf", show_pdf, "An invoice as PDF", _TAG,
        scope="billing:read", produces="application/pdf",
    ),
    Operation(
        "GET", "/v1/invoices/{id}", show_invoice, "An invoice with its lines", _TAG,
        scope="billing:read", answers={200: schemas.InvoiceWithLines},
    ),
    Operation(
        "GET", "/v1/billing-profile", read_profile, "What is printed on invoices", _TAG,
        scope="billing:read", answers={200: schemas.BillingProfile},
    ),
    Operation(
        "PUT", "/v1/billing-profile", put_profile, "Set what is printed on invoices", _TAG,
        roles=MANAGERS, body=schemas.BillingProfile, answers={200: schemas.BillingProfile},
        problems={403: "`billed_to_agent`"},
    ),
)  # fmt: skip
