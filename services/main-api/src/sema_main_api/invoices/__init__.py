"""Invoices: made once a month, shown, printed, and asked to be paid.

What must never happen: two invoices of one month, a gap in the numbers, an invoice for an agent's customer, a
reminder for what was paid.

    endpoints   /v1/invoices, /v1/billing-profile
    running     the monthly run
    dunning     what is due, reminded of, paid
    document    an invoice as PDF; rendering does it in a process of its own
    loops       run and dunning, by the clock
"""
