"""Metrics of the invoices module."""

from prometheus_client import Counter, Gauge

MADE = Counter("sema_invoices_made_total", "Invoices made by monthly runs")
RUN_OPEN = Gauge(
    "sema_invoice_run_open_since_timestamp",
    "Since when the last month's run could have been made; 0 once it is",
)
UNPAID = Gauge("sema_invoices_unpaid", "Invoices that wait for their payment", ["state"])
UNPAID_TOTAL = Gauge("sema_invoices_unpaid_total", "What they add up to", ["state", "currency"])
PDFS = Counter("sema_invoice_pdfs_total", "Invoices rendered as PDF", ["outcome"])
