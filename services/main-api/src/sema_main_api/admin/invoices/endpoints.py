"""/v1/admin/invoices."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from starlette.responses import Response

from sema_common.billing import ledger
from sema_common.billing.invoices import following
from sema_common.billing.invoices.following import Invoice
from sema_common.billing.invoices.rules import UNPAID, Line, State
from sema_common.platform.db import Database, Tx
from sema_common.values.clock import now
from sema_common.values.errors import Refused
from sema_common.values.money import Money
from sema_main_api.admin.invoices import schemas
from sema_main_api.http.bodies import read_body, read_query
from sema_main_api.http.callers import Staff
from sema_main_api.http.paging import Pager
from sema_main_api.http.problems import not_found
from sema_main_api.http.requests import Request
from sema_main_api.http.responses import json_response
from sema_main_api.http.routing import STAFF, STAFF_ADMINS, Operation
from sema_main_api.http.store import Audit, write_audit

Render = Callable[[Invoice, Sequence[Line]], Awaitable[bytes]]


@dataclass(frozen=True, slots=True)
class Deps:
    pipeline: Database
    render: Render


async def list_invoices(deps: Deps, request: Request, staff: Staff) -> Response:
    """Everybody's, newest first."""
    query = read_query(request, schemas.InvoiceQuery)
    pager = Pager("admin-invoices", staff.user_id, query)
    month = date.fromisoformat(f"{query.month}-01") if query.month else None
    async with deps.pipeline.transaction() as tx:
        rows = await following.read_page_of_all(
            tx, pager.after(UUID), query.status, query.account_id, month, pager.fetch
        )
    return json_response(pager.page(rows, _show, lambda invoice: invoice.id))


async def show_pdf(deps: Deps, request: Request, _: Staff) -> Response:
    """As the customer gets it."""
    async with deps.pipeline.transaction() as tx:
        found = await following.read(tx, request.path_id())
    if found is None:
        raise not_found()
    pdf = await deps.render(*found)
    disposition = {"content-disposition": f'inline; filename="{found[0].number}.pdf"'}
    return Response(pdf, headers=disposition, media_type="application/pdf")


async def pay(deps: Deps, request: Request, staff: Staff) -> Response:
    """Mark it paid; with `credit` what is due, less the VAT, is put on the balance in the same transaction, once.

    A payment by M-Pesa without `credit` is on the balance in whole, as a top-up: its VAT is taken off.
    """
    body = await read_body(request, schemas.PayInvoice)
    how = {"method": body.method, "reference": body.reference, "credited": body.credit}
    async with deps.pipeline.transaction() as tx:
        invoice = await _lock_unpaid(tx, request.path_id())
        booked = (
            invoice.amount_due - invoice.vat
            if body.credit
            else -invoice.vat
            if body.method == "mpesa"
            else Decimal(0)
        )
        if booked:
            await ledger.adjust(tx, invoice.account_id, booked, invoice.id, "adjustment")
        settled = await _settle(tx, request, staff, invoice, "paid", how, body.reason)
    return json_response(_show(settled))


async def write_off(deps: Deps, request: Request, staff: Staff) -> Response:
    """Nobody expects its payment any more; the balance stays as it is."""
    body = await read_body(request, schemas.WriteOffInvoice)
    async with deps.pipeline.transaction() as tx:
        invoice = await _lock_unpaid(tx, request.path_id())
        settled = await _settle(tx, request, staff, invoice, "written_off", {}, body.reason)
    return json_response(_show(settled))


async def _lock_unpaid(tx: Tx, invoice_id: UUID) -> Invoice:
    """The balance first, as everywhere, then the invoice."""
    found = await following.read(tx, invoice_id)
    if found is None:
        raise not_found()
    await ledger.lock_balances(tx, [found[0].account_id])
    invoice = await following.lock(tx, invoice_id)
    if invoice is None or invoice.state not in UNPAID:
        raise Refused("already_settled", "This invoice is paid or written off already.", 409)
    return invoice


async def _settle(
    tx: Tx,
    request: Request,
    staff: Staff,
    invoice: Invoice,
    state: State,
    how: dict[str, Any],
    reason: str,
) -> Invoice:
    await following.settle(tx, invoice.id, state, now(), how | {"reason": reason})
    audit = Audit.by_staff(
        staff,
        request.request_id,
        f"invoice.{state}",
        ("invoice", invoice.id),
        account_id=invoice.account_id,
        before={"number": invoice.number, "status": invoice.state},
        after={"number": invoice.number, "status": state, **how},
        reason=reason,
    )
    await write_audit(tx, audit)
    settled = await following.lock(tx, invoice.id)
    assert settled is not None
    return settled


def _show(invoice: Invoice) -> dict[str, Any]:
    return schemas.StaffInvoice.model_validate(
        {
            "id": invoice.id,
            "account_id": invoice.account_id,
            "customer": invoice.parties["customer"]["name"],
            "number": invoice.number,
            "month": f"{invoice.month:%Y-%m}",
            "status": invoice.state,
            "terms": invoice.terms,
            "total": Money(invoice.total, invoice.currency).wire(),
            "amount_due": Money(invoice.amount_due, invoice.currency).wire(),
            "issued_at": invoice.issued_at,
            "due_on": invoice.due_on,
            "reminders": invoice.reminders,
            "settled_at": invoice.settled_at,
            "settlement": invoice.settlement,
        }
    ).model_dump(mode="json")


_TAG: Final = "Staff"
_PATH: Final = "/v1/admin/invoices"
_SETTLED: Final = {409: "`already_settled`"}

OPERATIONS: Final = (
    Operation(
        "GET", _PATH, list_invoices, "List everybody's invoices", _TAG,
        staff=STAFF, query=schemas.InvoiceQuery, answers={200: schemas.StaffInvoiceList},
    ),
    Operation(
        "GET", f"{_PATH}/{{id}}.pdf", show_pdf, "An invoice as the customer gets it", _TAG,
        staff=STAFF, produces="application/pdf",
    ),
    Operation(
        "POST", f"{_PATH}/{{id}}/pay", pay, "Mark an invoice paid", _TAG,
        staff=STAFF_ADMINS, body=schemas.PayInvoice, answers={200: schemas.StaffInvoice}, problems=_SETTLED,
    ),
    Operation(
        "POST", f"{_PATH}/{{id}}/write-off", write_off, "Write an invoice off", _TAG,
        staff=STAFF_ADMINS, body=schemas.WriteOffInvoice, answers={200: schemas.StaffInvoice}, problems=_SETTLED,
    ),
)  # fmt: skip
