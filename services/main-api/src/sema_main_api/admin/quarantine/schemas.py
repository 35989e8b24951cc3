"""Answers about quarantined and unmatched reports."""

from typing import Literal
from uuid import UUID

from pydantic import Field

from sema_main_api.http.bodies import Body, Query
from sema_main_api.http.paging import PageQuery
from sema_main_api.http.schemas import Answer, Instant, ListAnswer, Moment

QuarantineState = Literal["open", "reread", "discarded"]


class QuarantineQuery(PageQuery):
    state: QuarantineState = "open"
    aggregator: str | None = Field(default=None, max_length=100)
    received_after: Instant | None = None
    received_before: Instant | None = None


class QuarantineEntry(Answer):
    """`told_at`: when a body to be read again was back on its queue."""

    id: UUID
    aggregator: str
    state: QuarantineState
    reason: str
    content_type: str
    size: int
    received_at: Moment
    decided_at: Moment | None
    decided_by: str | None
    told_at: Moment | None


class QuarantineList(ListAnswer):
    data: list[QuarantineEntry]


class QuarantinedReport(QuarantineEntry):
    """`body` and `query` are None unless `revealed`. `reads_now` says what reading it again would find."""

    query: str | None
    body: str | None
    sha256: str
    revealed: bool
    reads_now: str


class QuarantineReveal(Query):
    reveal: bool = Field(
        default=False, description="Show the raw body: for `staff_admin`, and a line of the audit log."
    )


class QuarantineDecision(Body):
    reason: str | None = Field(default=None, min_length=1, max_length=500, description="For the audit log.")


class UnmatchedQuery(PageQuery):
    state: Literal["unmatched", "abandoned"] | None = None
    aggregator: str | None = Field(default=None, max_length=100)
    aggregator_id: str | None = Field(default=None, max_length=200)


class UnmatchedReport(Answer):
    """`unmatched`: looked at again at `retry_at`; `abandoned`: nobody looks any more."""

    id: UUID
    aggregator: str
    aggregator_id: str
    state: Literal["unmatched", "abandoned"]
    status: str | None
    description: str
    error_code: str | None
    occurred_at: Moment | None
    received_at: Moment
    retry_at: Moment | None


class UnmatchedList(ListAnswer):
    data: list[UnmatchedReport]
