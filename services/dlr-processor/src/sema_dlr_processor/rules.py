"""What a batch of reports adds up to. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Literal, cast
from uuid import UUID

from sema_aggregators import Report
from sema_common.messages.routes import count_key, route_key
from sema_common.messages.status import FINAL, Status, climbs
from sema_common.messages.store.reports import Noted, Reported
from sema_common.messages.store.rows import MessageRow

MAX_AHEAD: Final = timedelta(minutes=5)
"""How far an aggregator's clock may run before ours; a time beyond that is not believed."""

NO_REPORT: Final = "no_report"
"""The code of a message that was sent and of which no report has ever come."""

SAME_NUMBER: Final = 8
"""Digits, from the right, in which two spellings of one number agree: aggregators write local forms too."""

FIRST_RETRY: Final = timedelta(seconds=1)
LAST_RETRY: Final = timedelta(minutes=10)

FinalStatus = Literal["delivered", "failed", "expired"]
Result = Literal["applied", "repeated", "contradicted", "noted", "unmatched", "foreign"]


@dataclass(frozen=True, slots=True)
class Kept:
    """One report as it is stored: the row's id, when we got it, and what it says."""

    id: UUID
    received_at: datetime
    aggregator: str
    report: Report
    raw: str

    @property
    def row(self) -> tuple[UUID, datetime]:
        """The key of its row."""
        return self.id, self.received_at

    @property
    def key(self) -> tuple[str, str]:
        """What submits are found by."""
        return self.aggregator, self.report.aggregator_id

    @property
    def at(self) -> datetime:
        """When it happened: the report's own time if it is credible, else when we got it."""
        at = self.report.occurred_at
        return self.received_at if at is None or at > self.received_at + MAX_AHEAD else at

    @property
    def is_final(self) -> bool:
        return self.report.status in FINAL

    @property
    def is_undelivered(self) -> bool:
        return self.is_final and self.report.status != "delivered"

    def detail(self) -> dict[str, Any]:
        """What the message's history shows of it; `soft` and `suppress` only where they say something."""
        return {
            "aggregator": self.aggregator,
            "description": self.report.description,
            "error_code": self.report.error_code,
            "network": self.report.network,
            **({"soft": True} if self.report.soft else {}),
            **({"suppress": True} if self.report.suppress else {}),
        }

    def is_of(self, to: str) -> bool:
        """Whether it may be about a message to this number: it is, or it names no recipient."""
        named = self.report.recipient
        return named is None or named[-SAME_NUMBER:] == to[-SAME_NUMBER:]


def reported(message_id: UUID, kept: Sequence[Kept]) -> Reported | None:
    """The highest final status among the reports of one message; of equals the first. None: nothing final."""
    best: Kept | None = None
    for one in kept:
        if one.is_final and (best is None or climbs(_status(best), _status(one))):
            best = one
    if best is None:
        return None
    status = cast(FinalStatus, best.report.status)
    error = None
    if status != "delivered":
        code = best.report.error_code or ("expired" if status == "expired" else "undelivered")
        error = {"code": code, "detail": f"The network reported: {best.report.description}."}
    return Reported(message_id, status, best.at, error, best.detail())


def no_report(message_id: UUID, at: datetime, after: timedelta) -> Reported:
    """The end of a message of which nobody has said how it ended."""
    error = {"code": NO_REPORT, "detail": f"No report came within {after.total_seconds() / 3600:g} hours."}
    return Reported(message_id, "expired", at, error, {"code": NO_REPORT})


def refund_due(reports: Iterable[Kept], status: Status, sent_at: datetime, after: timedelta) -> datetime:
    """From when on an undelivered message is refunded, where its account has it so.

    At once when the network is certain or time is over; a soft failure (phone off) may be overturned as long as
    reports are waited for at all.
    """
    certain = status == "expired" or any(one.is_undelivered and not one.report.soft for one in reports)
    return sent_at if certain else sent_at + after


def _status(kept: Kept) -> Status:
    return cast(Status, kept.report.status)


def result(kept: Kept, moved: bool, standing: Status) -> Result:
    """What became of one matched report, given where its message stands after the batch."""
    if not kept.is_final:
        return "noted"
    if kept.report.status == standing:
        return "applied" if moved else "repeated"
    return "contradicted"


def noted(tenant_id: UUID, message_id: UUID, kept: Iterable[Kept], standing: Status) -> list[Noted]:
    """Events for the reports that move nothing: news from the way, and what contradicts the status."""
    events = {}
    for one in kept:
        if not one.is_final:
            name = "network_report"
        elif one.report.status != standing:
            name = "contradicted_report"
        else:
            continue
        key = f"{name}:{one.report.status or ''}:{one.report.description}"[:120]
        events[key] = Noted(message_id, tenant_id, key, name, one.at, one.detail())
    return list(events.values())


def retry_at(received_at: datetime, now: datetime) -> datetime:
    """When to look for the submit of an unmatched report again: after a quarter of its age, 1 s to 10 min."""
    return now + min(max((now - received_at) / 4, FIRST_RETRY), LAST_RETRY)


def delivery_counts(row: MessageRow) -> dict[str, int]:
    """What the end of a message says of the network behind its route; nothing for test mode."""
    if row.test or row.route is None or row.mno is None:
        return {}
    key = route_key(row.route, row.mno)
    if row.status != "delivered":
        return {count_key(key, "undelivered"): 1}
    took = (row.delivered_at - row.sent_at).total_seconds() if row.delivered_at and row.sent_at else 0.0
    return {count_key(key, "delivered"): 1, count_key(key, "latency_ms"): round(took * 1000)}
