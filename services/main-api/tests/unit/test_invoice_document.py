"""What an invoice on paper says, read back out of the PDF."""

import re
import zlib
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from uuid import UUID

import pytest

from sema_common.billing.invoices.following import Invoice
from sema_common.billing.invoices.rules import Line
from sema_main_api.invoices import document

ISSUER = {
    "name": "Sema Link Ltd",
    "address": "Ngong Road\nNairobi",
    "tax_pin": "P051",
    "vat_number": "",
    "email": "billing@example.com",
    "pay_bill": "600123",
    "bank": "",
}
CUSTOMER = {"name": "Mũkũrwe-inĩ Ltd", "address": "", "tax_pin": "P059", "vat_number": "", "reference": ""}
INVOICE = Invoice(
    id=UUID(int=1),
    account_id=UUID(int=2),
    month=date(2026, 10, 1),
    number="SL-2026-000017",
    currency="KES",
    net=Decimal("80.00"),
    vat_rate=Decimal("0.1600"),
    vat=Decimal("12.80"),
    total=Decimal("92.80"),
    terms="postpaid",
    parties={"issuer": ISSUER, "customer": CUSTOMER},
    issued_at=datetime(2026, 11, 1, tzinfo=UTC),
    due_on=date(2026, 11, 15),
    state="open",
    reminders=0,
    settled_at=None,
    settlement=None,
)
LINE = Line("KE", "Safaricom", Decimal("0.8000"), 100, 100, Decimal("80.0000"))


def pages(pdf: bytes) -> int:
    return len(re.findall(rb"/Type /Page\b", pdf))


def drawn(pdf: bytes) -> int:
    """How many pieces of text were drawn."""
    streams = re.findall(rb"stream\n(.*?)\nendstream", pdf, re.DOTALL)
    texts = [zlib.decompress(s) for s in streams if s[:1] == b"x"]
    return sum(text.count(b"Tj") + text.count(b"TJ") for text in texts)


def test_the_same_invoice_is_the_same_document() -> None:
    assert document.render(INVOICE, [LINE]) == document.render(INVOICE, [LINE])


@pytest.mark.parametrize(("lines", "expected"), [(1, 1), (30, 2), (100, 4)])
def test_lines_go_on_over_pages(lines: int, expected: int) -> None:
    assert pages(document.render(INVOICE, [LINE] * lines)) == expected


def test_how_to_pay_is_said_where_something_is_owed() -> None:
    paid = replace(INVOICE, state="paid", settled_at=INVOICE.issued_at, settlement={"method": "balance"})
    assert drawn(document.render(INVOICE, [LINE])) > drawn(document.render(paid, [LINE]))


def test_what_the_balance_has_paid_is_said() -> None:
    partly = replace(INVOICE, settlement={"from_balance": "50.00"})
    assert (partly.from_balance, partly.amount_due) == (Decimal("50.00"), Decimal("42.80"))
    assert drawn(document.render(partly, [LINE])) > drawn(document.render(INVOICE, [LINE]))


def test_it_is_called_what_it_is() -> None:
    assert document.title(INVOICE) == "Tax invoice"
    assert document.title(replace(INVOICE, vat=Decimal(0))) == "Invoice"
    assert document.title(replace(INVOICE, total=Decimal("-1"), net=Decimal("-1"))) == "Credit note"
