"""Every fault point there is, by the room that it is in, in the order of a message's way.

`tests/contracts/test_fault_points.py` holds this list against the code.
"""

from collections.abc import Mapping
from typing import Final

POINTS: Final[Mapping[str, tuple[str, ...]]] = {
    "main-api": (
        "api.after_auth",
        "api.after_lock",
        "api.after_debit",
        "api.after_message",
        "api.after_idem_claim",
        "api.after_commit",
        "api.before_response",
        "relay.after_claim",
        "relay.after_confirm",
        "relay.after_mark",
    ),
    "sms-worker": (
        "sender.before_claim",
        "sender.in_claim",
        "sender.after_claim",
        "sender.before_submit",
        "sender.bytes_sent",
        "sender.after_response",
        "sender.before_commit",
        "sender.after_commit",
        "sender.before_ack",
        "refund.before_refund",
        "refund.before_commit",
        "refund.after_commit",
        "settle.before_commit",
        "settle.after_commit",
        "settle.before_ack",
        "sweeper.due_found",
        "sweeper.due_published",
    ),
    "dlr-webhook": ("dlr.before_store", "dlr.after_store"),
    "dlr-processor": (
        "dlr.after_match",
        "dlr.after_transition",
        "dlr.before_commit",
        "dlr.before_webhook_enqueue",
        "dlr.before_ack",
    ),
    "webhook-delivery": (
        "hook.before_claim",
        "hook.after_claim",
        "hook.before_send",
        "hook.after_send",
        "hook.before_record",
        "hook.after_record",
    ),
}

SWEEP: Final = ("sweeper.after_find", "sweeper.after_publish")
"""In main-api too, but reached only when the relay has left something behind for 20 s."""

CAMPAIGN: Final[Mapping[str, tuple[str, ...]]] = {
    "content-worker": ("screen.after_publish",),
    "main-api": ("feeder.before_commit", "feeder.after_commit", "finish.after_publish"),
}
"""Only a campaign comes by here: `test_campaigns` reaches them, the matrix sends none."""

PAYMENTS: Final[Mapping[str, tuple[str, ...]]] = {
    "main-api": (
        "payments.before_push",
        "payments.after_push",
        "payments.callback_before_commit",
        "payments.callback_after_commit",
        "payments.after_query",
        "payments.before_commit",
        "payments.after_commit",
        "payments.after_list",
        "payments.list_before_commit",
    ),
}
"""Only a top-up comes by here: `test_payments` reaches them."""

ALL: Final = frozenset(
    point for rooms in (POINTS, CAMPAIGN, PAYMENTS) for points in rooms.values() for point in points
) | frozenset(SWEEP)
