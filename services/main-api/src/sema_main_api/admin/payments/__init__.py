"""Money that came in by M-Pesa and that nobody knows whose it is; what the provider's list says of each day.

Doors in    HTTP: `/v1/admin/payments…`. Both are filled by the module `payments`.
Doors out   none
Writes      `billing.mpesa_payments` and credits, through `sema_common.billing`
Never       a payment assigned twice, or without a reason and a line of the audit log
"""
