"""Metrics of the quarantine."""

from prometheus_client import Gauge

OPEN = Gauge("sema_dlr_quarantine_open", "Quarantined report bodies that nobody has decided about")
