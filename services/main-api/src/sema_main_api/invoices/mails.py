"""What is written to customers about invoices."""

from datetime import date

from sema_common.platform.mail import Mail


def issued(to: str, web: str, number: str, month: str, total: str, owed: tuple[str, date] | None) -> Mail:
    """A new invoice; `owed`: how much of it is to be paid, and by when; None where it is paid already."""
    pay = (
        f"Please pay {owed[0]} by {owed[1]:%d %B %Y}."
        if owed
        else "It was paid from your balance: there is nothing to pay."
    )
    text = f"""Your invoice {number} for {month} is ready: {total}, VAT included.

{pay}

You find it, also as PDF, at {web}/invoices
"""
    return Mail(to, "invoice", f"Invoice {number}", text)


def due(to: str, web: str, number: str, owed: str) -> Mail:
    """On the day on which it is to be paid."""
    text = f"""{owed} of your invoice {number} is due today.

If you have paid it in the last days, you need do nothing.

How to pay is on the invoice: {web}/invoices
"""
    return Mail(to, "invoice_due", f"Invoice {number} is due today", text)


def reminder(to: str, web: str, number: str, owed: str, due_on: date, which: int, last: bool) -> Mail:
    """Reminder `which`, counted from 1."""
    end = (
        "This is the last reminder. If it stays unpaid, we may suspend your account."
        if last
        else "If you have paid it in the last days, you need do nothing."
    )
    text = f"""{owed} of your invoice {number} was due on {due_on:%d %B %Y} and is not paid.

{end}

How to pay is on the invoice: {web}/invoices
"""
    return Mail(to, "invoice_overdue", f"Reminder {which}: invoice {number} is overdue", text)
