"""Invoices and billing profiles as they are asked for and shown."""

from collections.abc import Sequence
from datetime import date
from typing import Annotated, Any, Final, Literal
from uuid import UUID

from pydantic import Field

from sema_common.billing.invoices.following import Invoice
from sema_common.billing.invoices.rules import Line
from sema_common.values.money import Money
from sema_main_api.http.bodies import Body
from sema_main_api.http.schemas import Answer, ListAnswer, Moment, MoneyObject

EMAIL: Final = r"^[^@\s]+@[^@\s]+\.[^@\s]+$"
Text = Annotated[str, Field(max_length=100)]


class Party(Answer):
    """Issuer or customer, as they were when the invoice was issued."""

    name: str
    address: str
    tax_pin: str
    vat_number: str


class LineObject(Answer):
    """What was used of one network at one rate, refunds taken off. Exact, at four places."""

    country: str = Field(examples=["KE"])
    mno: str | None = Field(examples=["Safaricom"])
    rate: MoneyObject = Field(description="Of one segment: prepaid with the VAT inside, postpaid net of it.")
    messages: int
    segments: int
    amount: MoneyObject


class InvoiceObject(Answer):
    """`net`, `vat` and `total` are rounded half up to two places; `status` says how far its payment is.

    `from_balance`: what the balance had paid when it was issued; `amount_due`: what was to be paid beside it.
    """

    id: UUID
    account_id: UUID
    number: str = Field(examples=["SL-2026-000017"])
    month: str = Field(examples=["2026-10"])
    status: Literal["open", "due", "overdue", "paid", "written_off"]
    terms: Literal["prepaid", "postpaid"]
    net: MoneyObject
    vat_rate: str = Field(examples=["0.1600"])
    vat: MoneyObject
    total: MoneyObject
    from_balance: MoneyObject
    amount_due: MoneyObject
    issued_at: Moment
    due_on: date
    reminders: int
    settled_at: Moment | None
    issuer: Party
    customer: Party


class InvoiceWithLines(InvoiceObject):
    lines: list[LineObject]


class InvoiceList(ListAnswer):
    data: list[InvoiceObject]


class BillingProfile(Body):
    """What is printed on invoices from the next one on. `country` decides the VAT."""

    legal_name: Annotated[str, Field(min_length=1, max_length=200)]
    address: Annotated[str, Field(max_length=500, description="Lines are separated by line feeds.")] = ""
    country: Annotated[str, Field(pattern="^[A-Z]{2}$", description="ISO 3166 code.")] = "KE"
    tax_pin: Text = ""
    vat_number: Text = ""
    reference: Annotated[str, Field(max_length=100, description="Your own, such as a purchase order.")] = ""
    email: Annotated[
        str | None,
        Field(max_length=254, pattern=EMAIL, description="Who gets invoices; null: the account's owners."),
    ] = None


def show(invoice: Invoice) -> dict[str, Any]:
    """An invoice without its lines."""

    def money(amount: Any) -> dict[str, str]:
        return Money(amount, invoice.currency).wire()

    return InvoiceObject.model_validate(
        {
            "id": invoice.id,
            "account_id": invoice.account_id,
            "number": invoice.number,
            "month": f"{invoice.month:%Y-%m}",
            "status": invoice.state,
            "terms": invoice.terms,
            "net": money(invoice.net),
            "vat_rate": f"{invoice.vat_rate:f}",
            "vat": money(invoice.vat),
            "total": money(invoice.total),
            "from_balance": money(invoice.from_balance),
            "amount_due": money(invoice.amount_due),
            "issued_at": invoice.issued_at,
            "due_on": invoice.due_on,
            "reminders": invoice.reminders,
            "settled_at": invoice.settled_at,
            "issuer": invoice.parties["issuer"],
            "customer": invoice.parties["customer"],
        }
    ).model_dump(mode="json")


def show_with_lines(invoice: Invoice, lines: Sequence[Line]) -> dict[str, Any]:
    """An invoice with them."""
    shown = [
        {
            "country": line.country,
            "mno": line.mno or None,
            "rate": Money(line.rate, invoice.currency).wire(),
            "messages": line.messages,
            "segments": line.segments,
            "amount": Money(line.amount, invoice.currency).wire(),
        }
        for line in lines
    ]
    return show(invoice) | {"lines": shown}
