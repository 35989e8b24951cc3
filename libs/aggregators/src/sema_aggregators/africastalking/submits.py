"""What Africa's Talking says to a submit, turned into outcomes.

Answers are matched by number: there is no client id, which is why no recipient is twice in a call. There is
no idempotency either: what may have been taken must never be called *not sent*.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from sema_aggregators import parsing, verdicts
from sema_aggregators.port import HttpAnswer, Outcome, Submit, SubmitOutcome
from sema_aggregators.verdicts import Verdict

WHO: Final = "africastalking"
SUCCESS: Final = frozenset({100, 101, 102})
"""Processed, Sent, Queued."""

NAMES: Final[Mapping[str, int]] = {
    "riskhold": 401,
    "invalidsenderid": 402,
    "invalidphonenumber": 403,
    "unsupportednumbertype": 404,
    "insufficientbalance": 405,
    "userinblacklist": 406,
    "couldnotroute": 407,
    "donotdisturbrejection": 409,
    "internalservererror": 500,
    "gatewayerror": 501,
    "rejectedbygateway": 502,
}
"""How a call is refused as a whole: by name, in letters of either case. They are codes of the body, not of HTTP."""

VERDICTS: Final[Mapping[int, Verdict]] = {
    # A fraud check holds this text back; an alert tells staff, since the account may be next.
    401: Verdict(Outcome.REFUSED, "risk_hold"),
    402: Verdict(Outcome.REFUSED, "invalid_sender"),
    403: Verdict(Outcome.REFUSED, "invalid_number"),
    404: Verdict(Outcome.REFUSED, "unsupported_number_type"),
    405: Verdict(Outcome.ACCOUNT, "low_credit"),
    406: Verdict(Outcome.REFUSED, "recipient_opted_out", suppress=True),
    407: Verdict(Outcome.REFUSED, "could_not_route"),
    # Nigeria: promotions from 20:00 to 08:00, or a number on the register. Which of the two is not said, so it
    # suppresses nobody.
    409: Verdict(Outcome.REFUSED, "do_not_disturb"),
    500: Verdict(Outcome.NOT_SENT, "system_error"),
    501: Verdict(Outcome.NOT_SENT, "gateway_error"),
    502: Verdict(Outcome.REFUSED, "rejected_by_gateway"),
}
"""Codes of a recipient, but for success. Any other is ambiguous."""

_OF_THE_CALL: Final = frozenset({402})
"""Refusals of what all messages of a call share, its sender: they are true of each of them."""

_DND: Final = 409
"""The one of its codes that was also seen as the status of HTTP."""

_BAD_KEY: Final = "authenticationisinvalid"
"""Part of the plain text that a wrong key or user name is answered with."""

_NO_ID: Final = "None"
"""What stands in the place of an id where there is none."""


def read_submit(answer: HttpAnswer, submits: Sequence[Submit]) -> list[SubmitOutcome]:
    """One outcome per submit, in their order: the one place where its HTTP becomes a decision."""
    whole = verdicts.of_status_alone(WHO, answer)
    if whole is not None:
        return [whole] * len(submits)
    body = parsing.json(answer.body)
    data = body.get("SMSMessageData") if type(body) is dict else None
    if type(data) is dict:
        recipients = data.get("Recipients")
        if type(recipients) is list and recipients:
            keys = [submit.to.removeprefix("+") for submit in submits]
            return verdicts.in_order(WHO, keys, _read_recipients(recipients, keys))
        said = _letters(data.get("Message"))
    else:
        said = _letters(answer.body[: parsing.MAX_TEXT].decode("utf-8", "replace"))
    if said in NAMES:
        code = NAMES[said]
        outcome = verdicts.of_code(WHO, VERDICTS, code)
        return (
            [outcome] * len(submits)
            if code in _OF_THE_CALL
            else verdicts.of_whole_call(outcome, len(submits))
        )
    if _BAD_KEY in said:
        refusal = SubmitOutcome(Outcome.ACCOUNT, "invalid_credentials", f"{WHO} does not know our key")
        return [refusal] * len(submits)
    if answer.status == _DND:
        return verdicts.of_whole_call(verdicts.of_code(WHO, VERDICTS, _DND), len(submits))
    return [verdicts.of_status(WHO, answer.status)] * len(submits)


def _read_recipients(recipients: list[Any], keys: Sequence[str]) -> Iterator[tuple[str, SubmitOutcome]]:
    """The verdict on each number."""
    # A lone answer to a lone submit is about it, also where its number is masked (the documentation's is).
    alone = keys[0] if len(keys) == 1 == len(recipients) else None
    for recipient in recipients:
        if type(recipient) is not dict:
            continue
        key = _digits(parsing.text(recipient.get("number")) or "") or alone
        if key is not None:
            yield key, _read_recipient(recipient)


def _read_recipient(recipient: Mapping[str, Any]) -> SubmitOutcome:
    code = parsing.number(recipient.get("statusCode"))
    if code in SUCCESS:
        aggregator_id = parsing.text(recipient.get("messageId"))
        return verdicts.accepted(WHO, None if aggregator_id == _NO_ID else aggregator_id)
    return verdicts.of_code(WHO, VERDICTS, code)


def _digits(number: str) -> str | None:
    """The digits of a number in E.164, its `+` or none; None for what is not one."""
    digits = number.removeprefix("+")
    return digits if digits.isascii() and digits.isdigit() else None


def _letters(words: object) -> str:
    """How names are compared: letters only, in lower case."""
    return "".join(filter(str.isalpha, words.lower())) if type(words) is str else ""
