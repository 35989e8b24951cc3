"""Metrics of the messaging module."""

from prometheus_client import Counter, Gauge, Histogram

ACCEPTED = Counter("sema_messages_accepted_total", "Messages accepted (202)", ["lane", "mode"])
REFUSED = Counter("sema_messages_refused_total", "Messages refused at the door", ["code"])
ACCEPT_BATCH = Histogram(
    "sema_accept_batch_size",
    "Submissions in one accept transaction",
    buckets=(1, 2, 5, 10, 20, 50, 100, 200, 500),
)
DEFERRED = Counter("sema_accept_deferred_total", "Submissions that waited for a balance locked elsewhere")
LOST_COMMITS = Counter(
    "sema_accept_lost_commits_total", "Accept transactions whose answer to COMMIT was lost"
)
GUARDED = Counter(
    "sema_guard_refusals_total", "Messages held back by a guard: recipient, prefix or spend", ["guard"]
)
GUARD_BATCH = Histogram(
    "sema_guard_batch_size",
    "Submissions judged by one Lua script",
    buckets=(1, 2, 5, 10, 20, 50, 100, 200, 500),
)
GUARDS_LOCAL = Counter("sema_guard_local_total", "Messages guarded in this process because Redis was away")
GUARDS_NOT_RETURNED = Counter(
    "sema_guard_not_returned_total", "Messages that were not sent and still count, for too much was waiting"
)
REPLAYED = Counter("sema_idempotent_replays_total", "Answers replayed under an Idempotency-Key")
RELAY_HELD = Gauge("sema_relay_held_messages", "Committed messages that this process has still to publish")
RELAY_LEFT = Counter("sema_relay_left_total", "Messages left to the sweep")
SWEPT = Counter("sema_sweep_published_total", "Messages that the sweep published")
UNPUBLISHED = Gauge("sema_unpublished_messages", "Messages still submitted, in Postgres")
UNPUBLISHED_AGE = Gauge("sema_unpublished_oldest_seconds", "Age of the oldest message still submitted")
REFERENCE_BROKEN = Gauge(
    "sema_reference_broken",
    "1 while a part of what is decided by cannot be built and the last good one stands",
    ["part"],
)
CONTENT_VERSION = Gauge("sema_content_rules_version", "Version of the content rules that texts are judged by")
PARTITIONS_UNTIL = Gauge("sema_partitions_until_timestamp", "End of the newest monthly partition")
LEDGER_DRIFT = Gauge(
    "sema_ledger_drift_accounts", "Accounts whose balance is not the sum of their ledger; must be 0"
)

_ACCEPTED = {
    (lane, mode): ACCEPTED.labels(lane, mode) for lane in ("normal", "priority") for mode in ("live", "test")
}


def accepted(lane: str, mode: str) -> Counter:
    """The counter of one lane and mode, bound once: looking labels up costs more than counting."""
    return _ACCEPTED[lane, mode]
