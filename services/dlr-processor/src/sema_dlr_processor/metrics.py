"""Every metric of dlr-processor."""

from typing import Final

from prometheus_client import Counter, Gauge, Histogram

REPORTS: Final = Counter(
    "sema_dlr_reports_total",
    "Reports by what became of them: applied, repeated, contradicted, noted, unmatched, foreign.",
    ["aggregator", "result"],
)
QUARANTINED: Final = Counter(
    "sema_dlr_quarantined_total",
    "Bodies that nobody could read, and reports that claim another message; staff see them.",
    ["aggregator"],
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
NO_REPORT: Final = Counter(
    "sema_dlr_no_report_total", "Messages that expired because no report ever came.", ["aggregator", "mno"]
)
ABANDONED: Final = Counter(
    "sema_dlr_abandoned_total", "Reports whose submit was never found; staff see them.", ["aggregator"]
)
OPTED_OUT: Final = Counter(
    "sema_dlr_opted_out_total", "Reports that say that the recipient wants no promotions.", ["aggregator"]
)
WITHHELD: Final = Counter(
    "sema_dlr_refunds_withheld_total", "Refunds that wait: the message has only failed softly so far."
)
REFUNDED_THEN_DELIVERED: Final = Counter(
    "sema_dlr_refunded_then_delivered_total",
    "Deliveries reported after their message was refunded: it is kept.",
)
