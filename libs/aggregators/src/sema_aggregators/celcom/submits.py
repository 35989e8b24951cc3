"""What Celcom says to a submit, turned into outcomes.

Answers are matched by `clientsmsid`, never by number (it comes back rewritten) or by place (the order is
undocumented). There is no idempotency and no look-up by our own id: what may have been taken must never be
called *not sent*.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from sema_aggregators import parsing, verdicts
from sema_aggregators.port import HttpAnswer, Outcome, Submit, SubmitOutcome
from sema_aggregators.verdicts import Verdict

WHO: Final = "celcom"
SUCCESS: Final = 200

VERDICTS: Final[Mapping[int, Verdict]] = {
    1001: Verdict(Outcome.REFUSED, "invalid_sender"),
    1002: Verdict(Outcome.REFUSED, "network_not_allowed"),
    1003: Verdict(Outcome.REFUSED, "invalid_number"),
    1004: Verdict(Outcome.ACCOUNT, "low_credit"),
    1005: Verdict(Outcome.NOT_SENT, "system_error"),
    1006: Verdict(Outcome.ACCOUNT, "invalid_credentials"),
    1007: Verdict(Outcome.NOT_SENT, "system_error"),
    1009: Verdict(Outcome.REFUSED, "unsupported_data_type"),
    1010: Verdict(Outcome.REFUSED, "unsupported_request_type"),
    1012: Verdict(Outcome.NOT_SENT, "too_many_in_call"),
    1104: Verdict(Outcome.NOT_SENT, "too_many_in_call"),
    4090: Verdict(Outcome.NOT_SENT, "internal_error", wait_seconds=300.0),
    4091: Verdict(Outcome.ACCOUNT, "no_partner_id"),
    4092: Verdict(Outcome.ACCOUNT, "no_api_key"),
    4093: Verdict(Outcome.ACCOUNT, "details_not_found"),
}
"""Codes of a send, but for success. Any other is ambiguous, 1008 and 1000 (another engine's) among them."""


def read_submit(answer: HttpAnswer, submits: Sequence[Submit]) -> list[SubmitOutcome]:
    """One outcome per submit, in their order: the one place where Celcom's HTTP becomes a decision."""
    whole = verdicts.of_status_alone(WHO, answer)
    if whole is not None:
        return [whole] * len(submits)
    body = parsing.json(answer.body)
    if type(body) is dict:
        responses = body.get("responses")
        if type(responses) is list:
            keys = [submit.client_id for submit in submits]
            return verdicts.in_order(WHO, keys, _read_items(responses, keys))
        code = response_code(body)
        if code is not None and code != SUCCESS:
            return verdicts.of_whole_call(verdicts.of_code(WHO, VERDICTS, code), len(submits))
    return [verdicts.of_status(WHO, answer.status)] * len(submits)


def response_code(fields: Mapping[str, Any]) -> int | None:
    """The code in an answer or in one of its items."""
    # The misspelt key is the one that Celcom sends; newer white labels spell it right.
    return parsing.number(fields.get("respose-code", fields.get("response-code")))


def _read_items(responses: list[Any], keys: Sequence[int]) -> Iterator[tuple[int, SubmitOutcome]]:
    """The verdict on each `clientsmsid`."""
    # `sendsms` names no client id: a lone answer to a lone submit needs none.
    alone = keys[0] if len(keys) == 1 == len(responses) else None
    for item in responses:
        if type(item) is not dict:
            continue
        client_id = parsing.number(item.get("clientsmsid"))
        if client_id is None:
            client_id = alone
        if client_id is not None:
            yield client_id, _read_item(item)


def _read_item(item: Mapping[str, Any]) -> SubmitOutcome:
    code = response_code(item)
    if code == SUCCESS:
        return verdicts.accepted(WHO, parsing.text(item.get("messageid")))
    return verdicts.of_code(WHO, VERDICTS, code)
