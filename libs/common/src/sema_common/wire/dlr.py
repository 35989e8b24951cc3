"""Raw delivery reports on `dlr.inbound`, exactly as the aggregator sent them."""

from datetime import datetime
from typing import Annotated, ClassVar, Literal
from uuid import UUID

from pydantic import Base64Bytes, Field

from sema_common.wire.envelope import WireItem, WireMessage

MAX_REPORTS = 100


class RawDlr(WireItem):
    """One request of an aggregator, or one answer to polling, that nobody has looked into. `body` travels as base64."""

    aggregator: str
    source: Literal["push", "poll", "test"] = "push"
    content_type: str = ""
    query: str = ""
    body: Base64Bytes
    received_at: datetime
    traceparent: str | None = None


class RawDlrs(WireMessage):
    """1–100 of them that arrived together."""

    TYPE: ClassVar[str] = "dlr.raw"
    reports: Annotated[tuple[RawDlr, ...], Field(min_length=1, max_length=MAX_REPORTS)]

    def __len__(self) -> int:
        return len(self.reports)


class KeptReport(WireItem):
    """A stored report, by the key of its row."""

    id: UUID
    received_at: datetime


class RematchDlrs(WireMessage):
    """Reports that came before their submit was recorded, and whose submit is there now."""

    TYPE: ClassVar[str] = "dlr.rematch"
    reports: Annotated[tuple[KeptReport, ...], Field(min_length=1, max_length=MAX_REPORTS)]

    def __len__(self) -> int:
        return len(self.reports)


class OverdueMessages(WireMessage):
    """Messages whose time is over: no report has come of them, or a refund of theirs has waited long enough.

    The loop only finds; the handler looks again and decides, so that finding one twice is harmless.
    """

    TYPE: ClassVar[str] = "dlr.overdue"
    message_ids: Annotated[tuple[UUID, ...], Field(min_length=1, max_length=MAX_REPORTS)]

    def __len__(self) -> int:
        return len(self.message_ids)
