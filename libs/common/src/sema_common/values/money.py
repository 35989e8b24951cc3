"""Money: Decimal with four places and a currency beside it. A float never comes near it."""

from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from typing import Final

_PLACES: Final = Decimal("0.0001")
_LIMIT: Final = Decimal(10) ** 14  # NUMERIC(18,4) holds fourteen digits before the point


def quantize(amount: Decimal) -> Decimal:
    """Rounded half up to the places of NUMERIC(18,4); ValueError for NaN, infinity and what does not fit."""
    if not amount.is_finite() or abs(amount) >= _LIMIT:
        raise ValueError("an amount has at most fourteen digits before the point")
    # Adding zero turns -0.0000 into 0.0000: one spelling for nothing.
    return amount.quantize(_PLACES, ROUND_HALF_UP) + 0


def wire(amount: Decimal) -> str:
    """The amount as every answer writes it: four places, no exponent, `0.8000`."""
    return f"{quantize(amount):f}"


@dataclass(frozen=True, slots=True)
class Money:
    """An amount, always at four places, and its currency (ISO 4217); ValueError for another shape."""

    amount: Decimal
    currency: str

    def __post_init__(self) -> None:
        if len(self.currency) != 3 or not (self.currency.isascii() and self.currency.isupper()):
            raise ValueError("a currency is three capital letters")
        object.__setattr__(self, "amount", quantize(self.amount))

    def wire(self) -> dict[str, str]:
        """The money object of the HTTP contract: `{"amount": "0.8000", "currency": "KES"}`."""
        return {"amount": wire(self.amount), "currency": self.currency}
