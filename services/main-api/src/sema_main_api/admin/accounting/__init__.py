"""The books as a whole, as staff read them.

What must never happen: a sum that somebody waits for while a million entries are added up.

    endpoints   /v1/admin/accounting
    schemas     queries and answers; the SQL is of `sema_common.billing`
"""
