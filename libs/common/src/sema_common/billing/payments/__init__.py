"""Money that comes in by M-Pesa: what was asked for, what was paid, what the two say of each other.

    top_ups      what customers asked to pay, and what became of it
    receipts     one row for one payment, whoever told of it
    notices      what came through the callback door
    reconciling  a day of the provider's list against our books

What must never happen: a payment credited twice, or because somebody merely said that it was made. Rows are locked in
the order payment → top-up → balance.
"""
