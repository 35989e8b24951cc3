"""Celcom Africa and its white labels: `sendbulk` or `sendsms`, `getdlr`, and the pushed report.

The key travels in every body, and the verdict comes in the body, one per recipient, while HTTP says 200 to
nearly everything. What must never happen in here: a GET, which would put the key into the URL.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from pydantic_core import to_json

from sema_aggregators import parsing
from sema_aggregators.celcom.reports import read_reports
from sema_aggregators.celcom.submits import VERDICTS, WHO, read_submit, response_code
from sema_aggregators.port import (
    Capabilities,
    Credentials,
    HttpAnswer,
    HttpCall,
    Outcome,
    Poll,
    PollState,
    RawReport,
    Report,
    Submit,
    SubmitOutcome,
    Unreadable,
    check_bulk,
)
from sema_aggregators.verdicts import ACCOUNT_STATUSES

SEND_SMS: Final = "/api/services/sendsms/"
SEND_BULK: Final = "/api/services/sendbulk/"
GET_DLR: Final = "/api/services/getdlr/"
MAX_BULK: Final = 20
"""Texts in one `sendbulk`, as Celcom documents it (one white label takes more)."""

_HEADERS: Final = {"content-type": "application/json", "accept": "application/json"}
_NO_REPORT_YET: Final = frozenset({1008, 1009})
_UNKNOWN_ID: Final = 4093


class Celcom:
    """One Celcom account's dialect.

    `ucs2`: the account has been shown to carry Unicode (nothing is published). `countries`: where its routes
    reach; others answer 1002 until support opens them. `bulk=False` uses `sendsms`, one text a call, for
    accounts of white labels without `sendbulk`; its answer names no client id, so one is all it may carry.
    """

    name: Final = WHO

    def __init__(
        self,
        *,
        ucs2: bool = False,
        countries: frozenset[str] | None = frozenset({"KE"}),
        bulk: bool = True,
    ) -> None:
        self.capabilities: Final = Capabilities(
            max_bulk=MAX_BULK if bulk else 1, flash=False, ucs2=ucs2, countries=countries
        )
        self._bulk: Final = bulk

    def submit(self, credentials: Credentials, submits: Sequence[Submit]) -> HttpCall:
        check_bulk(submits, self.capabilities.max_bulk)
        items: list[dict[str, str | int]] = [
            {
                "partnerID": credentials.user,
                "apikey": credentials.secret,
                "pass_type": "plain",
                "clientsmsid": submit.client_id,
                "mobile": submit.to.removeprefix("+"),
                "message": submit.text,
                "shortcode": submit.sender,
            }
            for submit in submits
        ]
        if self._bulk:
            return HttpCall("POST", SEND_BULK, _HEADERS, to_json({"count": len(items), "smslist": items}))
        del items[0]["clientsmsid"]
        return HttpCall("POST", SEND_SMS, _HEADERS, to_json(items[0]))

    def read_submit(self, answer: HttpAnswer, submits: Sequence[Submit]) -> list[SubmitOutcome]:
        return read_submit(answer, submits)

    def read_reports(self, raw: RawReport) -> list[Report]:
        return read_reports(raw)

    def poll(self, credentials: Credentials, aggregator_id: str) -> HttpCall:
        asked = {"apikey": credentials.secret, "partnerID": credentials.user, "messageID": aggregator_id}
        return HttpCall("POST", GET_DLR, _HEADERS, to_json(asked))

    def read_poll(self, answer: HttpAnswer, aggregator_id: str, received_at: datetime) -> Poll:
        if answer.status == 429:
            return Poll(PollState.TRY_LATER, wait_seconds=parsing.retry_after(answer.headers))
        if answer.status in ACCOUNT_STATUSES:
            return Poll(PollState.ACCOUNT)
        if answer.status != 200:
            return Poll(PollState.TRY_LATER)
        try:
            for report in read_reports(RawReport("", "", answer.body, received_at)):
                if report.aggregator_id == aggregator_id:
                    return Poll(PollState.READY, report)
        except Unreadable:
            pass  # most answers are no report: their code says why
        body = parsing.json(answer.body)
        code = response_code(body) if type(body) is dict else None
        if code in _NO_REPORT_YET:
            return Poll(PollState.PENDING)
        if code == _UNKNOWN_ID:
            return Poll(PollState.UNKNOWN_ID)
        verdict = VERDICTS.get(code) if code is not None else None
        if verdict is None:
            return Poll(PollState.TRY_LATER)
        state = PollState.ACCOUNT if verdict.outcome is Outcome.ACCOUNT else PollState.TRY_LATER
        return Poll(state, wait_seconds=verdict.wait_seconds)
