"""Contact lists: what customers upload, correct and send campaigns to.

Doors in    HTTP: `/v1/contact-lists`, `/v1/validation-jobs`.
Doors out   `contacts.validate`: the id of a job for phone-validator; the numbers stay in Postgres.
Writes      `core.contact_lists`, `core.contacts`, `core.contact_validation_jobs`.
Never       half an upload; a number that is in a list twice; a job that nobody is told of; a cell of an export that
            a spreadsheet runs; a million rows in memory.

    endpoints    lists, contacts (uploads, export, corrections), jobs
    uploading    from the pieces of a body to a spool of checked rows, and from there into Postgres in one commit
    telling      contacts.validate after the commit, and again by a loop where that failed
    rules        what a row of a table says
    schemas      bodies and answers
    store        SQL
"""
