"""An invoice on paper: A4, as many pages as its lines need, each with its number and how many there are. Pure.

The same invoice gives the same document: everything on it was fixed when it was issued, but for how far its payment is.
"""

from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Final

from fpdf import FPDF
from fpdf.enums import XPos, YPos
from fpdf.fonts import FontFace

from sema_common.billing.invoices.following import Invoice
from sema_common.billing.invoices.rules import UNPAID, Line
from sema_common.billing.statements import last_day

FONTS: Final = Path(__file__).with_name("fonts")
FONT: Final = "DejaVu"
MARGIN: Final = 18.0
WIDTH: Final = 210.0 - 2 * MARGIN
HALF: Final = WIDTH / 2
INK: Final = (31, 41, 55)
GREY: Final = (107, 114, 128)
RULE: Final = (209, 213, 219)
ACCENT: Final = (15, 82, 87)
SHADE: Final = (243, 246, 246)
COLUMNS: Final = (18.0, 48.0, 26.0, 26.0, 22.0, 34.0)
"""Widths of the table's columns in mm; together the width of the text."""

STATES: Final = {
    "open": "",
    "due": "",
    "overdue": "OVERDUE",
    "paid": "PAID",
    "written_off": "WRITTEN OFF",
}


def render(invoice: Invoice, lines: Sequence[Line]) -> bytes:
    """The PDF."""
    page = _Page(invoice)
    page.add_page()
    _parties(page, invoice)
    _lines(page, invoice, lines)
    _sums(page, invoice)
    _payment(page, invoice)
    return bytes(page.output())


def title(invoice: Invoice) -> str:
    """What the document is."""
    return "Credit note" if invoice.total < 0 else "Tax invoice" if invoice.vat else "Invoice"


class _Page(FPDF):
    """Head and foot of every page."""

    def __init__(self, invoice: Invoice) -> None:
        super().__init__(format="A4")
        self.invoice = invoice
        self.issuer = invoice.parties["issuer"]
        for style, name in (("", "DejaVuSans.ttf"), ("B", "DejaVuSans-Bold.ttf")):
            self.add_font(FONT, style, FONTS / name)
        self.set_margins(MARGIN, MARGIN, MARGIN)
        self.set_auto_page_break(True, margin=24)
        self.set_title(f"{title(invoice)} {invoice.number}")
        self.set_author(self.issuer["name"])
        self.set_creation_date(invoice.issued_at)
        self.set_lang("en-GB")
        self.alias_nb_pages()

    def header(self) -> None:
        if self.page_no() > 1:
            self.text_line(f"{title(self.invoice)} {self.invoice.number}", size=8, colour=GREY)
            self.ln(3)

    def footer(self) -> None:
        self.set_y(-17)
        self.rule()
        self.ln(2)
        parts = (self.issuer["name"], *self.issuer["address"].splitlines(), self.issuer["email"])
        top = self.get_y()
        self.text_line(" · ".join(filter(None, parts)), size=7, colour=GREY)
        self.set_xy(MARGIN, top)
        self.text_line(f"Page {self.page_no()} of {{nb}}", size=7, colour=GREY, align="R")

    def text_line(
        self,
        text: str,
        *,
        size: float = 9,
        bold: bool = False,
        colour: tuple[int, int, int] = INK,
        width: float = 0,
        align: str = "L",
    ) -> None:
        """One line, or more where it is too long for its column; the next begins below it."""
        self.set_font(FONT, "B" if bold else "", size)
        self.set_text_color(*colour)
        x = self.get_x()
        self.multi_cell(width, size * 0.52, text, align=align, new_x=XPos.LMARGIN, new_y=YPos.NEXT)
        self.set_x(x)

    def rule(self) -> None:
        self.set_draw_color(*RULE)
        self.set_line_width(0.2)
        self.line(MARGIN, self.get_y(), MARGIN + WIDTH, self.get_y())


def _parties(page: _Page, invoice: Invoice) -> None:
    """Who sends it, what it is, to whom."""
    issuer, customer = invoice.parties["issuer"], invoice.parties["customer"]
    top = page.get_y()
    page.text_line(issuer["name"], size=15, bold=True, colour=ACCENT, width=HALF)
    page.ln(1)
    _address(page, issuer)
    left = page.get_y()

    page.set_xy(MARGIN + HALF, top)
    page.text_line(title(invoice), size=17, bold=True, width=HALF, align="R")
    page.set_x(MARGIN + HALF)
    page.text_line(invoice.number, size=10, width=HALF, align="R")
    if word := STATES[invoice.state]:
        page.set_x(MARGIN + HALF)
        page.text_line(word, size=10, bold=True, colour=ACCENT, width=HALF, align="R")
    page.set_xy(MARGIN, max(left, page.get_y()) + 7)
    page.rule()
    page.ln(5)

    top = page.get_y()
    page.text_line("Billed to", size=8, colour=GREY, width=HALF)
    page.text_line(customer["name"], size=10, bold=True, width=HALF)
    _address(page, customer)
    left = page.get_y()
    page.set_y(top)
    for name, value in _facts(invoice):
        y = page.get_y()
        page.set_xy(MARGIN + HALF, y)
        page.text_line(name, colour=GREY, width=HALF * 0.45)
        page.set_xy(MARGIN + HALF + HALF * 0.45, y)
        page.text_line(value, width=HALF * 0.55, align="R")
        page.set_x(MARGIN)
        page.ln(0.6)
    page.set_xy(MARGIN, max(left, page.get_y()) + 8)


def _address(page: _Page, party: dict[str, str]) -> None:
    for text in party["address"].splitlines():
        page.text_line(text, width=HALF)
    if party["tax_pin"]:
        page.text_line(f"PIN {party['tax_pin']}", width=HALF)
    if party["vat_number"]:
        page.text_line(f"VAT no. {party['vat_number']}", width=HALF)


def _facts(invoice: Invoice) -> list[tuple[str, str]]:
    facts = [
        ("Invoice number", invoice.number),
        ("Invoice date", f"{invoice.issued_at:%d %B %Y}"),
        ("Period", f"{invoice.month:%d} – {last_day(invoice.month):%d %B %Y}"),
        ("Currency", invoice.currency),
    ]
    if invoice.terms == "postpaid":
        facts.insert(2, ("Due date", f"{invoice.due_on:%d %B %Y}"))
    if reference := invoice.parties["customer"]["reference"]:
        facts.append(("Your reference", reference))
    return facts


def _lines(page: _Page, invoice: Invoice, lines: Sequence[Line]) -> None:
    """What was used, by country, network and rate."""
    page.set_font(FONT, "", 8.5)
    page.set_text_color(*INK)
    page.set_draw_color(*RULE)
    head = FontFace(emphasis="BOLD", color=INK, fill_color=SHADE)
    with page.table(
        col_widths=COLUMNS,
        text_align=("LEFT", "LEFT", "RIGHT", "RIGHT", "RIGHT", "RIGHT"),
        borders_layout="HORIZONTAL_LINES",
        headings_style=head,
        line_height=4.6,
        padding=(1.1, 1),
    ) as table:
        table.row(("Country", "SMS by network", "Messages", "Segments", "Rate", f"Amount {invoice.currency}"))
        for line in lines:
            table.row(
                (
                    line.country,
                    line.mno or "Other networks",
                    f"{line.messages:,}",
                    f"{line.segments:,}",
                    f"{line.rate:,.4f}",
                    f"{line.amount:,.4f}",
                )
            )
    if invoice.vat and invoice.terms == "prepaid":
        page.ln(1)
        page.text_line("Rates and amounts of the lines include VAT.", size=8, colour=GREY)
    page.ln(4)


def _sums(page: _Page, invoice: Invoice) -> None:
    """Net, VAT, total: never torn from one another by the end of a page."""
    if page.will_page_break(46):
        page.add_page()
    rows = [
        ("Net amount", invoice.net, False),
        (f"VAT {_percent(invoice.vat_rate)}", invoice.vat, False),
        ("Total", invoice.total, True),
    ]
    if invoice.terms == "postpaid" and invoice.from_balance > 0:
        rows.append(("Paid from the balance", -invoice.from_balance, False))
        rows.append(("To pay", invoice.amount_due, True))
    for name, amount, bold in rows:
        y = page.get_y()
        size = 11 if bold else 9
        page.set_xy(MARGIN + HALF, y)
        page.text_line(name, size=size, bold=bold, width=HALF / 2)
        page.set_xy(MARGIN + HALF * 1.5, y)
        page.text_line(f"{invoice.currency} {amount:,.2f}", size=size, bold=bold, width=HALF / 2, align="R")
        page.set_x(MARGIN)
        page.ln(1)
    page.ln(6)


def _payment(page: _Page, invoice: Invoice) -> None:
    """How it is paid, or that it was."""
    if page.will_page_break(36):
        page.add_page()
    if invoice.state in UNPAID:
        page.text_line("How to pay", bold=True)
        page.ln(0.5)
        page.text_line(
            f"Please pay {invoice.currency} {invoice.amount_due:,.2f} by {invoice.due_on:%d %B %Y}."
        )
        issuer = invoice.parties["issuer"]
        if issuer["pay_bill"]:
            page.text_line(f"M-Pesa: Pay Bill {issuer['pay_bill']}, account number {invoice.number}")
        for text in issuer["bank"].splitlines():
            page.text_line(text)
        page.text_line(f"Always give the number {invoice.number} with your payment.")
    elif invoice.state == "paid" and invoice.settled_at is not None:
        from_balance = (invoice.settlement or {}).get("method") == "balance"
        how = "from the prepaid balance" if from_balance else f"on {invoice.settled_at:%d %B %Y}"
        page.text_line(f"Paid {how}, with thanks. There is nothing to pay.", bold=True)
    if not invoice.vat:
        page.ln(1)
        page.text_line("No VAT is charged: zero-rated export of a service.", size=8, colour=GREY)


def _percent(rate: Decimal) -> str:
    return f"{(rate * 100).normalize():f} %"
