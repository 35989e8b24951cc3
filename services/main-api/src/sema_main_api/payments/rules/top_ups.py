"""What may be asked for, when to ask the provider again, and what follows from what he says."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Final, Literal

from sema_common.billing.payments.receipts import Payment
from sema_common.billing.payments.top_ups import TopUp
from sema_common.values.errors import FieldError
from sema_main_api.payments.rules.daraja import NAIROBI, Result

CURRENCY: Final = "KES"
MIN_AMOUNT, MAX_AMOUNT = Decimal(1), Decimal(250_000)
"""Of one M-Pesa transaction, whole shillings."""

PUSHES_PER_PHONE, PHONE_WINDOW = 5, timedelta(minutes=1)
PUSHES_PER_ACCOUNT, ACCOUNT_WINDOW = 100, timedelta(hours=1)
"""Bounds against lighting strangers' phones up."""

PUSH_WITHIN: Final = timedelta(seconds=60)
"""Later than this nobody waits for a prompt any more: a top-up that could not be pushed by then has failed."""

PUSH_RETRIES: Final = 12
"""Tries within a unit (of `GAPS`) while the provider is too busy to look."""

GAPS: Final = (1, 2, 5, 15, 60)
"""Between looks for a result, in units; the last one repeats. A unit is a minute, so the third look is within 10."""

GIVE_UP: Final = 24 * 60
"""Units after which a top-up without a result has expired."""

GIVE_UP_UNANSWERED: Final = 60
"""The same for a push whose answer was lost: there is no id to ask by, only the list can know it."""

# No letter or digit that a hand could write as another; 10 of these are 49 bits.
_ALPHABET: Final = "23456789ABCDEFGHJKMNPQRSTVWXYZ"
REFERENCE_LENGTH: Final = 10

_KENYAN: Final = re.compile(r"\+254[17]\d{8}")


def account_reference(random: bytes) -> str:
    """A reference out of 16 random bytes."""
    number = int.from_bytes(random)
    digits = []
    for _ in range(REFERENCE_LENGTH):
        number, digit = divmod(number, len(_ALPHABET))
        digits.append(_ALPHABET[digit])
    return "".join(digits)


def normal_reference(typed: str) -> str:
    """What a payer typed, without what typing adds."""
    return re.sub(r"[^0-9A-Z]", "", typed.upper())


def flaws(amount: str, currency: str, account_currency: str, msisdn: str | None) -> list[FieldError]:
    """What is wrong with a top-up that was asked for; `msisdn` None: it is no number at all."""
    found = []
    if not re.fullmatch(r"\d{1,14}(\.\d{1,4})?", amount):
        found.append(
            FieldError("amount.amount", "invalid", "An amount is a decimal number, such as 500.0000.")
        )
    elif not MIN_AMOUNT <= Decimal(amount) <= MAX_AMOUNT:
        found.append(
            FieldError("amount.amount", "out_of_range", f"From {MIN_AMOUNT} to {MAX_AMOUNT} shillings.")
        )
    elif Decimal(amount) % 1:
        found.append(FieldError("amount.amount", "not_whole", "M-Pesa moves whole shillings only."))
    if currency != CURRENCY or account_currency != CURRENCY:
        found.append(FieldError("amount.currency", "invalid_choice", f"M-Pesa moves {CURRENCY} only."))
    if msisdn is None or not _KENYAN.fullmatch(msisdn):
        detail = "M-Pesa reaches Kenyan mobile numbers: +2547… or +2541…."
        found.append(FieldError("phone", "invalid_phone_number", detail))
    return found


@dataclass(frozen=True, slots=True)
class Step:
    """What to do about a top-up now."""

    action: Literal["credit", "fail", "expire", "wait", "rest"]
    reason: str = ""


def step(top_up: TopUp, result: Result | None, now: datetime, unit: timedelta) -> Step:
    """After asking (None: there was no id to ask by). `rest`: it has ended, and this brought nothing new.

    A payment wins over whatever was decided before; a failure counts only while it is pending.
    """
    if top_up.status == "succeeded":
        return Step("rest")
    if result is not None and result.verdict == "paid" and not top_up.held:
        return Step("credit")
    age = now - top_up.created_at
    if top_up.status != "pending":
        open_ = result is not None and result.verdict in ("pending", "unknown") and age < unit * GIVE_UP
        return Step("wait" if open_ else "rest")
    if result is not None and result.verdict == "not_paid":
        return Step("fail", result.reason)
    if age >= unit * (
        GIVE_UP_UNANSWERED if result is None and top_up.checkout_request_id is None else GIVE_UP
    ):
        return Step("expire", "amount_differs" if top_up.held else "no_result")
    return Step("wait")


def contradicts(top_up: TopUp, checkout_request_id: str, code: str, amount: Decimal | None) -> str | None:
    """Why a callback cannot be about this top-up as it says; None: it can."""
    if top_up.checkout_request_id not in (None, checkout_request_id):
        return "other_request"
    if code == "0" and amount is None:
        return "no_amount"
    if code == "0" and amount != top_up.amount:
        return "amount_differs"
    return None


Place = Literal["own", "beside", "mismatched", "nobody"]


def place(payment: Payment, top_up: TopUp | None, own: Payment | None) -> Place:
    """Where a listed payment belongs that names `top_up`; `own` is the payment that is already that top-up's.

    `own`: it is the top-up's payment. `beside`: the same account's, but another one. Each top-up has one payment: a
    listed one with its amount, before one that only a callback told of. `mismatched`: it was credited on a callback's
    word and a status query, and the list has another amount.
    """
    if top_up is None:
        return "nobody"
    if own is not None and own.receipt == payment.receipt:
        return "own" if payment.amount == top_up.amount else "mismatched"
    free = own is None or own.listed_at is None
    return "own" if free and payment.amount == top_up.amount else "beside"


def days(now: datetime, count: int) -> Sequence[tuple[date, datetime, datetime]]:
    """The last `count` days in Nairobi, today among them: each with its first moment and that of the next."""
    today = now.astimezone(NAIROBI).date()
    found = []
    for back in range(count):
        day = today - timedelta(days=back)
        start = datetime.combine(day, time(), NAIROBI)
        found.append((day, start, start + timedelta(days=1)))
    return found


def unread_days(since: datetime, until: datetime) -> Sequence[date]:
    """The days in Nairobi of which [since, until) has a part, oldest first; none when `until` is not later."""
    if until <= since:
        return ()
    first = since.astimezone(NAIROBI).date()
    last = (until - timedelta.resolution).astimezone(NAIROBI).date()
    return [first + timedelta(days=n) for n in range((last - first).days + 1)]
