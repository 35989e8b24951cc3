"""Asking for payment: an unpaid invoice is open, then due, then overdue with one reminder after the other.

Each step and its mail are one commit. After the last reminder people decide: staff mark it paid, write it off, or
suspend the account; nothing is suspended by itself.
"""

from typing import Final

from sema_common.billing.invoices import following, rules
from sema_common.billing.invoices.following import Invoice
from sema_common.billing.invoices.rules import Dunning, Step
from sema_common.platform.db import Database, Tx
from sema_common.platform.logs import get_logger
from sema_common.platform.mail import Mail, enqueue
from sema_common.platform.secrets import SecretBox
from sema_common.values.clock import now
from sema_main_api.http.store import find_owners
from sema_main_api.invoices import mails, metrics

log = get_logger()

AT_ONCE: Final = 100


class Reminders:
    """Moves what is unpaid on, by the calendar."""

    def __init__(self, db: Database, box: SecretBox, dunning: Dunning, web: str) -> None:
        self._db = db
        self._box = box
        self._dunning = dunning
        self._web = web

    async def advance(self) -> bool:
        """Every invoice whose next step has come; True when there is more."""
        today = now().date()
        async with self._db.transaction(timeout=30.0) as tx:
            invoices = await following.claim_due(tx, today, AT_ONCE)
            owners = await find_owners(tx, [invoice.account_id for invoice in invoices])
            for invoice in invoices:
                step = rules.step(self._dunning, invoice.due_on, today)
                await following.take_step(tx, invoice.id, step)
                email = (await following.read_profile(tx, invoice.account_id)).email
                await self._tell(tx, invoice, step, [email] if email else owners.get(invoice.account_id, []))
                log.info(
                    "invoice_moved",
                    invoice=invoice.number,
                    account_id=str(invoice.account_id),
                    state=step.state,
                    reminders=step.reminders,
                )
        return len(invoices) == AT_ONCE

    async def _tell(self, tx: Tx, invoice: Invoice, step: Step, recipients: list[str]) -> None:
        for to in recipients:
            mail = self._mail(to, invoice, step)
            if mail is not None:
                await enqueue(tx, self._box, mail)

    def _mail(self, to: str, invoice: Invoice, step: Step) -> Mail | None:
        owed = f"{invoice.currency} {invoice.amount_due:,}"
        if step.state == "due" and invoice.state == "open":
            return mails.due(to, self._web, invoice.number, owed)
        if step.reminders > invoice.reminders:
            last = step.reminders == len(self._dunning.reminder_days)
            return mails.reminder(to, self._web, invoice.number, owed, invoice.due_on, step.reminders, last)
        return None

    async def watch(self) -> None:
        """Say how much is unpaid."""
        async with self._db.transaction() as tx:
            unpaid = await following.count_unpaid(tx)
        counts = dict.fromkeys(rules.UNPAID, 0)
        metrics.UNPAID_TOTAL.clear()
        for state, currency, invoices, total in unpaid:
            counts[state] += invoices
            metrics.UNPAID_TOTAL.labels(state, currency).set(total)
        for state, invoices in counts.items():
            metrics.UNPAID.labels(state).set(invoices)
