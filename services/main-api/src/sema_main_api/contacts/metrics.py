"""What is measured of contact lists."""

from prometheus_client import Counter, Gauge, Histogram

ROWS = Counter("sema_contact_rows_total", "Rows of uploads, by what became of them", ["outcome"])
STORE_SECONDS = Histogram(
    "sema_contact_store_seconds",
    "Storing one upload, from BEGIN to COMMIT",
    buckets=(0.01, 0.05, 0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300),
)
UNTOLD = Gauge("sema_validation_jobs_untold", "Validation jobs that contacts.validate has not got yet")
OLDEST_JOB = Gauge(
    "sema_validation_job_oldest_seconds", "Age of the oldest validation job that is queued or running"
)
