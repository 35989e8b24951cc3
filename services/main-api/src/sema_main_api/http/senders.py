"""Which sender an account may use, and where: asked by everything that makes messages."""

from collections.abc import Container, Mapping
from typing import Final

from sema_common.values.errors import FieldError, Refused
from sema_common.values.senders import ANY_SENDER, NotTaken, SenderRule, is_sender_id, why_not_taken

Approved = Mapping[str, frozenset[str]]
"""The approved senders of an account, each with the countries where it is registered."""


def approved_sender(text: str, approved: Container[str]) -> str:
    """The sender as it was approved (case counts: networks compare it so), or Refused."""
    if text in approved:
        return text
    if not is_sender_id(text):
        detail = "A sender ID has at most 11 plain letters, digits, spaces, or is a number."
        raise Refused("validation_failed", detail, errors=[FieldError("from", "invalid_sender_id", detail)])
    raise Refused("sender_id_not_approved", f"The sender ID {text!r} is not approved for this account.", 403)


_WHY: Final[dict[NotTaken, str]] = {
    "numeric_not_allowed": "{country} takes no numbers as senders.",
    "alphanumeric_not_allowed": "{country} takes numbers only as senders.",
    "not_registered_in_country": "The sender ID {sender!r} is not registered in {country}.",
}


def not_taken(
    sender: str, registered: Container[str], country: str, rules: Mapping[str, SenderRule]
) -> Refused | None:
    """Why messages to this country may not bear this sender, or None."""
    why = why_not_taken(sender, registered, country, rules.get(country, ANY_SENDER))
    if why is None:
        return None
    detail = _WHY[why].format(sender=sender, country=country)
    return Refused("sender_id_not_approved", detail, 403, errors=[FieldError("from", why, detail)])
