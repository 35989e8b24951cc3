"""Every metric of content-worker."""

from typing import Final

from prometheus_client import Counter, Gauge, Histogram

VERDICTS: Final = Counter("sema_campaign_verdicts_total", "Campaigns judged, by verdict.", ["verdict"])
REASONS: Final = Counter(
    "sema_campaign_rejection_reasons_total", "Reasons of rejections, by check.", ["check"]
)
JUDGE_SECONDS: Final = Histogram(
    "sema_content_judge_seconds",
    "Time to judge one template.",
    buckets=(0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1),
)
CACHE: Final = Counter(
    "sema_content_verdict_cache_total", "Look-ups of verdicts in Redis, by outcome.", ["outcome"]
)
RULES: Final = Gauge("sema_content_rules", "Rules of the blocklist in use.")
RULES_VERSION: Final = Gauge(
    "sema_content_worker_rules_version", "Version of the content rules that texts are judged by"
)
RULES_BROKEN: Final = Gauge(
    "sema_content_rules_broken", "1 while the blocklist cannot be compiled and an older one is in use."
)
