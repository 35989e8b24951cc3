"""The monthly run: every account that used something gets one invoice, however often and wherever it broke off.

A hundred accounts at a time, each hundred in one commit with its numbers and mails; the cursor moves with it. One
process at a time has the run; another finds it taken and leaves it.
"""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from sema_common.billing import accounting
from sema_common.billing.invoices import making, rules
from sema_common.billing.invoices.making import NewInvoice, Payer
from sema_common.billing.invoices.rules import Line, Terms
from sema_common.billing.statements import next_month
from sema_common.platform.db import Database, Tx
from sema_common.platform.logs import get_logger
from sema_common.platform.mail import enqueue
from sema_common.platform.secrets import SecretBox
from sema_common.values.clock import now
from sema_common.values.errors import Refused
from sema_common.values.ids import new_id
from sema_main_api.http.store import find_owners
from sema_main_api.invoices import mails, metrics

log = get_logger()

AT_ONCE: Final = 100
BATCH_SECONDS: Final = 60.0


class Runs:
    """Makes the invoices of a month."""

    def __init__(self, db: Database, box: SecretBox, terms: Terms, web: str) -> None:
        self._db = db
        self._box = box
        self._terms = terms
        self._web = web

    async def run(self, month: date, *, again: bool = False) -> int:
        """Begin or continue; how many invoices were made now.

        Refused while the month is not over, is not added up yet or does not add up. `again` looks through all
        accounts once more after the run has finished: whoever has his invoice is passed over.
        """
        await self._check(month)
        made = 0
        fresh = again
        while True:
            async with self._db.transaction(timeout=BATCH_SECONDS) as tx:
                batch = await self._batch(tx, month, fresh=fresh)
            fresh = False
            if batch is None:
                return made
            made += batch

    async def _check(self, month: date) -> None:
        async with self._db.transaction(timeout=BATCH_SECONDS) as tx:
            until = await accounting.added_up_until(tx)
            drift = await accounting.find_drift(tx)
        if until - timedelta(seconds=accounting.SETTLED_SECONDS) < midnight(next_month(month)):
            raise Refused("month_not_over", f"{month:%Y-%m} is not over, or not added up yet.", 409)
        if drift:
            raise Refused("accounting_drift", "The sums of accounting are wrong: see the log.", 409)

    async def _batch(self, tx: Tx, month: date, *, fresh: bool) -> int | None:
        """The next accounts; None when there are none left, or another process is at it."""
        run = await making.claim_run(tx, month)
        if run is None or (run.finished_at is not None and not fresh):
            return None
        end = next_month(month)
        cursor = UUID(int=0) if fresh else run.cursor
        payers = await making.find_payers(tx, cursor, month, end, AT_ONCE)
        if not payers:
            await making.advance(tx, month, cursor, 0, finished=True)
            return None
        accounts = [payer.account_id for payer in payers]
        usage = await making.read_usage(tx, accounts, month, end)
        closing = await making.read_closing(tx, accounts, end)
        moment = now()
        due_on = moment.date() + timedelta(days=self._terms.due_days)
        invoices = [
            self._invoice(
                payer,
                usage[payer.account_id],
                closing.get(payer.account_id, Decimal(0)),
                due_on,
                moment.date(),
            )
            for payer in payers
            if payer.account_id in usage
        ]
        if invoices:
            numbers = await making.insert(tx, invoices, month, self._terms.series, moment, due_on)
            await self._mail(tx, invoices, numbers, month, moment, due_on)
        await making.advance(tx, month, payers[-1].account_id, len(invoices), finished=False)
        metrics.MADE.inc(len(invoices))
        log.info("invoices_made", month=f"{month:%Y-%m}", invoices=len(invoices))
        return len(invoices)

    def _invoice(
        self, payer: Payer, lines: Sequence[Line], closing: Decimal, due_on: date, today: date
    ) -> NewInvoice:
        terms = self._terms
        sums = rules.sums(lines, rules.vat_rate(terms.vat_rates, payer.country), prepaid=not payer.postpaid)
        from_balance = rules.from_balance(sums, closing, prepaid=not payer.postpaid)
        owed = sums.total > from_balance and sums.total > 0  # nobody owes a credit note
        step = rules.step(terms.dunning, due_on, today)
        return NewInvoice(
            new_id(),
            payer,
            sums,
            from_balance,
            lines,
            {"issuer": asdict(terms.issuer), "customer": _customer(payer)},
            step.state if owed else "paid",
            step.next_step_on if owed else None,
        )

    async def _mail(
        self,
        tx: Tx,
        invoices: Sequence[NewInvoice],
        numbers: Sequence[int],
        month: date,
        moment: datetime,
        due_on: date,
    ) -> None:
        told = [invoice.payer.account_id for invoice in invoices if not invoice.payer.email]
        owners = await find_owners(tx, told)
        for invoice, sequence in zip(invoices, numbers, strict=True):
            payer = invoice.payer
            number = rules.number(self._terms.series, moment.year, sequence)
            total = f"{payer.currency} {invoice.sums.total:,}"
            due = f"{payer.currency} {invoice.sums.total - invoice.from_balance:,}"
            for to in [payer.email] if payer.email else owners.get(payer.account_id, ()):
                owed = None if invoice.state == "paid" else (due, due_on)
                mail = mails.issued(to, self._web, number, f"{month:%B %Y}", total, owed)
                await enqueue(tx, self._box, mail)


def _customer(payer: Payer) -> dict[str, Any]:
    return {
        "account_id": str(payer.account_id),
        "name": payer.name,
        "address": payer.address,
        "country": payer.country,
        "tax_pin": payer.tax_pin,
        "vat_number": payer.vat_number,
        "reference": payer.reference,
    }


def midnight(day: date) -> datetime:
    """When a UTC day begins."""
    return datetime(day.year, day.month, day.day, tzinfo=UTC)
