"""Invoices as staff see them: everybody's, and what becomes of those that are not paid.

What must never happen: a payment that is put on the balance twice, an invoice settled without a reason.
"""
