"""The price list: what a segment costs, for whom, where to, from which monthly volume on, and from when to when.

What must never happen: a price without its line in the audit log, a change that reaches back into what was charged.
A row is never changed: a new price is a new row, and the former one ends where it begins.

    endpoints   /v1/admin/pricing
    rules       pure: rows out of bodies and CSV, what an import does
    store       SQL of billing.pricing_tiers
"""
