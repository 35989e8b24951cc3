"""The status only climbs."""

from itertools import permutations

from hypothesis import given
from hypothesis import strategies as st

from sema_common.messages.status import FINAL, RANK, Status, climbs, highest

STATUS: st.SearchStrategy[Status] = st.sampled_from(
    ["submitted", "queued", "sent", "delivered", "failed", "expired"]
)


@given(STATUS, STATUS)
def test_two_statuses_never_replace_each_other(one: Status, other: Status) -> None:
    assert not (climbs(one, other) and climbs(other, one))
    assert not climbs(one, one)


@given(STATUS, STATUS, STATUS)
def test_climbing_is_transitive(a: Status, b: Status, c: Status) -> None:
    if climbs(a, b) and climbs(b, c):
        assert climbs(a, c)


@given(st.lists(STATUS, min_size=1, max_size=5))
def test_a_history_adds_up_to_the_same_rank_in_any_order(statuses: list[Status]) -> None:
    assert {RANK[highest(list(order))] for order in permutations(statuses)} == {
        max(RANK[s] for s in statuses)
    }


def test_nothing_leaves_delivered_and_only_delivered_leaves_a_failure() -> None:
    every = list(RANK)
    assert [s for s in every if climbs("delivered", s)] == []  # type: ignore[arg-type]
    for end in ("failed", "expired"):
        assert [s for s in every if climbs(end, s)] == ["delivered"]  # type: ignore[arg-type]
    assert {"delivered", "failed", "expired"} == FINAL
