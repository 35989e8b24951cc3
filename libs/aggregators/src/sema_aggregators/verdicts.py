"""What the answers of all aggregators have in common: statuses that no body can soften, one verdict per message.

Shared by the adapters. Knows no aggregator's names or codes; `who` is only put into the details. What must
never happen in here: *not sent* or *refused* for what may have been taken.
"""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from sema_aggregators import parsing
from sema_aggregators.port import HttpAnswer, Outcome, SubmitOutcome


class Verdict(NamedTuple):
    """What one documented code means."""

    outcome: Outcome
    code: str
    wait_seconds: float | None = None
    suppress: bool = False


ACCOUNT_STATUSES: Final = frozenset({301, 302, 303, 307, 308, 401, 402, 403, 404, 405, 410})
"""Wrong key, caller's address or base URL: no message is at fault, none gets through until it is mended."""

MAX_SHOWN: Final = 99_999
"""Codes up to here are shown in a detail; a greater one is no code, and might be somebody's number."""


def accepted(who: str, aggregator_id: str | None) -> SubmitOutcome:
    """Success; without an id no report will ever be matched to it, so that it is in doubt."""
    if aggregator_id is None:
        return SubmitOutcome(Outcome.IN_DOUBT, "no_aggregator_id", f"{who} said success without a message id")
    return SubmitOutcome(Outcome.ACCEPTED, "accepted", aggregator_id=aggregator_id)


def of_code(who: str, verdicts: Mapping[int, Verdict], code: int | None) -> SubmitOutcome:
    """The outcome of a code that is not success: in doubt, unless it is documented."""
    if code is None:
        return SubmitOutcome(Outcome.IN_DOUBT, "unreadable_answer", f"{who} gave no code for this message")
    verdict = verdicts.get(code)
    if verdict is None:
        shown = code if 0 <= code <= MAX_SHOWN else "a strange code"
        return SubmitOutcome(Outcome.IN_DOUBT, "unknown_code", f"{who} answered {shown}")
    return SubmitOutcome(
        verdict.outcome,
        verdict.code,
        f"{who} answered {code}",
        wait_seconds=verdict.wait_seconds,
        suppress=verdict.suppress,
    )


def of_status_alone(who: str, answer: HttpAnswer) -> SubmitOutcome | None:
    """The outcome of statuses that no body can soften; None for all others."""
    if answer.status == 429:
        wait = parsing.retry_after(answer.headers)
        return SubmitOutcome(Outcome.NO_WAY, "http_429", f"{who} asks us to slow down", wait_seconds=wait)
    if answer.status >= 500 or answer.status == 408:
        # A gateway that lost its backend may have passed the texts on before; 408 may have had them all.
        return SubmitOutcome(
            Outcome.IN_DOUBT, f"http_{answer.status}", f"{who} failed while it had the request"
        )
    return None


def of_status(who: str, status: int) -> SubmitOutcome:
    """What a body that says nothing leaves: the status."""
    if status in ACCOUNT_STATUSES:
        return SubmitOutcome(Outcome.ACCOUNT, f"http_{status}", f"{who} turned the call away")
    if 400 <= status < 500:
        return SubmitOutcome(Outcome.NOT_SENT, f"http_{status}", f"{who} refused the call as a whole")
    return SubmitOutcome(Outcome.IN_DOUBT, "unreadable_answer", f"{who}'s answer holds no verdict")


def of_whole_call(outcome: SubmitOutcome, submits: int) -> list[SubmitOutcome]:
    """One verdict on a whole call. It cannot say which of several messages it means, so none is given up."""
    if submits > 1 and outcome.outcome is Outcome.REFUSED:
        outcome = SubmitOutcome(Outcome.NOT_SENT, outcome.code, outcome.detail)
    return [outcome] * submits


def in_order(
    who: str, keys: Sequence[Hashable], said: Iterable[tuple[Hashable, SubmitOutcome]]
) -> list[SubmitOutcome]:
    """The verdicts in the order of `keys`; a message that nobody mentions is in doubt."""
    by_key: dict[Hashable, SubmitOutcome] = {}
    for key, outcome in said:
        known = by_key.get(key)
        if known is None or known.outcome is not Outcome.ACCEPTED:
            # Of two verdicts on one message "accepted" holds: to call it unsent could send it twice.
            by_key[key] = outcome
    unmentioned = SubmitOutcome(
        Outcome.IN_DOUBT, "not_in_answer", f"{who}'s answer does not mention this message"
    )
    outcomes = [by_key.get(key, unmentioned) for key in keys]
    ids = [outcome.aggregator_id for outcome in outcomes if outcome.aggregator_id is not None]
    if len(set(ids)) == len(ids):
        return outcomes
    shared = SubmitOutcome(
        Outcome.IN_DOUBT,
        "shared_aggregator_id",
        f"{who} gave several messages one id: no report can tell them apart",
    )
    return [shared if ids.count(outcome.aggregator_id or "") > 1 else outcome for outcome in outcomes]
