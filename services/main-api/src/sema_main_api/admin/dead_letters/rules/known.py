"""What the database knows of that which a letter names: the truth that every decision is held against."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Literal
from uuid import UUID

from sema_common.messages.status import FINAL
from sema_common.messages.store.attempts import Attempt
from sema_common.messages.store.rows import MessageRow

WAITING: Final = frozenset({"submitted", "pending_content_check"})
"""Statuses of a campaign that has no verdict yet."""

UNFINISHED: Final = frozenset({"queued", "running"})
"""Statuses of a validation job that has not ended."""


@dataclass(frozen=True, slots=True)
class Campaign:
    id: UUID
    account_id: UUID
    status: str


@dataclass(frozen=True, slots=True)
class Validation:
    id: UUID
    account_id: UUID
    contact_list_id: UUID
    status: str
    total: int
    processed: int


@dataclass(frozen=True, slots=True)
class Delivery:
    id: UUID
    account_id: UUID
    state: str


@dataclass(frozen=True, slots=True)
class Known:
    """`submits`: which message an (aggregator, aggregator's id) was given for."""

    messages: Mapping[UUID, MessageRow] = field(default_factory=dict)
    attempts: Mapping[UUID, Sequence[Attempt]] = field(default_factory=dict)
    suspended: frozenset[UUID] = frozenset()
    campaigns: Mapping[UUID, Campaign] = field(default_factory=dict)
    validations: Mapping[UUID, Validation] = field(default_factory=dict)
    deliveries: Mapping[UUID, Delivery] = field(default_factory=dict)
    submits: Mapping[tuple[str, str], UUID] = field(default_factory=dict)

    def made(self, message_id: UUID, attempt: int) -> Attempt | None:
        """An attempt that somebody has claimed; one that waits for its route is nobody's."""
        return next((a for a in self._made(message_id) if a.attempt == attempt), None)

    def next_attempt(self, message_id: UUID) -> int:
        """The attempt that a job without a number of its own can only mean."""
        return max((a.attempt for a in self._made(message_id)), default=0) + 1

    def _made(self, message_id: UUID) -> Iterator[Attempt]:
        return (a for a in self.attempts.get(message_id, ()) if a.state != "waiting")


Fate = Literal["unknown", "claimed", "ended", "late", "open"]


def fate(known: Known, message_id: UUID, attempt: int, now: datetime) -> Fate:
    """What a job for this attempt would meet.

    unknown  no such message            claimed  the attempt was made: nobody makes it again
    ended    final, by another way      late     its validity is over: it would expire, with its refund
    open     it would be claimed and submitted
    """
    message = known.messages.get(message_id)
    if message is None:
        return "unknown"
    if known.made(message_id, attempt) is not None:
        return "claimed"
    if message.status in FINAL:
        return "ended"
    return "late" if message.valid_until <= now else "open"
