import pytest
from hypothesis import given
from hypothesis import strategies as st

from sema_sms_worker.rules.breaker import Breaker, Rest

REST = Rest(first=1.0, longest=8.0)


@pytest.fixture
def breaker() -> Breaker:
    return Breaker(threshold=3, rest=REST, probe_seconds=15.0)


def fail(breaker: Breaker, times: int, now: float = 0.0) -> None:
    for _ in range(times):
        breaker.failed(now)


def test_it_opens_after_failures_in_a_row(breaker: Breaker) -> None:
    fail(breaker, 2)
    breaker.succeeded(0.0)
    fail(breaker, 2)
    assert (breaker.state(0.0), breaker.admit(0.0)) == ("closed", 0.0)
    fail(breaker, 1)
    assert (breaker.state(0.0), breaker.admit(0.25)) == ("open", 0.75)


def test_after_its_rest_one_call_at_a_time_is_let_through(breaker: Breaker) -> None:
    fail(breaker, 3)
    assert breaker.state(1.0) == "half_open"
    assert breaker.admit(1.0) == 0.0
    assert breaker.admit(2.0) == 14.0
    assert breaker.admit(16.0) == 0.0, "a probe that never came back is replaced"


def test_a_probe_that_was_not_made_lets_the_next_one_through(breaker: Breaker) -> None:
    fail(breaker, 3)
    breaker.admit(1.0)
    breaker.abandoned()
    assert breaker.admit(1.0) == 0.0


def test_a_good_probe_closes_it_and_a_bad_one_doubles_the_rest(breaker: Breaker) -> None:
    fail(breaker, 3)
    now = 1.0
    for rest in (2.0, 4.0, 8.0, 8.0):
        assert breaker.admit(now) == 0.0
        breaker.failed(now)
        assert breaker.admit(now) == rest
        now += rest
    assert breaker.admit(now) == 0.0
    breaker.succeeded(now)
    assert breaker.state(now) == "closed"
    fail(breaker, 3, now)
    assert breaker.admit(now) == 1.0, "the rests start over"


def test_answers_to_calls_from_before_prove_nothing(breaker: Breaker) -> None:
    fail(breaker, 3)
    breaker.succeeded(0.5)
    fail(breaker, 10, 0.5)
    assert breaker.admit(0.5) == 0.5


def test_what_the_aggregator_asks_for_is_waited(breaker: Breaker) -> None:
    breaker.shut(0.0, REST, at_least=30.0)
    assert breaker.admit(10.0) == 20.0
    breaker.shut(10.0, REST, at_least=5.0)
    assert breaker.admit(10.0) == 20.0, "a shorter wish does not shorten a longer one"


Step = st.tuples(st.sampled_from(["failed", "succeeded", "admit", "abandoned", "shut"]), st.floats(0, 20))


@given(st.lists(Step, max_size=60))
def test_whatever_happens_it_admits_again_within_the_longest_rest_and_a_probe(
    steps: list[tuple[str, float]],
) -> None:
    breaker = Breaker(threshold=3, rest=REST, probe_seconds=15.0)
    now = 0.0
    for what, seconds in steps:
        now += seconds
        match what:
            case "failed":
                breaker.failed(now)
            case "succeeded":
                breaker.succeeded(now)
            case "abandoned":
                breaker.abandoned()
            case "shut":
                breaker.shut(now, REST)
            case _:
                breaker.admit(now)
    wait = breaker.admit(now)
    assert 0 <= wait <= 15.0 + 1e-6
    if wait:
        now += wait + 1e-6
        assert breaker.admit(now) == 0.0
