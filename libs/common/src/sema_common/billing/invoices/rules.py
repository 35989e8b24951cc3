"""What is on an invoice and when its payment is asked for. Pure.

Amounts of lines are exact, at 4 places; their sum is rounded once, half up, to the 2 places that are paid. Of what was
prepaid it is the total, with the VAT inside; of what is owed it is the net amount, and VAT is added.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Final, Literal

State = Literal["open", "due", "overdue", "paid", "written_off"]
UNPAID: Final = ("open", "due", "overdue")

_CENTS: Final = Decimal("0.01")
_TYPED: Final = re.compile(r"([A-Z0-9]{1,10})(20[0-9]{2})([0-9]{6,9})")


@dataclass(frozen=True, slots=True)
class Line:
    """What was used of one network at one rate, refunds taken off."""

    country: str
    mno: str
    rate: Decimal
    messages: int
    segments: int
    amount: Decimal


@dataclass(frozen=True, slots=True)
class Sums:
    """At 2 places; `total` is what is to be paid."""

    net: Decimal
    vat_rate: Decimal
    vat: Decimal

    @property
    def total(self) -> Decimal:
        return self.net + self.vat


def cents(amount: Decimal) -> Decimal:
    """Rounded half up to 2 places; never -0.00."""
    return amount.quantize(_CENTS, ROUND_HALF_UP) + 0


def sums(lines: Iterable[Line], vat_rate: Decimal, *, prepaid: bool) -> Sums:
    """Net, VAT and total of these lines; `prepaid`: VAT is inside their amounts."""
    used = cents(sum((line.amount for line in lines), Decimal(0)))
    if prepaid:
        net = cents(used / (1 + vat_rate))
        return Sums(net, vat_rate, used - net)
    net = used
    return Sums(net, vat_rate, cents(net * vat_rate))


def from_balance(sums: Sums, closing: Decimal, *, prepaid: bool) -> Decimal:
    """How much of an invoice the balance has paid; `closing`: the balance at the end of its month.

    Prepaid usage has all left a balance of paid money. On postpaid terms what took the balance below zero is owed; the
    rest of the net amount was paid in advance, and its VAT was not.
    """
    if prepaid:
        return sums.total
    return sums.net - max(Decimal(0), min(sums.net, cents(-closing)))


def vat_rate(rates: Mapping[str, Decimal], country: str) -> Decimal:
    """The rate for a customer of this country; where none is set the service is an export, at 0."""
    return rates.get(country, Decimal(0))


def number(series: str, year: int, sequence: int) -> str:
    """As it is printed: `SL-2026-000017`."""
    return f"{series}-{year}-{sequence:06d}"


def read_number(typed: str) -> tuple[str, int, int] | None:
    """Series, year and sequence of a number that lost its hyphens: `SL2026000017`; None for anything else."""
    found = _TYPED.fullmatch(typed)
    return None if found is None else (found[1], int(found[2]), int(found[3]))


@dataclass(frozen=True, slots=True)
class Dunning:
    """Days after the due date on which a reminder goes out, in order; the last is the last."""

    reminder_days: Sequence[int]


@dataclass(frozen=True, slots=True)
class Issuer:
    """Who sends invoices and how they are paid; all of it is printed on them."""

    name: str
    address: str
    tax_pin: str
    vat_number: str
    email: str
    pay_bill: str
    bank: str


@dataclass(frozen=True, slots=True)
class Terms:
    """What every invoice is made by. `vat_rates`: by the customer's country; a country without one pays none."""

    issuer: Issuer
    series: str
    vat_rates: Mapping[str, Decimal]
    due_days: int
    dunning: Dunning


@dataclass(frozen=True, slots=True)
class Step:
    """Where an unpaid invoice stands and when to look at it again (None: people decide what happens now)."""

    state: State
    reminders: int
    next_step_on: date | None


def step(dunning: Dunning, due_on: date, today: date) -> Step:
    """Where an unpaid invoice stands `today`: open until its due date, due on it, overdue from the first reminder on.

    Decided by the calendar alone, so a loop that was away for a week sends the latest reminder, not each.
    """
    reminders = [due_on + timedelta(days=days) for days in dunning.reminder_days]
    passed = sum(day <= today for day in reminders)
    following = next((day for day in [due_on, *reminders] if day > today), None)
    if passed:
        return Step("overdue", passed, following)
    return Step("due" if today >= due_on else "open", 0, following)
