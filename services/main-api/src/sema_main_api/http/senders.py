"""Which sender an account may use: asked by everything that makes messages."""

from sema_common.values.errors import FieldError, Refused
from sema_common.values.senders import is_sender_id


def approved_sender(text: str, approved: frozenset[str]) -> str:
    """The sender as it was approved (case counts: networks compare it so), or Refused."""
    if text in approved:
        return text
    if not is_sender_id(text):
        detail = "A sender ID has at most 11 plain letters, digits, spaces, or is a number."
        raise Refused("validation_failed", detail, errors=[FieldError("from", "invalid_sender_id", detail)])
    raise Refused("sender_id_not_approved", f"The sender ID {text!r} is not approved for this account.", 403)
