"""Every metric of phone-validator."""

from typing import Final

from prometheus_client import Counter, Gauge, Histogram

CONTACTS: Final = Counter(
    "sema_contacts_validated_total", "Contacts judged, by reason ('valid' where there is none).", ["reason"]
)
JOBS: Final = Counter(
    "sema_validation_jobs_total", "Validation jobs that ended here, by outcome.", ["outcome"]
)
CHUNK_SECONDS: Final = Histogram(
    "sema_validation_chunk_seconds",
    "One chunk of contacts, from the lock on its job to the commit.",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
REGISTRY_ROWS: Final = Gauge("sema_mno_registry_rows", "Prefixes of the MNO registry in use.")
