"""Invoices: made once a month from what was added up, numbered without gaps, and followed until they are paid."""
