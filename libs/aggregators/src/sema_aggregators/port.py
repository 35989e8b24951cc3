"""What the rest of the house knows of an aggregator: this port, and nothing else.

An adapter is one package or file that implements `Aggregator`: it turns submits into an HTTP request, an HTTP answer
into one outcome per submit, and a delivery report of whatever shape into `Report`s. Adapters are pure: they
open nothing, wait for nothing, know no clock, and hold no state between calls. No text of the aggregator's
reaches an outcome's `detail` (it might echo our key or the recipient), and no `repr` shows a secret, a
recipient or a text: all of these end in logs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import Literal, Protocol, runtime_checkable


@dataclass(frozen=True, slots=True, repr=False)
class Credentials:
    """The account at an aggregator: `user` is Celcom's partnerID, Africa's Talking's user name."""

    user: str
    secret: str

    def __repr__(self) -> str:
        return "Credentials(***)"


@dataclass(frozen=True, slots=True)
class Submit:
    """One message to hand over.

    `client_id`: positive, unique within its call; what the answer is correlated by. `reference`: our message
    id, for formats that carry one. `to`: E.164 with `+`. `attempt` counts from 1.
    """

    client_id: int
    reference: str
    to: str = field(repr=False)
    sender: str
    text: str = field(repr=False)
    flash: bool = False
    attempt: int = 1


@dataclass(frozen=True, slots=True)
class HttpCall:
    """A request, complete but for the base URL. Bodies and headers hold keys and texts: never shown."""

    method: str
    path: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """What came back. `headers` must find lower-case names (a dict of them, or a case-blind mapping)."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)


class Outcome(Enum):
    """What became of one submit; the only distinctions that sms-worker acts upon."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    """For good: this message will never be taken."""
    NOT_SENT = "not_sent"
    """An explicit "no, try again" about this message: uses one of its retries."""
    NO_WAY = "no_way"
    """Nobody looked at the message: nothing is known against it, no retry is used."""
    ACCOUNT = "account"
    """Our account there is at fault: pause the route, tell a human. The message was not sent."""
    IN_DOUBT = "in_doubt"
    """The request left and nobody can say what became of it. Never repeated blindly."""


@dataclass(frozen=True, slots=True)
class SubmitOutcome:
    """`code` is stable snake_case of ours, `detail` our own sentence; `aggregator_id` only when accepted.

    `suppress`: the recipient has opted out of promotions.
    """

    outcome: Outcome
    code: str
    detail: str = ""
    aggregator_id: str | None = None
    wait_seconds: float | None = None
    suppress: bool = False


class TransportFailure(Enum):
    """The call ended without an answer; whoever dials names the moment, this module says what it means."""

    DNS = "dns"
    CONNECT = "connect"
    """Refused, unreachable, or no slot or connection in time."""
    TLS = "tls"
    TIMEOUT = "timeout"
    """Any wait after the connection stood: bytes may have left."""
    RESET = "reset"
    """The connection broke after it stood; a write that failed counts, part of it may have arrived."""
    PROTOCOL = "protocol"
    """What came back is not HTTP."""


_BEFORE_THE_REQUEST_LEFT = frozenset({TransportFailure.DNS, TransportFailure.CONNECT, TransportFailure.TLS})


def read_transport_failure(failure: TransportFailure) -> SubmitOutcome:
    """The outcome of every submit of a call that failed so: only what surely never left is safe to redo."""
    if failure in _BEFORE_THE_REQUEST_LEFT:
        return SubmitOutcome(Outcome.NO_WAY, f"transport_{failure.value}", "the request never left")
    return SubmitOutcome(Outcome.IN_DOUBT, f"transport_{failure.value}", "the request left, no answer came")


ReportStatus = Literal["sent", "delivered", "failed", "expired"]


@dataclass(frozen=True, slots=True)
class RawReport:
    """A delivery report (or an answer to polling) as it arrived. `received_at` bears a time zone."""

    content_type: str
    query: str = field(repr=False)
    body: bytes = field(repr=False)
    received_at: datetime


@dataclass(frozen=True, slots=True)
class Report:
    """What a report says of one message.

    `status` None: a text that nobody has explained, kept in `description` (at most 200 characters), never
    final. `error_code`: stable snake_case of ours. `occurred_at`: UTC, None when the report has no credible
    time. `recipient`: E.164 with `+`. `soft`: a failure that a later report may well overturn. `suppress`:
    the recipient has opted out of promotions.
    """

    aggregator_id: str
    status: ReportStatus | None
    description: str
    error_code: str | None = None
    occurred_at: datetime | None = None
    network: str | None = None
    recipient: str | None = field(default=None, repr=False)
    soft: bool = False
    suppress: bool = False


class Unreadable(Exception):
    """A report that the adapter cannot read in full: quarantine the raw body with this `reason`.

    `reports` holds those of its parts that could be read; they count all the same.
    """

    def __init__(self, reason: str, reports: Sequence[Report] = ()) -> None:
        super().__init__(reason)
        self.reason = reason
        self.reports = tuple(reports)


class PollState(Enum):
    """What asking for one report gave."""

    READY = "ready"
    """The raw answer is a report: `read_reports` reads it too."""
    PENDING = "pending"
    UNKNOWN_ID = "unknown_id"
    """Give up asking for this one."""
    ACCOUNT = "account"
    TRY_LATER = "try_later"


@dataclass(frozen=True, slots=True)
class Poll:
    """`report` is there exactly when `state` is READY."""

    state: PollState
    report: Report | None = None
    wait_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What an adapter can carry: asked at the door and when a route is chosen.

    `max_bulk`: submits per call. `countries`: ISO 3166 alpha-2, None for all. `one_text`: the submits of a
    call share sender and text, and no recipient is among them twice.
    """

    max_bulk: int
    flash: bool
    ucs2: bool
    countries: frozenset[str] | None
    one_text: bool = False


class Aggregator(Protocol):
    """One adapter. None of its methods raises anything but what is named here, whatever bytes it is given."""

    @property
    def name(self) -> str:
        """As in `/{name}/{token}` of dlr-webhook, in route settings and in `sms_messages.route_id`."""

    @property
    def capabilities(self) -> Capabilities: ...

    def submit(self, credentials: Credentials, submits: Sequence[Submit]) -> HttpCall:
        """One call for 1 to `max_bulk` submits. ValueError for others than `capabilities` allow, or equal ids."""

    def read_submit(self, answer: HttpAnswer, submits: Sequence[Submit]) -> list[SubmitOutcome]:
        """One outcome per submit, in the order of `submits`."""

    def read_reports(self, raw: RawReport) -> list[Report]:
        """At least one report, or `Unreadable`."""


@runtime_checkable
class Pollable(Protocol):
    """What an adapter can do besides, when its aggregator answers questions about one report."""

    def poll(self, credentials: Credentials, aggregator_id: str) -> HttpCall: ...

    def read_poll(self, answer: HttpAnswer, aggregator_id: str, received_at: datetime) -> Poll:
        """Never raises; `received_at` bears a time zone."""


def check_bulk(submits: Sequence[Submit], max_bulk: int, *, one_text: bool = False) -> None:
    """The promise that every `submit` makes about its arguments. Raises ValueError: a bug of the caller's."""
    if not 1 <= len(submits) <= max_bulk:
        raise ValueError(f"a call takes 1 to {max_bulk} submits, not {len(submits)}")
    if len({submit.client_id for submit in submits}) != len(submits):
        raise ValueError("client ids must be unique within a call")
    if one_text and len({(submit.sender, submit.text) for submit in submits}) != 1:
        raise ValueError("the submits of a call must share sender and text")
    if one_text and len({submit.to for submit in submits}) != len(submits):
        raise ValueError("recipients must be unique within a call")
