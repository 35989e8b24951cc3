"""Every metric of dlr-processor."""

from typing import Final

from prometheus_client import Counter, Gauge, Histogram

REPORTS: Final = Counter(
    "sema_dlr_reports_total",
    "Reports by what became of them: applied, repeated, contradicted, noted, unmatched.",
    ["aggregator", "result"],
)
QUARANTINED: Final = Counter(
    "sema_dlr_quarantined_total", "Bodies that nobody could read; staff see them.", ["aggregator"]
)
STATUS: Final = Counter(
    "sema_dlr_status_total", "Messages that a report moved.", ["aggregator", "mno", "status"]
)
LATE: Final = Counter(
    "sema_dlr_late_total", "Deliveries reported after the message had failed.", ["aggregator"]
)
REFUNDS: Final = Counter("sema_dlr_refunds_total", "Undelivered messages refunded by their account's policy.")
LATENCY: Final = Histogram(
    "sema_dlr_latency_seconds",
    "From sent to delivered, as the report tells it.",
    ["mno"],
    buckets=(0.5, 1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 21600, 86400),
)
UNMATCHED: Final = Gauge("sema_dlr_unmatched_reports", "Stored reports whose submit is not known (yet).")
