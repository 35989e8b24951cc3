"""What is shown of a letter's payload to whom: by default no number, no text, nothing of a customer's own.

Only values of names on the list are shown; whatever else a payload holds, now or after the next release, is
hidden until somebody decides otherwise.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

from sema_common.values.msisdn import mask

SHOWN: Final = frozenset({
    "account_id", "action", "aggregator", "aggregator_id", "amount", "attempt", "billing_account_id", "campaign_id",
    "code", "completed_at", "contact_list_id", "content_type", "cost", "country", "created_at", "currency",
    "default_country", "delivered_at", "delivery_id", "encoding", "endpoint_id", "event_id", "from", "id", "job_id",
    "kind", "lane", "message_id", "mno", "occurred_at", "queued_at", "received_at", "segments", "send_at", "sender",
    "sent_at", "source", "status", "tenant_id", "test", "traceparent", "type", "valid_until",
})  # fmt: skip

NUMBERS: Final = frozenset({"to", "phone", "msisdn"})
"""Names of phone numbers: shown as `2547******89`."""

_DIGITS: Final = re.compile(r"(?<![0-9A-Fa-f-])\+?[0-9]{7,15}(?![0-9A-Fa-f-])")
_IDS: Final = ("_id", "traceparent")


def masked(value: Any, name: str = "") -> Any:
    """The same shape, with everything hidden that need not be seen."""
    if isinstance(value, Mapping):
        return {str(key): masked(each, "" if name == "metadata" else str(key)) for key, each in value.items()}
    if isinstance(value, list):
        return [masked(each, name) for each in value]
    if value is None or isinstance(value, bool):
        return value
    if name in NUMBERS:
        return _number(str(value))
    if name not in SHOWN:
        return f"({len(str(value))} characters)"
    if isinstance(value, str) and name != "id" and not name.endswith(_IDS):
        return _DIGITS.sub(lambda found: _number(found.group()), value)
    if isinstance(value, int | float) and abs(value) >= 10_000_000:
        return _number(str(value))
    return value


def headers_shown(headers: Mapping[str, Any]) -> dict[str, Any]:
    """Headers of ours and of RabbitMQ's; poison may bear others, and anything in them."""
    known = {"attempt", "event_id", "traceparent", "version"}
    return {
        name: value if name in known or name.startswith("x-") else f"({len(str(value))} characters)"
        for name, value in headers.items()
    }


def _number(text: str) -> str:
    return mask(text)
