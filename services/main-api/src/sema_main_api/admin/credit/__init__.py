"""Money moved by staff's hand: adjustments with a reason, and the commission of an agent.

What must never happen: a movement without its reason in the audit log, a balance below its limit, one
call booked twice.

    endpoints   /v1/admin/accounts/{id}/adjustments and /commission
    schemas     bodies and answers; the SQL is of `sema_common.billing`
"""
