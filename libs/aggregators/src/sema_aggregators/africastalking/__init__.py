"""Africa's Talking: bulk messaging by its form-encoded door, and the delivery report it calls back with.

The key travels in a header, success is HTTP 201 with a verdict per recipient, and failures may be plain text.
One call carries one text to one or many recipients. What must never happen in here: the key in a body, or a
recipient twice in a call, since answers name nothing but the number.

Of a subscriber's first message from an alphanumeric sender it makes more than we sent: it appends how to opt
out. What it charges us may exceed our own count of segments; what a customer pays does not.
"""

from collections.abc import Sequence
from typing import Final
from urllib.parse import urlencode

from sema_aggregators.africastalking.reports import read_reports
from sema_aggregators.africastalking.submits import WHO, read_submit
from sema_aggregators.port import (
    Capabilities,
    Credentials,
    HttpAnswer,
    HttpCall,
    RawReport,
    Report,
    Submit,
    SubmitOutcome,
    check_bulk,
)

MESSAGING: Final = "/version1/messaging"
"""The door that live and sandbox accounts have; the JSON one (`/bulk`) is not open on its sandbox."""

MAX_BULK: Final = 20
"""Recipients of one call. Its limit is undocumented; ours is Celcom's, so that a crash leaves no more in doubt."""

COUNTRIES: Final = frozenset({"KE", "UG", "TZ", "RW", "NG", "MW"})
"""Where its reports name networks."""

_CONTENT_TYPE: Final = "application/x-www-form-urlencoded"


class AfricasTalking:
    """One account's dialect; `Credentials.user` is its user name.

    `bulk`: several recipients a call, who then must share sender and text; without, one. `ucs2`: it chooses
    the encoding itself, and carries Unicode unless an account is shown not to. `countries`: where its sender
    names are approved.
    """

    name: Final = WHO

    def __init__(
        self,
        *,
        ucs2: bool = True,
        countries: frozenset[str] | None = COUNTRIES,
        bulk: bool = False,
    ) -> None:
        self.capabilities: Final = Capabilities(
            max_bulk=MAX_BULK if bulk else 1, flash=False, ucs2=ucs2, countries=countries, one_text=True
        )

    def submit(self, credentials: Credentials, submits: Sequence[Submit]) -> HttpCall:
        check_bulk(submits, self.capabilities.max_bulk, one_text=True)
        form = {
            "username": credentials.user,
            "to": ",".join(submit.to for submit in submits),
            "message": submits[0].text,
            "from": submits[0].sender,
            "bulkSMSMode": "1",  # the sender pays
            # Its default is documented both ways. Not queued: the verdict on each number is in the answer.
            "enqueue": "0",
        }
        headers = {"apiKey": credentials.secret, "content-type": _CONTENT_TYPE, "accept": "application/json"}
        return HttpCall("POST", MESSAGING, headers, urlencode(form).encode())

    def read_submit(self, answer: HttpAnswer, submits: Sequence[Submit]) -> list[SubmitOutcome]:
        return read_submit(answer, submits)

    def read_reports(self, raw: RawReport) -> list[Report]:
        return read_reports(raw)
