"""Dead letters: what rooms set aside, looked at, mended, sent again or given up.

Doors in    HTTP: `/v1/admin/dlq…`. The letters are read from `core.dead_letters`, where each room puts its own.
Doors out   any queue (a letter sent again); `webhooks.outbound` (what a discard ended)
Writes      `core.dead_letters`; for a discard what is right for its kind: `orch` and `billing` through their wings,
            `core.campaigns`, `core.contact_validation_jobs`
Never       a number, a text or a price that a correction changed; a message refunded and submitted; a decision whose
            publishing a crash forgets; a number or a text shown without leave.

A decision is committed with its audit line, and published after: `told_at` says that it was, and a loop publishes
what it is missing from. Everything published may be published twice, since every handler takes repeats.

What a discard does:

    SMS jobs         each message whose attempt nobody claimed fails (`dead_lettered`) with its refund, event and
                     `message.failed`. Its attempt is claimed first, so that no other copy of the job is submitted
    settlements      nothing: sms-worker's sweep finds the attempt again while it is open
    a campaign       waiting for its verdict is rejected, its reservation released, and `campaign.rejected` is told
    a validation     fails, if it has not ended; what was validated stays so
    reports, facts   nothing: they are not told. A message without report expires in time

    endpoints   list, read, send again, discard
    telling     what a decision publishes
    loops       what a crash kept from being published; measuring; the purge
    rules       what a letter names, what would become of it, what may be corrected, what is hidden
    store       SQL
"""
