"""The wire formats of the SMS aggregators, one module each, both directions. Pure: no I/O at all, no clock.

Doors: `submit` and `read_submit` (sms-worker), `read_reports` (dlr-processor), `poll` and `read_poll` of a
`Pollable`, `read_transport_failure` for calls without an answer. Only here is it decided which answer means
which `Outcome`. What must never happen in here: an await, a clock, a log line, or a secret, a recipient or a
text in a `repr` or a `detail`.

A new aggregator is a new module, its line in `READERS`, and its case in `tests/test_conformance.py`. What the
answers and reports of all have in common is in `verdicts` and `parsing`.
"""

from collections.abc import Mapping
from typing import Final

from sema_aggregators.africastalking import AfricasTalking
from sema_aggregators.celcom import Celcom
from sema_aggregators.port import (
    Aggregator,
    Capabilities,
    Credentials,
    HttpAnswer,
    HttpCall,
    Outcome,
    Poll,
    Pollable,
    PollState,
    RawReport,
    Report,
    ReportStatus,
    Submit,
    SubmitOutcome,
    TransportFailure,
    Unreadable,
    read_transport_failure,
)
from sema_aggregators.test_mode import TestAnswer, TestMode

READERS: Final[Mapping[str, Aggregator]] = {
    adapter.name: adapter for adapter in (Celcom(), AfricasTalking(), TestMode())
}
"""Who reads the reports that came in under which name; a report does not depend on an account's settings."""

__all__ = [
    "READERS",
    "AfricasTalking",
    "Aggregator",
    "Capabilities",
    "Celcom",
    "Credentials",
    "HttpAnswer",
    "HttpCall",
    "Outcome",
    "Poll",
    "PollState",
    "Pollable",
    "RawReport",
    "Report",
    "ReportStatus",
    "Submit",
    "SubmitOutcome",
    "TestAnswer",
    "TestMode",
    "TransportFailure",
    "Unreadable",
    "read_transport_failure",
]
