"""Metrics of payments."""

from prometheus_client import Counter, Gauge, Histogram

CALLS = Counter("sema_payments_calls_total", "Calls to Daraja", ["call", "outcome"])
TOP_UPS = Counter("sema_payments_top_ups_total", "Top-ups that ended, by how and why", ["status", "reason"])
SECONDS = Histogram(
    "sema_payments_top_up_seconds",
    "From a top-up's request to its credit",
    buckets=(1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600),
)
NOTICES = Counter("sema_payments_notices_total", "Callbacks, by what was made of them", ["kind", "finding"])
PENDING_OLDEST = Gauge("sema_payments_pending_oldest_seconds", "Age of the oldest top-up without a result")
HELD = Gauge("sema_payments_held", "Top-ups whose callback told of another amount")
UNASSIGNED = Gauge("sema_payments_unassigned", "Pay-bill payments of which nobody knows whose they are")
MISMATCHES = Gauge(
    "sema_payments_mismatches", "Differences between the provider's list and our books in the last three days"
)
LIST_AGE = Gauge("sema_payments_list_age_seconds", "How far the provider's list has been read, behind now")
