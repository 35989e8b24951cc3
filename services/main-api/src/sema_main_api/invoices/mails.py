"""What is written to customers about invoices."""

from datetime import date

from sema_common.platform.mail import Mail


def issued(to: str, web: str, number: str, month: str, total: str, due_on: date | None) -> Mail:
    """A new invoice; `due_on` is None where it is paid already."""
    pay = (
        f"Please pay it by {due_on:%d %B %Y}."
        if due_on
        else "It was paid from your balance: there is nothing to pay."
    )
    text = f"""Your invoice {number} for {month} is ready: {total}, VAT included.

{pay}

You find it, also as PDF, at {web}/invoices
"""
    return Mail(to, "invoice", f"Invoice {number}", text)


def due(to: str, web: str, number: str, total: str) -> Mail:
    """On the day on which it is to be paid."""
    text = f"""Your invoice {number} over {total} is due today.

If you have paid it in the last days, you need do nothing.

How to pay is on the invoice: {web}/invoices
"""
    return Mail(to, "invoice_due", f"Invoice {number} is due today", text)


def reminder(to: str, web: str, number: str, total: str, due_on: date, which: int, last: bool) -> Mail:
    """Reminder `which`, counted from 1."""
    end = (
        "This is the last reminder. If it stays unpaid, we may suspend your account."
        if last
        else "If you have paid it in the last days, you need do nothing."
    )
    text = f"""Your invoice {number} over {total} was due on {due_on:%d %B %Y} and is not paid.

{end}

How to pay is on the invoice: {web}/invoices
"""
    return Mail(to, "invoice_overdue", f"Reminder {which}: invoice {number} is overdue", text)
