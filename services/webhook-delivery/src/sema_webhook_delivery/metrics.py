"""Every metric of the room. The endpoint is never a label: customers' URLs are without number."""

from typing import Final

from prometheus_client import Counter, Gauge, Histogram

FACTS: Final = Counter("sema_webhook_facts_total", "Facts taken from the queue")
DELIVERIES: Final = Counter(
    "sema_webhook_deliveries_total",
    "Deliveries by what became of them: created, redelivered, succeeded, retried, deferred, failed, cancelled",
    ["outcome"],
)
ATTEMPTS: Final = Counter(
    "sema_webhook_attempts_total",
    "Requests by outcome (delivered, failed, throttled, gone) and cause (status class, or what went wrong)",
    ["outcome", "cause"],
)
ATTEMPT_SECONDS: Final = Histogram(
    "sema_webhook_attempt_seconds",
    "Duration of one request to a customer",
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
LATENCY: Final = Histogram(
    "sema_webhook_latency_seconds",
    "From a fact's arrival here to the customer's 2xx, first attempts only",
    buckets=(0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300),
)
IN_FLIGHT: Final = Gauge("sema_webhook_in_flight", "Requests open now")
WAITING: Final = Gauge("sema_webhook_waiting", "Deliveries in memory that wait for their turn")
OPEN_BREAKERS: Final = Gauge("sema_webhook_open_breakers", "Targets that are not called for the moment")
OVERDUE: Final = Gauge("sema_webhook_overdue_seconds", "How long the oldest due delivery has been due")
DISABLED: Final = Counter("sema_webhook_endpoints_disabled_total", "Endpoints switched off by us", ["reason"])
UNRECORDED: Final = Counter(
    "sema_webhook_attempts_unrecorded_total",
    "Attempts that could not be written down, so they are made again",
)
PURGED: Final = Counter("sema_webhook_deliveries_purged_total", "Deliveries deleted after their 30 days")
