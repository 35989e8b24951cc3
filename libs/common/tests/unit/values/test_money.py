"""Four places, half up, one spelling, no floats."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sema_common.values.money import Money, quantize, wire

amounts = st.decimals(-(10**12), 10**12, allow_nan=False, allow_infinity=False)


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        ("0.8", "0.8000"),
        ("0.00005", "0.0001"),
        ("-0.00005", "-0.0001"),
        ("0.00004999", "0.0000"),
        ("-0.00001", "0.0000"),
        ("1E+3", "1000.0000"),
        ("99999999999999", "99999999999999.0000"),
    ],
)
def test_the_wire_form(amount: str, text: str) -> None:
    assert wire(Decimal(amount)) == text


@given(amounts)
def test_rounding_is_stable_and_close(amount: Decimal) -> None:
    rounded = quantize(amount)
    assert quantize(rounded) == rounded
    assert abs(rounded - amount) <= Decimal("0.00005")
    assert Decimal(wire(amount)) == rounded


@pytest.mark.parametrize("amount", ["NaN", "Infinity", "-Infinity", "sNaN", "1E+14", "-1E+14"])
def test_what_the_column_cannot_hold_is_refused(amount: str) -> None:
    with pytest.raises(ValueError, match="fourteen digits"):
        quantize(Decimal(amount))


def test_money_is_at_four_places_whatever_it_was_made_of() -> None:
    assert Money(Decimal("0.8"), "KES") == Money(Decimal("0.80000"), "KES")
    assert Money(Decimal("0.8"), "KES").wire() == {"amount": "0.8000", "currency": "KES"}


@pytest.mark.parametrize("currency", ["", "kes", "KE", "KESX", "K€S", "123"])
def test_a_currency_is_three_capital_letters(currency: str) -> None:
    with pytest.raises(ValueError, match="three capital letters"):
        Money(Decimal(1), currency)
