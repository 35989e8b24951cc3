"""Metrics of the scheduler module."""

from prometheus_client import Counter, Gauge, Histogram

EXPANDED = Counter("sema_campaign_messages_total", "Messages that the feeder made of campaigns")
REFUSED = Counter("sema_campaign_refused_total", "Recipients refused at expansion, by code", ["code"])
CHUNK_SECONDS = Histogram(
    "sema_campaign_chunk_seconds",
    "One chunk of expansion: judge, charge, insert, commit",
    buckets=(0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2.5, 5),
)
FEEDER_WAITS = Counter("sema_campaign_feeder_waits_total", "Looks at a normal lane that was full enough")
RUNNING = Gauge("sema_campaigns_running", "Campaigns that this process expands")
STUCK = Gauge(
    "sema_campaigns_stuck",
    "Campaigns that have not moved for longer than they may, by status; must be 0",
    ["status"],
)
COMPLETED = Counter("sema_campaigns_completed_total", "Campaigns whose last message was submitted")
