"""The books as a whole, as staff read them.

What must never happen: a sum that somebody waits for while a million entries are added up, a cost without its line in
the audit log.

    endpoints   /v1/admin/accounting: the trial balance, margins
    costs       what aggregators charge: list, make, end
    rules       pure: which days a report is of
    schemas     queries, bodies and answers; the SQL is of `sema_common.billing`
"""
