"""What a handler is given: a parsed message with what travelled beside it, or a dead letter as it lies."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Generic, TypeVar
from uuid import UUID

from aiormq.abc import DeliveredMessage
from pydantic import ValidationError

from sema_common.platform.logs import safe_text
from sema_common.platform.topology import DELIVERY_LIMIT
from sema_common.values.clock import now
from sema_common.values.errors import Park
from sema_common.wire.envelope import (
    HEADER_ATTEMPT,
    HEADER_EVENT_ID,
    HEADER_REASON,
    HEADER_TRACEPARENT,
    HEADER_VERSION,
    WireMessage,
)

M_co = TypeVar("M_co", bound=WireMessage, covariant=True)

HEADER_DELIVERIES = "x-sema-deliveries"
"""How often a parked message had been delivered: RabbitMQ's count starts again in the dead-letter queue."""


@dataclass(frozen=True, slots=True)
class Delivery(Generic[M_co]):
    """One message in a handler's hands.

    `delivery_count` is how often it had been delivered before (0: never); `attempt` is the publisher's own
    count. A redelivered message is always handed over alone.
    """

    message: M_co
    event_id: UUID
    queue: str
    traceparent: str | None = None
    attempt: int = 0
    delivery_count: int = 0
    redelivered: bool = False


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One message of a dead-letter queue. `reason` is ours, or RabbitMQ's `delivery_limit`; `body` is raw."""

    queue: str
    reason: str
    headers: Mapping[str, Any] = field(repr=False)
    body: bytes = field(repr=False)
    type: str
    version: int
    event_id: UUID | None
    dead_at: datetime
    delivery_count: int


def delivery_count(raw: DeliveredMessage) -> int:
    """Earlier deliveries, by RabbitMQ's count; the first delivery has no such header."""
    count = (raw.header.properties.headers or {}).get("x-delivery-count")
    if isinstance(count, int):
        return count
    return 1 if getattr(raw.delivery, "redelivered", False) else 0


class Decoder:
    """Knows the wire classes that a queue may carry; Park for everything else."""

    def __init__(self, queue: str, types: Iterable[type[WireMessage]]) -> None:
        self._queue = queue
        self._types = {(cls.TYPE, cls.VERSION): cls for cls in types}

    def __call__(self, raw: DeliveredMessage) -> Delivery[WireMessage]:
        props = raw.header.properties
        headers = props.headers or {}
        type_, version = props.message_type, headers.get(HEADER_VERSION, 1)
        cls = self._types.get((type_ or "", version if isinstance(version, int) else -1))
        if cls is None:
            raise Park(f"unknown message {str(type_)[:60]} version {str(version)[:20]}")
        try:
            message = cls.model_validate_json(raw.body)
            event_id = UUID(str(headers.get(HEADER_EVENT_ID)))
        except ValidationError as exc:
            raise Park(f"malformed {type_}: {safe_text(exc)}"[:200]) from exc
        except ValueError as exc:
            raise Park(f"malformed {type_}: no event_id") from exc
        count = delivery_count(raw)
        attempt, traceparent = headers.get(HEADER_ATTEMPT, 0), headers.get(HEADER_TRACEPARENT)
        return Delivery(
            message=message,
            event_id=event_id,
            queue=self._queue,
            traceparent=traceparent if isinstance(traceparent, str) else None,
            attempt=attempt if isinstance(attempt, int) else 0,
            delivery_count=count,
            redelivered=count > 0,
        )


def dead_letter(queue: str, raw: DeliveredMessage) -> DeadLetter:
    """Read a dead letter; nothing about it can be so wrong that it is not kept."""
    props = raw.header.properties
    headers = dict(props.headers or {})
    deaths = headers.get("x-death")
    first = deaths[0] if isinstance(deaths, list) and deaths else {}
    death: Mapping[str, Any] = first if isinstance(first, dict) else {}
    reason = headers.get(HEADER_REASON) or death.get("reason") or "unknown"
    count = headers.get(HEADER_DELIVERIES)
    if not isinstance(count, int):
        count = DELIVERY_LIMIT + 1 if reason == "delivery_limit" else 0
    version = headers.get(HEADER_VERSION, 1)
    try:
        event_id: UUID | None = UUID(str(headers.get(HEADER_EVENT_ID)))
    except ValueError:
        event_id = None
    died = death.get("time") or props.timestamp
    return DeadLetter(
        queue=queue,
        reason=str(reason),
        headers=headers,
        body=raw.body,
        type=props.message_type or "",
        version=version if isinstance(version, int) else 0,
        event_id=event_id,
        dead_at=died if isinstance(died, datetime) else now(),
        delivery_count=count,
    )
