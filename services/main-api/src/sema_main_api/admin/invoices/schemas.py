"""Staff's questions and decisions about invoices."""

from datetime import date
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import Field

from sema_main_api.http.bodies import Body
from sema_main_api.http.paging import PageQuery
from sema_main_api.http.schemas import Answer, ListAnswer, Moment, MoneyObject

State = Literal["open", "due", "overdue", "paid", "written_off"]
Reason = Annotated[str, Field(min_length=3, max_length=500, description="For the audit log.")]


class InvoiceQuery(PageQuery):
    """Filters are joined by *and*."""

    status: State | None = None
    account_id: UUID | None = None
    month: Annotated[str, Field(pattern=r"^20\d\d-(0[1-9]|1[0-2])$")] | None = Field(
        default=None, examples=["2026-10"]
    )


class PayInvoice(Body):
    """What was paid, and how. `credit`: put it, less the VAT, on the account's balance.

    Leave `credit` out where the payment is on the balance already, as a top-up by M-Pesa is: of that the VAT is taken
    off.
    """

    method: Literal["mpesa", "bank", "cheque", "other"]
    reference: Annotated[str, Field(min_length=1, max_length=100, description="Receipt or bank's reference.")]
    reason: Reason
    credit: bool = False


class WriteOffInvoice(Body):
    reason: Reason


class StaffInvoice(Answer):
    """An invoice of any account."""

    id: UUID
    account_id: UUID
    customer: str
    number: str
    month: str
    status: State
    terms: str
    total: MoneyObject
    amount_due: MoneyObject
    issued_at: Moment
    due_on: date
    reminders: int
    settled_at: Moment | None
    settlement: dict[str, Any] | None


class StaffInvoiceList(ListAnswer):
    data: list[StaffInvoice]
