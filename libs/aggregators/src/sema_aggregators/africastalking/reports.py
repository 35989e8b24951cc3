"""What Africa's Talking reports about a message: a form, pushed to one URL per account.

It bears no time and no signature, and comes again as often as it likes. Other callbacks (incoming texts,
opt-outs, subscriptions) have no `status`, and are no reports.
"""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from sema_aggregators import parsing
from sema_aggregators.port import RawReport, Report, ReportStatus


class Meaning(NamedTuple):
    """One documented status; `error_code` holds where no reason is given."""

    status: ReportStatus | None
    error_code: str | None = None
    soft: bool = False


class Reason(NamedTuple):
    """One documented `failureReason`."""

    error_code: str
    suppress: bool = False


STATUSES: Final[Mapping[str, Meaning]] = {
    "sent": Meaning("sent"),
    "submitted": Meaning("sent"),
    "buffered": Meaning("sent"),
    "rejected": Meaning("failed", "rejected_by_network"),
    "success": Meaning("delivered"),
    "failed": Meaning("failed", "delivery_impossible"),
    # Off, or out of reach: the phone may come back.
    "absentsubscriber": Meaning("failed", "absent_subscriber", soft=True),
    "expired": Meaning("expired", "expired_at_network"),
}
"""Keys in lower case, letters and digits only, as those of REASONS: its own pages differ in spelling."""

REASONS: Final[Mapping[str, Reason]] = {
    "insufficientcredit": Reason("insufficient_balance_at_network"),
    "invalidlinkid": Reason("invalid_link_id"),
    "userisinactive": Reason("subscriber_inactive"),
    "userinblacklist": Reason("recipient_opted_out", suppress=True),
    "useraccountsuspended": Reason("subscriber_suspended"),
    "notnetworksubcriber": Reason("not_a_subscriber_of_the_network"),
    "notnetworksubscriber": Reason("not_a_subscriber_of_the_network"),
    "usernotsubscribedtoproduct": Reason("not_subscribed_to_product"),
    "userdoesnotexist": Reason("unknown_subscriber"),
    "deliveryfailure": Reason("delivery_impossible"),
    "donotdisturbrejection": Reason("do_not_disturb", suppress=True),
}

NETWORKS: Final[Mapping[str, str]] = {
    "62120": "Airtel",
    "62130": "MTN",
    "62150": "Glo",
    "62160": "9mobile",
    "63510": "MTN",
    "63513": "Tigo",
    "63514": "Airtel",
    "63902": "Safaricom",
    "63903": "Airtel",
    "63907": "Telkom",
    "63999": "Equitel",
    "64002": "Yas",
    "64003": "Zantel",
    "64004": "Vodacom",
    "64005": "Airtel",
    "64007": "Tanzania Telecom",
    "64009": "Viettel",
    "64101": "Airtel",
    "64110": "MTN",
    "64111": "UTL",
    "64114": "Africell",
    "65001": "TNM",
    "65010": "Airtel",
    "99999": "Athena",
}
"""`networkCode` (a country's code and a network's) in the words of the MNO registry; Athena is its sandbox's.

After a number was ported this is the only word on who carries it.
"""

_NOT_EXPLAINED: Final = Meaning(None)
_NO_REASON: Final = frozenset({"", "none", "null"})


def read_reports(raw: RawReport) -> list[Report]:
    """The report in one request. Raises `Unreadable`."""
    return parsing.read_all(parsing.records(raw.body, raw.query), _read)


def _read(fields: Mapping[str, Any]) -> Report | str:
    """The report, or why there is none."""
    aggregator_id = parsing.text(fields.get("id"))
    if aggregator_id is None:
        return "no message id"
    status = parsing.text(fields.get("status"))
    if status is None:
        return "no status"
    meaning = STATUSES.get(parsing.folded(status), _NOT_EXPLAINED)
    description, error_code, suppress = status, meaning.error_code, False
    given = parsing.text(fields.get("failurereason")) or ""
    if parsing.folded(given) not in _NO_REASON and meaning.status not in ("delivered", "sent"):
        description = f"{status}: {given}"
        reason = REASONS.get(parsing.folded(given))
        if reason is not None and meaning.status == "failed":
            error_code, suppress = reason.error_code, reason.suppress
    retries = parsing.number(fields.get("retrycount"))
    if retries:
        description += f" (retry {retries})"
    network = parsing.text(fields.get("networkcode"))
    return Report(
        aggregator_id,
        meaning.status,
        description[: parsing.MAX_TEXT],
        error_code,
        None,
        None if network is None else NETWORKS.get(network, network),
        parsing.e164(parsing.text(fields.get("phonenumber"))),
        meaning.soft,
        suppress,
    )
