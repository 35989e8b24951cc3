"""/v1/admin/payments."""

from dataclasses import asdict, dataclass
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import Any, Final, Literal

from starlette.responses import Response

from sema_common.billing import ledger
from sema_common.billing.payments import receipts, reconciling
from sema_common.billing.payments.receipts import Payment
from sema_common.platform.db import Database, Tx
from sema_common.values.clock import now, parse_time
from sema_common.values.errors import FieldError, Refused
from sema_common.values.money import Money
from sema_main_api.admin.payments import schemas
from sema_main_api.http.bodies import invalid, read_body, read_query
from sema_main_api.http.callers import Staff
from sema_main_api.http.paging import Pager
from sema_main_api.http.problems import not_found
from sema_main_api.http.requests import Request
from sema_main_api.http.responses import json_response
from sema_main_api.http.routing import STAFF, STAFF_ADMINS, Operation
from sema_main_api.http.store import Audit, write_audit

CURRENCY: Final = "KES"
NAIROBI: Final = timezone(timedelta(hours=3))


@dataclass(frozen=True, slots=True)
class Deps:
    pipeline: Database


async def list_all(deps: Deps, request: Request, staff: Staff) -> Response:
    """Payments in one state, the youngest first; those that wait for staff unless another is asked for."""
    query = read_query(request, schemas.PaymentQuery)
    pager = Pager("payments", staff.user_id, query)
    before = pager.after(_position)
    async with deps.pipeline.transaction() as tx:
        rows = await receipts.page(tx, query.state, before, query.paid_after, query.paid_before, pager.fetch)
    return json_response(pager.page(rows, _show, lambda row: f"{row.paid_at.isoformat()} {row.receipt}"))


async def assign(deps: Deps, request: Request, staff: Staff) -> Response:
    """Credit a payment that nobody knew whose it was to an account that has a balance."""
    wanted = await read_body(request, schemas.AssignPayment)
    async with deps.pipeline.transaction() as tx:
        payment = await _lock_unassigned(tx, request)
        balance = await ledger.read_balance(tx, wanted.account_id)
        if balance is None or balance.currency != CURRENCY:
            detail = f"No account of that id has a balance in {CURRENCY}."
            raise invalid([FieldError("account_id", "not_found", detail)])
        await receipts.credit(tx, payment, wanted.account_id, now(), by=str(staff.user_id))
        return await _decided(tx, request, staff, payment, "assigned", wanted.reason)


async def give_back(deps: Deps, request: Request, staff: Staff) -> Response:
    """It was reversed in M-Pesa's own portal, and is nobody's work any more."""
    reason = (await read_body(request, schemas.ReturnPayment)).reason
    async with deps.pipeline.transaction() as tx:
        payment = await _lock_unassigned(tx, request)
        await receipts.settle(tx, payment.receipt, "returned", now(), by=str(staff.user_id))
        return await _decided(tx, request, staff, payment, "returned", reason)


async def reconciliation(deps: Deps, request: Request, _: Staff) -> Response:
    """One day's report: what the provider's list has, and every place where our books differ."""
    day = read_query(request, schemas.ReconciliationQuery).day
    day = day or (now().astimezone(NAIROBI) - timedelta(days=1)).date()
    async with deps.pipeline.transaction() as tx:
        found = await reconciling.read(tx, day)
    if found is None:
        raise not_found()
    totals = {state: each | {"amount": _money(each["amount"])} for state, each in found.totals.items()}
    mismatches = [each | {"amount": each["amount"] and _money(each["amount"])} for each in found.mismatches]
    shown = asdict(found) | {"totals": totals, "mismatches": mismatches}
    return json_response(schemas.ReconciliationReport.model_validate(shown))


async def _lock_unassigned(tx: Tx, request: Request) -> Payment:
    receipt = request.path_params["id"]
    payment = await receipts.lock(tx, receipt) if receipt.isascii() and receipt.isalnum() else None
    if payment is None:
        raise not_found()
    if payment.state != "unassigned":
        raise Refused("already_decided", f"This payment is {payment.state}.", 409)
    return payment


async def _decided(
    tx: Tx,
    request: Request,
    staff: Staff,
    before: Payment,
    what: Literal["assigned", "returned"],
    reason: str,
) -> Response:
    after = await receipts.lock(tx, before.receipt)
    assert after is not None
    audit = Audit.by_staff(
        staff,
        request.request_id,
        f"payment.{what}",
        ("payment", before.receipt),
        account_id=after.account_id,
        before=_show(before).model_dump(mode="json"),
        after=_show(after).model_dump(mode="json"),
        reason=reason,
    )
    await write_audit(tx, audit)
    return json_response(_show(after))


def _show(payment: Payment) -> schemas.PaymentObject:
    return schemas.PaymentObject.model_validate(asdict(payment) | {"amount": _money(payment.amount)})


def _money(amount: Decimal | str) -> dict[str, str]:
    return Money(Decimal(amount), CURRENCY).wire()


def _position(text: str) -> tuple[datetime, str]:
    """Where the page before ended; ValueError for anything else."""
    at, _, receipt = text.partition(" ")
    if not receipt.isalnum():
        raise ValueError("a receipt has letters and digits")
    return parse_time(at), receipt


_TAG: Final = "Staff"
_PATH: Final = "/v1/admin/payments"
_DECIDED: Final[dict[str, Any]] = {
    "answers": {200: schemas.PaymentObject},
    "problems": {409: "`already_decided`"},
}

OPERATIONS = (
    Operation(
        "GET", _PATH, list_all, "List M-Pesa payments", _TAG,
        staff=STAFF, query=schemas.PaymentQuery, answers={200: schemas.PaymentList},
    ),
    Operation(
        "GET", _PATH + "/reconciliation", reconciliation, "Read a day's reconciliation", _TAG,
        staff=STAFF, query=schemas.ReconciliationQuery, answers={200: schemas.ReconciliationReport},
        problems={404: "`not_found`: there is no report of that day"},
    ),
    Operation(
        "POST", _PATH + "/{id}/assign", assign, "Assign a payment to an account", _TAG,
        staff=STAFF_ADMINS, body=schemas.AssignPayment, **_DECIDED,
    ),
    Operation(
        "POST", _PATH + "/{id}/return", give_back, "Close a payment that was given back", _TAG,
        staff=STAFF_ADMINS, body=schemas.ReturnPayment, **_DECIDED,
    ),
)  # fmt: skip
