"""The aggregator behind `sema_test_…` keys: it costs nothing, reaches nobody, and does as the number says.

`MAGIC` is the one table of magic recipients; the sandbox plays it too. The adapter speaks a small JSON format
of its own, and `answer` is the aggregator's side of it: what a worker asks in place of the network. It keeps
no state, so that the same message gets the same id and the same reports however often a crash repeats it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final, get_args

from pydantic_core import to_json

from sema_aggregators import parsing
from sema_aggregators.port import (
    Capabilities,
    Credentials,
    HttpAnswer,
    HttpCall,
    Outcome,
    RawReport,
    Report,
    ReportStatus,
    Submit,
    SubmitOutcome,
    TransportFailure,
    Unreadable,
    check_bulk,
)


class Reaction(Enum):
    """What a magic recipient does to its submit."""

    ACCEPT = "accept"
    REFUSE = "refuse"
    """For good: invalid number."""
    TIMEOUT = "timeout"
    """Taken, and no answer ever comes: in doubt."""
    NOT_SENT_TWICE = "not_sent_twice"
    """"Try again" to the first two attempts, accepted at the third."""


@dataclass(frozen=True, slots=True)
class Script:
    """A magic recipient: its reaction, then its reports in order; `early`: before the submit is answered."""

    reaction: Reaction = Reaction.ACCEPT
    reports: tuple[ReportStatus, ...] = ("delivered",)
    early: bool = False


MAGIC_DIGITS: Final = 7
"""A magic number is any valid one that ends in 999 plus four digits, e.g. +254 71 999 0001.

Seven digits, so that neither a running series nor a random load strikes one: 1 number in a million does.
"""

MAGIC: Final[Mapping[str, Script]] = {
    "9990001": Script(),
    "9990002": Script(reports=("failed",)),
    "9990003": Script(reports=("expired",)),
    "9990004": Script(Reaction.REFUSE, ()),
    "9990005": Script(Reaction.TIMEOUT, ()),
    "9990006": Script(Reaction.NOT_SENT_TWICE),
    "9990007": Script(early=True),
    "9990008": Script(reports=("delivered", "delivered", "delivered")),
    "9990009": Script(reports=()),
    "9990010": Script(reports=("failed", "delivered")),
    "9990011": Script(reports=("delivered", "sent")),
}
"""0001 delivered · 0002 failed · 0003 expired · 0004 refused as invalid · 0005 times out, in doubt ·
0006 not sent twice, then delivered · 0007 reported before it is answered · 0008 reported three times ·
0009 never reported · 0010 failed, then delivered after all · 0011 delivered, then a late "sent"."""

ORDINARY: Final = Script()
"""Every other recipient: delivered."""

NOT_SENT_ATTEMPTS: Final = 2


def script_of(to: str) -> Script:
    """The script of a recipient, written with or without `+`."""
    return MAGIC.get(to[-MAGIC_DIGITS:], ORDINARY)


_PATH: Final = "/test/submit"
_HEADERS: Final = {"content-type": "application/json"}
_REFUSED: Final = SubmitOutcome(Outcome.REFUSED, "invalid_number", "a magic recipient: refused as invalid")
_NOT_SENT: Final = SubmitOutcome(Outcome.NOT_SENT, "system_error", "a magic recipient: try again")
_UNREADABLE: Final = SubmitOutcome(Outcome.IN_DOUBT, "unreadable_answer", "the answer holds no verdict")
_VERDICTS: Final = {"refused": _REFUSED, "not_sent": _NOT_SENT}
_ERROR_CODES: Final[Mapping[ReportStatus, str]] = {
    "failed": "delivery_impossible",
    "expired": "expired_at_network",
}
_STATUSES: Final[frozenset[str]] = frozenset(get_args(ReportStatus))


@dataclass(frozen=True, slots=True)
class TestAnswer:
    """What would have come over the network: the answer, or how the call failed; and bodies of reports.

    `early` reports come before the answer is recorded, `reports` after; each is the body of one `RawReport`.
    """

    answer: HttpAnswer | TransportFailure
    early: tuple[bytes, ...] = ()
    reports: tuple[bytes, ...] = ()

    __test__ = False  # tells pytest that this name is no test


class TestMode:
    """The adapter, and with `answer` its counterpart. One submit a call: a timeout hurts no neighbour."""

    __test__ = False
    name: Final = "test"
    capabilities: Final = Capabilities(max_bulk=1, flash=True, ucs2=True, countries=None)

    def submit(self, credentials: Credentials, submits: Sequence[Submit]) -> HttpCall:
        check_bulk(submits, self.capabilities.max_bulk)
        submit = submits[0]
        asked = {"id": submit.reference, "to": submit.to, "attempt": submit.attempt}
        return HttpCall("POST", _PATH, _HEADERS, to_json(asked))

    def answer(self, call: HttpCall) -> TestAnswer:
        """Play the aggregator for a `call` of `submit`'s making. ValueError for any other."""
        asked: Any = parsing.json(call.body)
        if call.path != _PATH or type(asked) is not dict:
            raise ValueError("not a call of test mode")
        script = script_of(asked["to"])
        if script.reaction is Reaction.REFUSE:
            return TestAnswer(_answer({"verdict": "refused"}))
        if script.reaction is Reaction.TIMEOUT:
            return TestAnswer(TransportFailure.TIMEOUT)
        if script.reaction is Reaction.NOT_SENT_TWICE and asked["attempt"] <= NOT_SENT_ATTEMPTS:
            return TestAnswer(_answer({"verdict": "not_sent"}))
        aggregator_id = f"test-{asked['id']}-{asked['attempt']}"
        reports = tuple(to_json({"id": aggregator_id, "status": status}) for status in script.reports)
        accepted = _answer({"verdict": "accepted", "id": aggregator_id})
        if script.early:
            return TestAnswer(accepted, early=reports)
        return TestAnswer(accepted, reports=reports)

    def read_submit(self, answer: HttpAnswer, submits: Sequence[Submit]) -> list[SubmitOutcome]:
        return [_read_verdict(parsing.json(answer.body))] * len(submits)

    def read_reports(self, raw: RawReport) -> list[Report]:
        body = parsing.json(raw.body)
        if type(body) is not dict:
            raise Unreadable("not an object")
        aggregator_id, status = parsing.text(body.get("id")), body.get("status")
        if aggregator_id is None:
            raise Unreadable("no message id")
        if type(status) is not str or status not in _STATUSES:
            raise Unreadable("no such status")
        known: ReportStatus = status  # type: ignore[assignment]  # one of its arguments, as just seen
        return [Report(aggregator_id, known, known, _ERROR_CODES.get(known))]


def _answer(said: Mapping[str, str]) -> HttpAnswer:
    return HttpAnswer(200, _HEADERS, to_json(said))


def _read_verdict(body: object) -> SubmitOutcome:
    if type(body) is not dict:
        return _UNREADABLE
    verdict = body.get("verdict")
    if type(verdict) is not str:
        return _UNREADABLE
    if verdict != "accepted":
        return _VERDICTS.get(verdict, _UNREADABLE)
    aggregator_id = parsing.text(body.get("id"))
    if aggregator_id is None:
        return _UNREADABLE
    return SubmitOutcome(Outcome.ACCEPTED, "accepted", aggregator_id=aggregator_id)
