"""What Celcom says to a submit, turned into outcomes.

Answers are matched by `clientsmsid`, never by number (it comes back rewritten) or by place (the order is
undocumented). There is no idempotency and no look-up by our own id: what may have been taken must never be
called *not sent*.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from sema_aggregators import parsing
from sema_aggregators.port import HttpAnswer, Outcome, Submit, SubmitOutcome


class Verdict(NamedTuple):
    """One documented code."""

    outcome: Outcome
    code: str
    wait_seconds: float | None = None


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

ACCOUNT_STATUSES: Final = frozenset({301, 302, 303, 307, 308, 401, 402, 403, 404, 405, 410})
"""Wrong key, caller's address or base URL: no message is at fault, none gets through until it is mended."""

_UNMENTIONED: Final = SubmitOutcome(
    Outcome.IN_DOUBT, "not_in_answer", "celcom's answer does not mention this message"
)
_NO_CODE: Final = SubmitOutcome(Outcome.IN_DOUBT, "unreadable_answer", "celcom gave no code for this message")
_NO_ID: Final = SubmitOutcome(
    Outcome.IN_DOUBT, "no_aggregator_id", "celcom said success without a message id"
)
_SHARED_ID: Final = SubmitOutcome(
    Outcome.IN_DOUBT,
    "shared_aggregator_id",
    "celcom gave several messages one id: no report can tell them apart",
)


def read_submit(answer: HttpAnswer, submits: Sequence[Submit]) -> list[SubmitOutcome]:
    """One outcome per submit, in their order: the one place where Celcom's HTTP becomes a decision."""
    whole = _by_status_alone(answer)
    if whole is not None:
        return [whole] * len(submits)
    body = parsing.json(answer.body)
    if type(body) is dict:
        responses = body.get("responses")
        if type(responses) is list:
            return _read_items(responses, submits)
        code = response_code(body)
        if code is not None and code != SUCCESS:
            return [_refused_whole(code, len(submits))] * len(submits)
    return [_without_verdict(answer.status)] * len(submits)


def response_code(fields: Mapping[str, Any]) -> int | None:
    """The code in an answer or in one of its items."""
    # The misspelt key is the one that Celcom sends; newer white labels spell it right.
    return parsing.number(fields.get("respose-code", fields.get("response-code")))


def _by_status_alone(answer: HttpAnswer) -> SubmitOutcome | None:
    """Statuses that no body can soften."""
    if answer.status == 429:
        wait = parsing.retry_after(answer.headers)
        return SubmitOutcome(Outcome.NO_WAY, "http_429", "celcom asks us to slow down", wait_seconds=wait)
    if answer.status >= 500 or answer.status == 408:
        # A gateway that lost its backend may have passed the texts on before; 408 may have had them all.
        return SubmitOutcome(
            Outcome.IN_DOUBT, f"http_{answer.status}", "celcom failed while it had the request"
        )
    return None


def _without_verdict(status: int) -> SubmitOutcome:
    """What a body that says nothing leaves: the status."""
    if status in ACCOUNT_STATUSES:
        return SubmitOutcome(Outcome.ACCOUNT, f"http_{status}", "celcom turned the call away")
    if 400 <= status < 500:
        return SubmitOutcome(Outcome.NOT_SENT, f"http_{status}", "celcom refused the call as a whole")
    return SubmitOutcome(Outcome.IN_DOUBT, "unreadable_answer", "celcom's answer holds no verdict")


def _refused_whole(code: int, submits: int) -> SubmitOutcome:
    """One code for the whole call. It cannot say which of several messages it means, so none is given up."""
    outcome = _by_code(code)
    if submits > 1 and outcome.outcome is Outcome.REFUSED:
        return SubmitOutcome(Outcome.NOT_SENT, outcome.code, outcome.detail)
    return outcome


def _read_items(responses: list[Any], submits: Sequence[Submit]) -> list[SubmitOutcome]:
    """One verdict per `clientsmsid`; a submit that nobody mentions is in doubt."""
    by_id: dict[int, SubmitOutcome] = {}
    # `sendsms` names no client id: a lone answer to a lone submit needs none.
    alone = submits[0].client_id if len(submits) == 1 == len(responses) else None
    for item in responses:
        if type(item) is not dict:
            continue
        client_id = parsing.number(item.get("clientsmsid"))
        if client_id is None:
            client_id = alone
        if client_id is None:
            continue
        said = by_id.get(client_id)
        if said is None or said.outcome is not Outcome.ACCEPTED:
            # Of two verdicts on one message "accepted" holds: to call it unsent could send it twice.
            by_id[client_id] = _read_item(item)
    outcomes = [by_id.get(submit.client_id, _UNMENTIONED) for submit in submits]
    ids = [outcome.aggregator_id for outcome in outcomes if outcome.aggregator_id is not None]
    if len(set(ids)) == len(ids):
        return outcomes
    return [_SHARED_ID if ids.count(outcome.aggregator_id or "") > 1 else outcome for outcome in outcomes]


def _read_item(item: Mapping[str, Any]) -> SubmitOutcome:
    code = response_code(item)
    if code is None:
        return _NO_CODE
    if code != SUCCESS:
        return _by_code(code)
    aggregator_id = parsing.text(item.get("messageid"))
    if aggregator_id is None:
        return _NO_ID
    return SubmitOutcome(Outcome.ACCEPTED, "accepted", aggregator_id=aggregator_id)


def _by_code(code: int) -> SubmitOutcome:
    verdict = VERDICTS.get(code)
    if verdict is None:
        shown = code if 0 <= code <= 99_999 else "a strange code"
        return SubmitOutcome(Outcome.IN_DOUBT, "unknown_code", f"celcom answered {shown}")
    return SubmitOutcome(
        verdict.outcome,
        verdict.code,
        f"celcom answered {code}",
        wait_seconds=verdict.wait_seconds,
    )
