"""What counts against an aggregator, and how much may be lost before that is known."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sema_aggregators import Outcome, SubmitOutcome, TransportFailure, read_transport_failure
from sema_common.messages.routes import Tally
from sema_sms_worker.rules.health import Call, Calls, Limits, call_failed, verdict

LIMITS = Limits()


@pytest.mark.parametrize("failure", list(TransportFailure))
def test_every_transport_failure_counts(failure: TransportFailure) -> None:
    assert call_failed([read_transport_failure(failure)])


@pytest.mark.parametrize(
    ("outcome", "code", "counts"),
    [
        (Outcome.IN_DOUBT, "http_500", True),
        (Outcome.IN_DOUBT, "http_503", True),
        (Outcome.NO_WAY, "http_429", True),
        (Outcome.ACCEPTED, "accepted", False),
        (Outcome.REFUSED, "invalid_number", False),
        (Outcome.REFUSED, "invalid_sender", False),
        (Outcome.NOT_SENT, "system_error", False),
        (Outcome.NOT_SENT, "http_400", False),
        (Outcome.IN_DOUBT, "unreadable_answer", False),
        (Outcome.ACCOUNT, "low_credit", False),
    ],
)
def test_only_what_says_something_about_the_aggregator_counts(
    outcome: Outcome, code: str, counts: bool
) -> None:
    assert call_failed([SubmitOutcome(outcome, code)]) is counts


@pytest.mark.parametrize(
    ("tally", "why"),
    [
        (Tally(calls=50, failed=10), "failing"),
        (Tally(calls=50, failed=9), None),
        (Tally(calls=49, failed=49), None),
        (Tally(calls=1000, failed=10, delivered=25, undelivered=25), "undelivered"),
        (Tally(delivered=26, undelivered=24), None),
        (Tally(delivered=24, undelivered=25), None),
        (Tally(delivered=50, latency_ms=50 * 300_001), "slow"),
        (Tally(delivered=50, latency_ms=50 * 299_000), None),
        (Tally(delivered=49, latency_ms=49 * 900_000), None),
    ],
)
def test_a_window_is_judged_by_share_and_by_number(tally: Tally, why: str | None) -> None:
    assert verdict(tally, LIMITS) == why


def call(now: float) -> Call:
    return Call(now, frozenset({"Safaricom"}))


def test_a_success_ends_the_row() -> None:
    calls = Calls(LIMITS)
    for failed in (True, True, False, True):
        calls.ended(calls.began(call(0.0)), 0.01, failed)
    assert calls.row == 1


def test_a_call_that_says_nothing_counts_once_and_before_it_ends() -> None:
    calls = Calls(LIMITS)
    numbers = [calls.began(call(0.0)) for _ in range(3)]
    assert calls.stalled(2.9) == []
    assert len(calls.stalled(3.0)) == 3
    assert calls.stalled(3.1) == []
    assert calls.row == 3
    calls.ended(numbers[0], 15.0, failed=True)
    assert calls.row == 3


def test_answers_that_keep_coming_earn_room_for_more_calls_at_once() -> None:
    calls = Calls(LIMITS)
    assert calls.room(0.0) == LIMITS.row, "nothing is known of it"
    now = 0.0
    wide: list[int] = []
    for _ in range(5):
        wide = [calls.began(call(now)) for _ in range(calls.room(now))]
        now += 0.02
        for number in wide:
            calls.ended(number, now, failed=False)
    assert len(wide) > 3 * LIMITS.row
    assert calls.room(now + 1.1) == LIMITS.row, "what answered a while ago proves nothing"


def test_a_lightly_used_aggregator_is_trusted_with_few_more_calls_than_may_be_lost() -> None:
    calls = Calls(LIMITS)
    for i in range(500):
        calls.ended(calls.began(call(i / 100)), i / 100 + 0.005, failed=False)
    assert calls.room(5.0) <= LIMITS.row + 2


def test_workers_share_what_may_be_lost_before_they_hear_of_each_other() -> None:
    calls = Calls(LIMITS)
    calls.workers = 2

    def fail() -> int:
        lost = 0
        while calls.room(0.0):
            calls.ended(calls.began(call(0.0)), 0.0, failed=True)
            lost += 1
        return lost

    assert fail() == 5
    calls.hear(5)
    assert fail() == 2, "the other one has lost nothing yet"
    calls.hear(9)
    assert fail() == 1
    calls.hear(10)
    assert calls.room(0.0) == 0
    calls.forget()
    calls.workers = 1
    assert fail() == LIMITS.row, "alone"


def test_a_slow_aggregator_is_not_taken_for_a_silent_one() -> None:
    calls = Calls(LIMITS)
    now = 0.0
    for _ in range(50):
        calls.ended(calls.began(call(now)), now := now + 0.2, failed=False)
    for _ in range(5):
        calls.began(call(now))
    assert calls.room(now + 0.7) == LIMITS.row + 1 - 5
    assert calls.room(now + 0.9) == LIMITS.row - 5, "unless it takes four times as long as usual"


@given(
    st.lists(st.tuples(st.sampled_from(["call", "fail", "wait"]), st.floats(0, 1.0)), max_size=200),
)
def test_after_the_first_sign_of_trouble_fewer_calls_are_lost_than_shut_it(
    steps: list[tuple[str, float]],
) -> None:
    """A dead aggregator: calls fail or hang. Once one has failed, lost and outstanding together stay below the row."""
    calls = Calls(LIMITS)
    out = [calls.began(call(0.0))]
    calls.ended(out.pop(), 0.0, failed=True)
    left = 1
    now = 0.0
    for what, seconds in steps:
        if what == "wait":
            now += seconds
            calls.stalled(now)
        elif what == "fail" and out:
            calls.ended(out.pop(), now, failed=True)
        elif what == "call" and calls.room(now) > 0:
            out.append(calls.began(call(now)))
            left += 1
    assert left <= LIMITS.row
