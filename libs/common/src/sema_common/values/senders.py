"""What a sender ID may look like; limits are those of GSM 03.40 (11 characters) and of MNOs' short codes."""

import re
from collections.abc import Container
from dataclasses import dataclass
from typing import Final, Literal

_ALPHANUMERIC: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9 ._&-]{0,9}[A-Za-z0-9])?", re.ASCII)
_CODE: Final = re.compile(r"\+?[0-9]{3,15}", re.ASCII)


def is_sender_id(text: str) -> bool:
    """1–11 plain letters, digits, inner spaces, dots, underscores, ampersands, hyphens, with a letter among them;
    or a short code or number of 3 to 15 digits. Letters of other scripts that look alike are none."""
    if _CODE.fullmatch(text):
        return len(text) <= 15
    return _ALPHANUMERIC.fullmatch(text) is not None and any(c.isalpha() for c in text)


@dataclass(frozen=True, slots=True)
class SenderRule:
    """What a country takes as a sender: only what is registered there, names, numbers."""

    needs_registration: bool
    allows_alphanumeric: bool
    allows_numeric: bool


ANY_SENDER: Final = SenderRule(False, True, True)
"""Of a country that nobody has made a rule for."""

NotTaken = Literal["numeric_not_allowed", "alphanumeric_not_allowed", "not_registered_in_country"]


def why_not_taken(sender: str, registered: Container[str], country: str, rule: SenderRule) -> NotTaken | None:
    """Why this country does not take this sender, or None; `registered` are the countries that know it."""
    numeric = _CODE.fullmatch(sender) is not None
    if numeric and not rule.allows_numeric:
        return "numeric_not_allowed"
    if not numeric and not rule.allows_alphanumeric:
        return "alphanumeric_not_allowed"
    if rule.needs_registration and country not in registered:
        return "not_registered_in_country"
    return None
