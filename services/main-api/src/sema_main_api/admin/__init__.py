"""What staff may do: one package per subject, each with the anatomy of a module, strangers to each other.

Doors in    HTTP: `/v1/admin/…`, for staff only; to everybody else there is nothing here (404).
Doors out   none of its own: a subject says what it publishes.
Writes      what its subjects say, and for every change a line of `core.audit_log` in the same transaction.
Never       a change without its audit line; a number or a text shown to who need not see it; a customer let in.

A new subject is a package here, a line in `app.OPERATIONS`, a line in `app.open_admin`, and a name in `.importlinter`.

    credit        adjustments with a reason, an agent's commission
    pricing       the price list: made, ended, import and export
    senders       sender IDs: requests, look-alikes, countries' rules, protected names
    content_rules words, patterns, shorteners: list, change, dry run; what was refused lately
    routing       which aggregator carries what: switches, pace, accounts' rules, health
    networks      the MNO registry: prefixes by tier, import and export, where the tiers disagree
    dead_letters  what rooms set aside: shown, mended, sent again, given up
    quarantine    reports that nobody could read, and those that match no submit
    payments      M-Pesa payments that nobody knows whose they are; each day against the provider's list
    accounting    the trial balance, what aggregators charge, margins
    audit         who did what, when, with before and after
"""
