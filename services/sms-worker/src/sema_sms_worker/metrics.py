"""Every metric of sms-worker."""

from typing import Final

from prometheus_client import Counter, Gauge, Histogram

POLLED: Final = Counter(
    "sema_sms_polled_total",
    "Questions about reports that stay away, by the answer: ready, pending, unknown_id, account, try_later.",
    ["aggregator", "result"],
)
PURGED: Final = Counter("sema_sms_attempts_purged_total", "Old attempts deleted.")
JOBS: Final = Counter("sema_sms_jobs_total", "Jobs taken from a lane, repeats included.", ["lane"])
REPEATED: Final = Counter(
    "sema_sms_repeated_jobs_total", "Jobs whose attempt was claimed before: not submitted again.", ["lane"]
)
OUTCOMES: Final = Counter(
    "sema_sms_outcomes_total", "Submits by what became of them.", ["aggregator", "mno", "outcome"]
)
CODES: Final = Counter(
    "sema_sms_unaccepted_total", "Submits that were not accepted, by our code.", ["aggregator", "code"]
)
SUBMIT: Final = Histogram(
    "sema_sms_submit_seconds",
    "One call to an aggregator.",
    ["aggregator", "lane"],
    buckets=(0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 15),
)
BULK: Final = Histogram(
    "sema_sms_bulk_size", "Messages in one call.", ["aggregator", "lane"], buckets=(1, 2, 5, 10, 15, 19, 20)
)
IN_DOUBT: Final = Counter("sema_sms_in_doubt_total", "Messages that came in doubt.", ["aggregator", "lane"])
SETTLED: Final = Counter("sema_sms_settled_total", "Steps taken about claims and doubts.", ["step"])
ENDED: Final = Counter("sema_sms_ended_total", "Messages ended here.", ["status", "code"])
REFUNDS: Final = Counter("sema_sms_refunds_total", "Charges given back.")
WAY: Final = Gauge(
    "sema_sms_way_open", "1 while an aggregator takes submits, 0.5 while it is tried, 0 shut.", ["aggregator"]
)
NETWORK: Final = Gauge(
    "sema_sms_network_open",
    "1 while an aggregator is good for a network, 0.5 while it is tried, 0 while another one is preferred for it.",
    ["aggregator", "mno"],
)
PAUSED: Final = Gauge(
    "sema_sms_account_paused", "1 while our account at an aggregator is at fault.", ["aggregator"]
)
SHUT: Final = Counter(
    "sema_sms_way_shut_total", "Times an aggregator was left alone.", ["aggregator", "reason"]
)
ERROR_SHARE: Final = Gauge(
    "sema_sms_error_share",
    "Of the calls of the last minute, of all workers, those that failed.",
    ["aggregator"],
)
CHOICES: Final = Counter(
    "sema_sms_choices_total", "Messages by where they went and why there.", ["aggregator", "reason"]
)
PASSED_OVER: Final = Counter(
    "sema_sms_passed_over_total",
    "Messages that an aggregator before theirs did not get.",
    ["aggregator", "reason"],
)
WAITING: Final = Counter(
    "sema_sms_waiting_total",
    "Times a message was put off: its only route was shut, its line long (paced), or no connection free (busy).",
    ["aggregator"],
)
ENABLED: Final = Gauge(
    "sema_sms_route_enabled", "Whether staff have an aggregator switched on.", ["aggregator"]
)
ALONE: Final = Gauge(
    "sema_sms_health_alone", "1 while this worker goes by its own calls, because Redis is away."
)
HELD: Final = Gauge("sema_sms_held_batches", "Batches that wait for a way to open.")
PACED: Final = Gauge("sema_sms_paced_batches", "Batches that wait for their pace.", ["aggregator"])
GATHERED: Final = Histogram(
    "sema_sms_gathered_bulks", "Bulks written together.", ["what"], buckets=(1, 2, 3, 5, 8, 12, 15)
)
DUE: Final = Counter("sema_sms_due_total", "Attempts that the sweep found due.", ["state"])
OLDEST_DUE: Final = Gauge("sema_sms_oldest_due_seconds", "How long the oldest due attempt has waited.")
