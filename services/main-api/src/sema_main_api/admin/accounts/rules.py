"""What may become of an account by staff's hand."""

from typing import Final

from sema_common.values.errors import Refused
from sema_main_api.http.rules import rate_for

LANES: Final = ("normal", "priority")
NEVER_NULL: Final = ("name", "tier", "refund_undelivered", "credit_limit")
"""What an account always has: leaving it out keeps it, null is no value."""


def check_move(before: str, suspended_by: str | None, after: str) -> None:
    """Refused(409) where nothing would change.

    What an agent has suspended staff may suspend too: from then on he cannot lift it.
    """
    if before == after and suspended_by != "agent":
        raise Refused(f"already_{after}", f"This account is {after} already.", 409)


def rates(
    tier: str, per_second: int | None, burst: int | None, priority: int | None
) -> dict[str, dict[str, float] | None]:
    """The rate that holds on each lane."""
    found = {lane: rate_for(lane, tier, per_second, burst, priority) for lane in LANES}
    return {
        f"{lane}_rate": {"per_second": rate.per_second, "burst": rate.burst} if rate else None
        for lane, rate in found.items()
    }
