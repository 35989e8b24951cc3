"""Customers' accounts as staff see and change them: tier and limits, credit limit and refunds, suspension.

Money itself is moved by billing's own routes. What must never happen here: a change without its line in the audit log.
"""
