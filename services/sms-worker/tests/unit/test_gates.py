"""When a route is left alone, and how it comes back."""

from hypothesis import given
from hypothesis import strategies as st

from sema_sms_worker.rules.gates import CALM_SECONDS, OPEN, Gate, Rest

REST = Rest(first=1.0, longest=8.0)
TRIALS = 3


def shut(gate: Gate, now: float, at_least: float = 0.0) -> Gate:
    return gate.shut(now, REST, "failing", "http_500", at_least)


def test_shut_it_rests_and_is_then_on_trial() -> None:
    gate = shut(OPEN, 100.0)
    assert [gate.state(now) for now in (100.0, 100.9, 101.0)] == ["shut", "shut", "trial"]


def test_it_is_open_only_after_so_many_good_trials_in_a_row() -> None:
    gate = shut(OPEN, 0.0)
    for _ in range(TRIALS - 1):
        gate = gate.trial_went_well(1.0, TRIALS)
        assert gate.state(1.0) == "trial"
    failed_again = shut(gate, 1.0)
    assert failed_again.passed == 0
    gate = gate.trial_went_well(1.0, TRIALS)
    assert (gate.state(1.0), gate.opened_at) == ("open", 1.0), "what was counted before is forgotten"


def test_each_rest_is_twice_the_one_before_up_to_the_longest() -> None:
    gate, now, rests = OPEN, 0.0, []
    for _ in range(5):
        gate = shut(gate, now)
        rests.append(gate.until - now)
        now = gate.until
    assert rests == [1.0, 2.0, 4.0, 8.0, 8.0]


def test_a_route_that_flaps_rests_longer_and_a_calm_one_begins_again() -> None:
    def opened(gate: Gate, now: float) -> Gate:
        for _ in range(TRIALS):
            gate = gate.trial_went_well(now, TRIALS)
        return gate

    gate = opened(shut(OPEN, 0.0), 1.0)
    flapping = shut(gate, 2.0)
    assert flapping.until - 2.0 == 2.0
    calm = shut(gate, 1.0 + CALM_SECONDS)
    assert calm.until - calm.shut_at == 1.0 if calm.shut_at else False


def test_what_the_aggregator_asks_for_is_waited_and_a_shorter_wish_shortens_nothing() -> None:
    gate = shut(OPEN, 0.0, at_least=30.0)
    assert gate.until == 30.0
    assert shut(gate, 10.0, at_least=5.0) is gate
    assert shut(gate, 10.0, at_least=60.0).until == 70.0


def test_answers_to_calls_from_before_do_not_lengthen_a_rest() -> None:
    gate = shut(OPEN, 0.0)
    assert shut(gate, 0.5) is gate
    assert gate.trial_went_well(0.5, TRIALS) is gate


@given(st.lists(st.tuples(st.sampled_from(["shut", "well"]), st.floats(0, 20)), max_size=60))
def test_whatever_happens_it_may_be_tried_within_the_longest_rest_and_versions_only_climb(
    steps: list[tuple[str, float]],
) -> None:
    gate, now = OPEN, 0.0
    for what, seconds in steps:
        now += seconds
        before = gate
        gate = shut(gate, now) if what == "shut" else gate.trial_went_well(now, TRIALS)
        assert gate.version > before.version or gate == before
    assert gate.state(now + REST.longest) != "shut"
