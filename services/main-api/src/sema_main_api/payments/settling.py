"""What becomes of a result and of a listed payment: each in one transaction, so that no crash leaves half of it."""

from datetime import datetime, timedelta
from uuid import UUID

from sema_common.billing.invoices import following
from sema_common.billing.payments import receipts, top_ups
from sema_common.billing.payments.receipts import Payment
from sema_common.billing.payments.top_ups import TopUp
from sema_common.platform.db import Tx
from sema_common.platform.faults import fault
from sema_common.platform.logs import get_logger
from sema_main_api.payments import metrics
from sema_main_api.payments.rules import top_ups as rules
from sema_main_api.payments.rules.daraja import Result

log = get_logger()


async def settle_asked(tx: Tx, asked: TopUp, result: Result | None, at: datetime, unit: timedelta) -> None:
    """What the status query said of a top-up (None: there was nothing to ask by)."""
    top_up = await top_ups.lock(tx, asked.id)
    step = rules.step(top_up, result, at, unit)
    match step.action:
        case "credit":
            await _succeed(tx, top_up, at)
            if top_up.told_receipt is not None:
                await tell_receipt(tx, top_up, top_up.told_receipt, at)
        case "fail":
            await top_ups.end(tx, top_up.id, "failed", step.reason, at)
        case "expire":
            await top_ups.end(tx, top_up.id, "expired", step.reason, at)
        case "rest":
            await top_ups.stop_asking(tx, top_up.id)
        case "wait":
            return
    if step.action in ("fail", "expire"):
        _ended(top_up, "failed" if step.action == "fail" else "expired", step.reason)
    fault("payments.before_commit")


async def tell_receipt(tx: Tx, top_up: TopUp, receipt: str, at: datetime) -> None:
    """The receipt that a callback named becomes that of its top-up, which is credited, unless either is taken."""
    place = (top_up.amount, top_up.account_reference, at, top_up.id, top_up.account_id)
    if await receipts.put_told(tx, receipt, *place):
        await top_ups.set_receipt(tx, top_up.id, receipt)


async def is_known(tx: Tx, bill_reference: str) -> bool:
    """Whether what a payer types at the pay-bill menu names an account: by a top-up of it, or by an invoice."""
    reference = rules.normal_reference(bill_reference)
    if await top_ups.is_reference(tx, reference):
        return True
    return await following.find_account(tx, reference, rules.CURRENCY) is not None


async def settle_listed(tx: Tx, at: datetime) -> Payment | None:
    """One payment of the provider's list: its top-up's, its account's (named by a top-up or an invoice), or
    nobody's. None: none is left."""
    payment = await receipts.claim_listed(tx)
    if payment is None:
        return None
    account_id: UUID | None
    if payment.top_up_id is not None:
        top_up: TopUp | None = await top_ups.lock(tx, payment.top_up_id)
    else:
        top_up = await top_ups.lock_reference(tx, rules.normal_reference(payment.bill_reference))
    if top_up is None:
        reference = rules.normal_reference(payment.bill_reference)
        account_id = await following.find_account(tx, reference, rules.CURRENCY)
    else:
        account_id = top_up.account_id
    own = None if top_up is None else await receipts.of_top_up(tx, top_up.id)
    place = rules.place(payment, top_up, own)
    if account_id is None:
        await receipts.settle(tx, payment.receipt, "unassigned", at)
    elif top_up is None or place == "beside":
        await receipts.credit(tx, payment, account_id, at)
    else:
        if own is not None and own.receipt != payment.receipt:
            await receipts.displace(tx, own.receipt)
        state = "mismatched" if place == "mismatched" else "credited"
        await receipts.settle(
            tx,
            payment.receipt,
            state,
            at,
            top_up_id=top_up.id,
            account_id=top_up.account_id,
            reference=top_up.id,
        )
        await top_ups.set_receipt(tx, top_up.id, payment.receipt)
        await _succeed(tx, top_up, at)
    log.info(
        "payment_settled",
        receipt=payment.receipt,
        place="invoice" if top_up is None and account_id is not None else place,
        account_id=None if account_id is None else str(account_id),
        top_up_id=None if top_up is None else str(top_up.id),
    )
    fault("payments.list_before_commit")
    return payment


async def _succeed(tx: Tx, top_up: TopUp, at: datetime) -> None:
    """Credited now, or it was before."""
    if await top_ups.succeed(tx, top_up, at):
        metrics.SECONDS.observe((at - top_up.created_at).total_seconds())
        _ended(top_up, "succeeded", "")


def _ended(top_up: TopUp, status: str, reason: str) -> None:
    metrics.TOP_UPS.labels(status, reason).inc()
    log.info(
        "top_up_ended",
        top_up_id=str(top_up.id),
        account_id=str(top_up.account_id),
        status=status,
        reason=reason,
    )
