"""What a campaign's status allows, and how the reasons of a verdict are told. Pure."""

from collections.abc import Sequence
from typing import Final

from sema_content_checker import Reason

WAITING: Final = frozenset({"submitted", "pending_content_check"})
"""The statuses in which a campaign has no verdict yet; in any other it is no longer ours to judge."""


def reasons_as_json(reasons: Sequence[Reason]) -> list[dict[str, str]]:
    """Reasons as customers read them, the same as in the answer that refuses a single send."""
    return [{"check": reason.check, "detail": reason.detail} for reason in reasons]
