from datetime import date, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sema_common.billing.invoices.rules import Dunning, Line, Step, from_balance, step, sums, vat_rate

DUE = date(2026, 11, 15)
DUNNING = Dunning([3, 10, 20])


def line(amount: str) -> Line:
    return Line("KE", "Safaricom", Decimal("0.8"), 1, 1, Decimal(amount))


@pytest.mark.parametrize(
    ("amounts", "net", "vat", "total"),
    [
        ([], "0.00", "0.00", "0.00"),
        (["0.0050"], "0.01", "0.00", "0.01"),
        (["0.0049"], "0.00", "0.00", "0.00"),
        (["0.0025", "0.0025"], "0.01", "0.00", "0.01"),
        (["160.27"], "160.27", "25.64", "185.91"),
        (["3.125"], "3.13", "0.50", "3.63"),
        (["-10.005"], "-10.01", "-1.60", "-11.61"),
    ],
)
def test_lines_are_added_exactly_and_their_sum_is_rounded_once_half_up(
    amounts: list[str], net: str, vat: str, total: str
) -> None:
    found = sums(map(line, amounts), Decimal("0.16"), prepaid=False)
    assert (str(found.net), str(found.vat), str(found.total)) == (net, vat, total)


@pytest.mark.parametrize(
    ("amounts", "net", "vat", "total"),
    [
        ([], "0.00", "0.00", "0.00"),
        (["1160"], "1000.00", "160.00", "1160.00"),
        (["1000"], "862.07", "137.93", "1000.00"),
        (["0.0025", "0.0025"], "0.01", "0.00", "0.01"),
        (["-11.6"], "-10.00", "-1.60", "-11.60"),
    ],
)
def test_what_left_a_prepaid_balance_has_the_vat_inside(
    amounts: list[str], net: str, vat: str, total: str
) -> None:
    found = sums(map(line, amounts), Decimal("0.16"), prepaid=True)
    assert (str(found.net), str(found.vat), str(found.total)) == (net, vat, total)


@pytest.mark.parametrize(
    ("closing", "expected"),
    [("0", "100.00"), ("50", "100.00"), ("-30.005", "69.99"), ("-100", "0.00"), ("-250", "0.00")],
)
def test_only_what_took_a_postpaid_balance_below_zero_is_owed(closing: str, expected: str) -> None:
    found = sums([line("100")], Decimal("0.16"), prepaid=False)
    assert str(from_balance(found, Decimal(closing), prepaid=False)) == expected


def test_a_credit_note_is_not_paid_from_the_balance_twice() -> None:
    found = sums([line("-100")], Decimal("0.16"), prepaid=False)
    assert from_balance(found, Decimal("-500"), prepaid=False) == -100


def test_a_country_without_a_rate_is_an_export() -> None:
    assert vat_rate({"KE": Decimal("0.16")}, "UG") == 0


@pytest.mark.parametrize(
    ("days", "expected"),
    [
        (-1, Step("open", 0, DUE)),
        (0, Step("due", 0, date(2026, 11, 18))),
        (3, Step("overdue", 1, date(2026, 11, 25))),
        (12, Step("overdue", 2, date(2026, 12, 5))),
        (20, Step("overdue", 3, None)),
        (400, Step("overdue", 3, None)),
    ],
)
def test_the_calendar_alone_says_where_an_unpaid_invoice_stands(days: int, expected: Step) -> None:
    assert step(DUNNING, DUE, DUE + timedelta(days=days)) == expected


@given(days=st.lists(st.integers(1, 60), unique=True).map(sorted), today=st.integers(-5, 80))
def test_the_next_step_is_in_the_future_and_changes_something(days: list[int], today: int) -> None:
    now = DUE + timedelta(days=today)
    found = step(Dunning(days), DUE, now)
    if found.next_step_on is not None:
        assert found.next_step_on > now
        after = step(Dunning(days), DUE, found.next_step_on)
        assert (after.state, after.reminders) != (found.state, found.reminders)
