"""The status of a message: where it stands, and which way it may move. Pure.

    submitted → queued → sent → delivered
                     ╲       ╲→ failed ⇢ delivered     (⇢ a late report, which networks do send)
                      ╲→ failed / expired

It only climbs, whatever order reports come in. `in_doubt`, `retry` and other events are history
without being a status: while nobody knows whether a submit arrived, the message stays `queued`.
"""

from typing import Final, Literal

Status = Literal["submitted", "queued", "sent", "delivered", "failed", "expired"]

RANK: Final[dict[str, int]] = {
    "submitted": 0,
    "queued": 1,
    "sent": 2,
    "failed": 3,
    "expired": 3,
    "delivered": 4,
}
"""Same table as `orch.status_rank` in the database; a contract test compares them."""

FINAL: Final = frozenset({"delivered", "failed", "expired"})


def climbs(old: Status, new: Status) -> bool:
    """Whether `new` may replace `old`. Of two that rank the same the first one stays."""
    return RANK[new] > RANK[old]


def highest(statuses: list[Status]) -> Status:
    """The status that a history adds up to, whatever its order; the first of equals wins."""
    best = statuses[0]
    for status in statuses[1:]:
        if climbs(best, status):
            best = status
    return best
