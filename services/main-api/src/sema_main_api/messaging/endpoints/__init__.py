"""The messaging routes, as data."""

from typing import Final

from sema_main_api.http.routing import WRITERS, Operation
from sema_main_api.messaging.endpoints import analytics, reading, sending
from sema_main_api.messaging.endpoints.deps import Messaging
from sema_main_api.messaging.schemas import (
    Analytics,
    BatchRequest,
    BatchResult,
    Estimate,
    EventList,
    Message,
    MessageList,
    SendRequest,
)

__all__ = ["OPERATIONS", "Messaging"]

TAG: Final = "Messages"
MAX_BATCH_BODY: Final = 10 << 20

REFUSALS: Final = {
    402: "insufficient_credit",
    403: "sender_id_not_approved, account_suspended",
    422: "content_rejected, invalid_phone_number, unsupported_destination, unsupported_type, recipient_suppressed, "
    "idempotency_key_reused",
    429: "rate_limited, recipient_rate_limited",
    503: "overloaded, unavailable, outcome_unknown",
}

OPERATIONS: Final = (
    Operation(
        "POST",
        "/v1/messages",
        sending.send,
        "Send one message",
        TAG,
        scope="messages:write",
        roles=WRITERS,
        creates=True,
        body=SendRequest,
        answers={202: Message},
        problems=REFUSALS,
        description="202 means that the message is durable and paid; what happens next is told by its status.",
    ),
    Operation(
        "POST",
        "/v1/messages/batch",
        sending.send_batch,
        "Send up to 1000 messages",
        TAG,
        scope="messages:write",
        roles=WRITERS,
        creates=True,
        body=BatchRequest,
        answers={202: BatchResult},
        problems=REFUSALS,
        description="Each item stands alone: look at every result.",
        max_body=MAX_BATCH_BODY,
    ),
    Operation(
        "POST",
        "/v1/messages/estimate",
        sending.estimate,
        "What a message would cost",
        TAG,
        scope="messages:read",
        body=SendRequest,
        answers={200: Estimate},
        problems={422: "invalid_phone_number, unsupported_destination, unsupported_type"},
    ),
    Operation(
        "GET",
        "/v1/messages",
        reading.list_messages,
        "List messages",
        TAG,
        scope="messages:read",
        query=reading.ListQuery,
        answers={200: MessageList},
    ),
    Operation(
        "GET",
        "/v1/messages/{id}",
        reading.get_message,
        "One message",
        TAG,
        scope="messages:read",
        answers={200: Message},
    ),
    Operation(
        "GET",
        "/v1/messages/{id}/events",
        reading.get_events,
        "The journey of a message, oldest first",
        TAG,
        scope="messages:read",
        answers={200: EventList},
    ),
    Operation(
        "GET",
        "/v1/analytics/messages",
        analytics.count,
        "Messages counted",
        TAG,
        scope="messages:read",
        query=analytics.AnalyticsQuery,
        answers={200: Analytics},
        description="Test messages are not counted. Days are in UTC; the newest messages are in.",
    ),
)
