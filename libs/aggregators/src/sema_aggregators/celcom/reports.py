"""What Celcom reports about a message, pushed or asked for.

Celcom publishes no format of its push: this takes every shape seen at its white labels and users, and never
calls final a text that nobody has explained.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

from sema_aggregators import parsing
from sema_aggregators.port import RawReport, Report, ReportStatus


class Meaning(NamedTuple):
    """One documented description."""

    status: ReportStatus | None
    error_code: str | None = None
    soft: bool = False
    suppress: bool = False


DESCRIPTIONS: Final[Mapping[str, Meaning]] = {
    "deliveredtoterminal": Meaning("delivered"),
    "delivredtoterminal": Meaning("delivered"),
    "delivrd": Meaning("delivered"),
    "delivered": Meaning("delivered"),
    # No word from the handset (yet): sent, until the 72 h are over.
    "senttonetwork": Meaning("sent"),
    "deliveredtonetwork": Meaning("sent"),
    "forwardedtonetwork": Meaning("sent"),
    "deliveryuncertain": Meaning("sent"),
    "messagewaiting": Meaning("sent"),
    "queued": Meaning("sent"),
    "scheduled": Meaning("sent"),
    "messagepaused": Meaning("sent"),
    "submitted": Meaning("sent"),
    # Safaricom's, 18-24 h later: the phone may come back.
    "absentsubscriber": Meaning("failed", "absent_subscriber", soft=True),
    "deliveryimpossible": Meaning("failed", "delivery_impossible"),
    "sendernameblacklisted": Meaning("failed", "sender_blocked_by_recipient", suppress=True),
    "userinblacklist": Meaning("failed", "recipient_opted_out", suppress=True),
    "messagerejected": Meaning("failed", "message_rejected", suppress=True),
    # Airtel's and Telkom's blanket answer: low confidence.
    "unknown": Meaning("failed", "unknown_at_network", soft=True),
    "invalidsourceaddress": Meaning("failed", "invalid_sender"),
    "invalidmsisdn": Meaning("failed", "invalid_number"),
    "invalidmobile": Meaning("failed", "invalid_number"),
    "usernotexist": Meaning("failed", "unknown_subscriber"),
    "userissuspended": Meaning("failed", "subscriber_suspended"),
    "userabnormalstate": Meaning("failed", "subscriber_abnormal_state"),
    "teleservicenotprovisioned": Meaning("failed", "service_not_provisioned"),
    "expired": Meaning("expired", "expired_at_network"),
    "rejectd": Meaning("failed", "rejected_by_network"),
    "insufficientbalance": Meaning("failed", "insufficient_balance_at_network"),
}
"""Keys in lower case, letters and digits only: that is how descriptions are compared."""

_NOT_EXPLAINED: Final = Meaning(None)

_DELIVERED_CODE: Final = 32
"""The one documented `delivery-status`; it counts only where there is no text."""

# Names of the fields, in lower case without `-` and `_`, the most telling first.
_ID: Final = ("messageid", "msgid", "id")
_DESCRIPTION: Final = ("description", "deliverydescription", "dlrdesc", "deliverystatus", "status")
_CODE: Final = ("deliverystatus", "dlrstatus", "dlrcode", "code")
_TIME: Final = ("timestamp", "deliverytime", "dlrtime")
_NETWORK: Final = ("networkid", "deliverynetworkid", "network")
_RECIPIENT: Final = ("mobile", "msisdn")


def read_reports(raw: RawReport) -> list[Report]:
    """Every report in one request, in any of the shapes seen. Raises `Unreadable`."""
    return parsing.read_all(
        parsing.records(raw.body, raw.query, "responses"), lambda fields: _read(fields, raw.received_at)
    )


def _read(fields: Mapping[str, Any], received_at: datetime) -> Report | str:
    """The report, or why there is none."""
    aggregator_id = _first(fields, _ID)
    if aggregator_id is None:
        return "no message id"
    description = _description(fields)
    if description is not None:
        meaning = DESCRIPTIONS.get(parsing.folded(description), _NOT_EXPLAINED)
    else:
        code = next((code for key in _CODE if (code := parsing.number(fields.get(key))) is not None), None)
        if code is None:
            return "neither a description nor a code"
        meaning = DESCRIPTIONS["delivered"] if code == _DELIVERED_CODE else _NOT_EXPLAINED
        description = str(code)[: parsing.MAX_TEXT]
    return Report(
        aggregator_id,
        meaning.status,
        description,
        meaning.error_code,
        _occurred_at(fields, received_at),
        _first(fields, _NETWORK),
        _e164(_first(fields, _RECIPIENT)),
        meaning.soft,
        meaning.suppress,
    )


def _first(fields: Mapping[str, Any], names: Sequence[str]) -> str | None:
    for name in names:
        if name in fields and (word := parsing.text(fields[name])) is not None:
            return word
    return None


def _description(fields: Mapping[str, Any]) -> str | None:
    """The first that is a text: some of its names also carry numbers."""
    for name in _DESCRIPTION:
        if name in fields and (word := parsing.text(fields[name])) is not None and not word.isdigit():
            return word
    return None


def _occurred_at(fields: Mapping[str, Any], received_at: datetime) -> datetime | None:
    for name in _TIME:
        if name in fields and (at := parsing.moment(fields[name], parsing.NAIROBI, received_at)) is not None:
            return at
    return None


def _e164(mobile: str | None) -> str | None:
    """Celcom writes 2547…, sometimes 07…, both Kenyan; whatever is neither is not taken."""
    if mobile is not None and len(mobile) == 10 and mobile[0] == "0":
        mobile = "254" + mobile[1:]
    return parsing.e164(mobile)
