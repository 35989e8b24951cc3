"""Metrics of dead letters."""

from prometheus_client import Counter, Gauge

OPEN = Gauge("sema_dead_letters_open", "Dead letters that nobody has decided about", ["queue"])
OLDEST = Gauge(
    "sema_dead_letters_oldest_seconds", "Age of the oldest undecided dead letter, 0 without any", ["queue"]
)
UNTOLD = Gauge("sema_dead_letters_untold", "Decisions about dead letters that are still to be published")
DECIDED = Counter("sema_dead_letters_decided_total", "Decisions of staff", ["queue", "decision"])
ENDED = Counter("sema_dead_lettered_messages_total", "Messages that a discard failed and refunded")
