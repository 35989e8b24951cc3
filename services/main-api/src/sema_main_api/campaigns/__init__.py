"""Campaigns: one text to a list, fixed in recipients and price at its submission.

Doors in: `/v1/campaigns`. Doors out: `sms.content` (the template, for its verdict).
What must never happen: a campaign whose cost exceeds what it reserved, a recipient or a price that changes after
submission, a reservation that nobody gives back, a share that is given back twice.

    endpoints   one function per route
    schemas     bodies
    rules       pure: what a text costs whom, what a status allows
    submitting  copy the recipients, quote, reserve: one transaction, or nothing at all
    store       SQL of this module

What happens after the verdict is the scheduler's.
"""
