"""Suppressions: who has opted out of an account's messages.

Doors in: `/v1/suppressions`, one by one or as CSV. They are applied in the transaction that would charge: a send to
a suppressed recipient is refused, a campaign skips and counts him.
What must never happen: an opt-out that was confirmed and is not applied to the very next message.
"""
