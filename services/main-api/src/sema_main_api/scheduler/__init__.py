"""The scheduler: from a campaign's verdict to its last message.

Doors in: a NOTIFY on `campaigns`, and the clock. Doors out: `sms.content` (templates to be judged), messages for the
relay, `webhooks.outbound` (`campaign.completed`).
What must never happen: a message before its campaign's time, a recipient written to twice or left out, a chunk whose
charge and messages are not one commit, a campaign that keeps the lane from everybody else.

    loops     screen, start, finish, settle, purge, watch: one method for each period
    feeding   the feeder: expands running campaigns in turn, only while the normal lane is short
    rules     pure: whose turn it is, what becomes of one recipient
    store     SQL of this module
"""
