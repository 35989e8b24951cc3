"""Metrics of the billing module."""

from prometheus_client import Gauge

ADDED_UP_UNTIL = Gauge(
    "sema_accounting_until_timestamp", "Movements committed before this time are in the sums of accounting"
)
ACCOUNTING_DRIFT = Gauge(
    "sema_accounting_drift_accounts", "Accounts whose balance, days and usage do not agree; must be 0"
)
TRIAL_BALANCE = Gauge(
    "sema_trial_balance", "All balances and counter-accounts of a currency summed up; must be 0", ["currency"]
)
NEAR_LIMIT = Gauge(
    "sema_postpaid_near_limit_accounts", "Postpaid accounts with less than 20 % of their credit limit left"
)
