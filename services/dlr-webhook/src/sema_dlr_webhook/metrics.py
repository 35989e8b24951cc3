"""Every metric of dlr-webhook."""

from typing import Final

from prometheus_client import Counter, Histogram

RECEIVED: Final = Counter(
    "sema_dlr_reports_received_total", "Reports that the broker confirmed (answered 200).", ["aggregator"]
)
REFUSED: Final = Counter(
    "sema_dlr_reports_refused_total",
    "Requests that were not answered 200, by the code of the answer.",
    ["reason"],
)
BATCH: Final = Histogram(
    "sema_dlr_publish_batch_size", "Reports in one AMQP message.", buckets=(1, 2, 5, 10, 20, 50, 100)
)
LATENCY: Final = Histogram(
    "sema_dlr_publish_seconds",
    "From the start of a publish to its confirm or failure.",
    buckets=(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
