"""The aggregator behind test keys: its magic recipients do as documented, however often they are asked."""

from datetime import UTC, datetime

import pytest

from sema_aggregators import (
    Celcom,
    Credentials,
    HttpAnswer,
    Outcome,
    RawReport,
    Submit,
    SubmitOutcome,
    TestMode,
    TransportFailure,
    read_transport_failure,
)
from sema_aggregators.test_mode import MAGIC, ORDINARY, script_of

TEST = TestMode()
RECEIVED = datetime(2026, 11, 20, tzinfo=UTC)


def play(suffix: str, attempt: int = 1) -> tuple[SubmitOutcome, list[str | None], list[str | None]]:
    """The outcome, then the statuses reported early and later."""
    submit = Submit(1, "0199-abc", "+25471" + suffix, "SEMALINK", "Habari", attempt=attempt)
    call = TEST.submit(Credentials("", ""), [submit])
    played = TEST.answer(call)
    assert TEST.answer(call) == played
    if not isinstance(played.answer, HttpAnswer):
        return read_transport_failure(played.answer), [], []
    (outcome,) = TEST.read_submit(played.answer, [submit])
    return outcome, statuses(outcome, played.early), statuses(outcome, played.reports)


def statuses(outcome: SubmitOutcome, bodies: tuple[bytes, ...]) -> list[str | None]:
    reports = [TEST.read_reports(RawReport("", "", body, RECEIVED))[0] for body in bodies]
    assert all(report.aggregator_id == outcome.aggregator_id for report in reports)
    return [report.status for report in reports]


@pytest.mark.parametrize(
    ("suffix", "outcome", "early", "later"),
    [
        ("9990001", Outcome.ACCEPTED, [], ["delivered"]),
        ("9990002", Outcome.ACCEPTED, [], ["failed"]),
        ("9990003", Outcome.ACCEPTED, [], ["expired"]),
        ("9990004", Outcome.REFUSED, [], []),
        ("9990005", Outcome.IN_DOUBT, [], []),
        ("9990006", Outcome.NOT_SENT, [], []),
        ("9990007", Outcome.ACCEPTED, ["delivered"], []),
        ("9990008", Outcome.ACCEPTED, [], ["delivered", "delivered", "delivered"]),
        ("9990009", Outcome.ACCEPTED, [], []),
        ("9990010", Outcome.ACCEPTED, [], ["failed", "delivered"]),
        ("9990011", Outcome.ACCEPTED, [], ["delivered", "sent"]),
        ("2345678", Outcome.ACCEPTED, [], ["delivered"]),
    ],
)
def test_the_table(suffix: str, outcome: Outcome, early: list[str], later: list[str]) -> None:
    assert (suffix in MAGIC) == suffix.startswith("999")
    played = play(suffix)
    assert (played[0].outcome, played[1], played[2]) == (outcome, early, later)


def test_not_sent_twice_is_accepted_at_the_third_attempt() -> None:
    assert [play("9990006", attempt)[0].outcome for attempt in (1, 2, 3)] == [
        Outcome.NOT_SENT,
        Outcome.NOT_SENT,
        Outcome.ACCEPTED,
    ]


def test_attempts_have_ids_of_their_own() -> None:
    assert play("9990001", 1)[0].aggregator_id != play("9990001", 2)[0].aggregator_id


def test_a_running_series_of_numbers_meets_no_magic() -> None:
    assert all(script_of(f"+254712{at:06d}") is ORDINARY for at in range(0, 990_000, 7))
    assert script_of("254719990002") is MAGIC["9990002"]


def test_answer_takes_only_its_own_calls() -> None:
    call = Celcom().submit(Credentials("1", "k"), [Submit(1, "m", "+254712345678", "S", "t")])
    with pytest.raises(ValueError, match="test mode"):
        TEST.answer(call)


@pytest.mark.parametrize("failure", TransportFailure)
def test_only_what_surely_never_left_may_be_sent_again(failure: TransportFailure) -> None:
    before = {TransportFailure.DNS, TransportFailure.CONNECT, TransportFailure.TLS}
    outcome = read_transport_failure(failure)
    assert outcome.outcome is (Outcome.NO_WAY if failure in before else Outcome.IN_DOUBT)
    assert outcome.code == f"transport_{failure.value}"
