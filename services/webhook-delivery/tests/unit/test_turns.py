"""Fairness: no target takes what another needs, and a failing one is left alone."""

from dataclasses import dataclass, field
from uuid import UUID, uuid4

from hypothesis import given
from hypothesis import strategies as st

from sema_webhook_delivery import turns
from sema_webhook_delivery.rules import Verdict
from sema_webhook_delivery.turns import Turns

GOOD, BAD = Verdict.DELIVERED, Verdict.FAILED


@dataclass(frozen=True)
class Item:
    target: str
    start_before: float = 1e9
    id: UUID = field(default_factory=uuid4)


def make(slots: int = 16, window: int = 4, max_waiting: int = 1000) -> Turns[Item]:
    return Turns(slots=slots, window=window, max_waiting=max_waiting)


def offer(desk: Turns[Item], target: str, count: int = 1, now: float = 0.0) -> None:
    for _ in range(count):
        desk.offer(Item(target), now)


def start(desk: Turns[Item], now: float = 0.0) -> list[Item]:
    started = []
    while (item := desk.next(now)) is not None:
        started.append(item)
    return started


def prove(desk: Turns[Item], *targets: str) -> None:
    for target in targets:
        offer(desk, target)
        (item,) = start(desk)
        desk.finished(item, GOOD, 0.0)


def test_a_new_target_is_tried_with_one_delivery_and_then_gets_its_window() -> None:
    desk = make()
    offer(desk, "a", 10)
    (first,) = start(desk)
    desk.finished(first, GOOD, 0.1)
    assert len(start(desk, 0.1)) == 4


def test_targets_take_turns() -> None:
    desk = make(slots=4)
    prove(desk, "a", "b")
    offer(desk, "a", 10)
    offer(desk, "b", 10)
    assert [i.target for i in start(desk)] == ["a", "b", "a", "b"]


def test_hanging_targets_leave_half_of_the_slots_to_the_healthy() -> None:
    desk = make(slots=16)
    prove(desk, "good")
    for n in range(100):
        offer(desk, f"hangs-{n}", 5)
    assert len(start(desk)) == 8
    offer(desk, "good", 10)
    assert [i.target for i in start(desk)] == ["good"] * 4


def test_a_healthy_target_that_begins_to_hang_loses_its_precedence_within_a_second() -> None:
    desk = make(slots=16)
    for n in range(100):
        prove(desk, f"t-{n}")
    for n in range(6):
        offer(desk, f"t-{n}")
    assert len(start(desk)) == 6
    for n in range(6):
        offer(desk, f"t-{n}", 3, now=2.0)
    assert start(desk, 2.0) == []
    offer(desk, "t-50", 10, now=2.0)
    assert len(start(desk, 2.0)) == 4


def test_five_failures_in_a_row_close_a_line_and_return_what_waits() -> None:
    desk = make()
    offer(desk, "a", 8)
    for n in range(5):
        (item,) = start(desk)
        back = desk.finished(item, BAD, 0.0)
        assert len(back) == (0 if n < 4 else 3)
    assert desk.is_closed("a", 0.0)
    assert desk.refused_for("a", 0.0, 0.0) == turns.PAUSE_FIRST
    assert desk.refused_for("a", 10.0, 0.5) == 1.5 * turns.PAUSE_FIRST - 10.0
    assert (desk.waiting, desk.in_flight) == (0, 0)


def test_a_failed_probe_doubles_the_pause_and_a_good_one_ends_it() -> None:
    desk = make()
    now = 0.0
    for n in range(12):
        offer(desk, "a", 1, now)
        (item,) = start(desk, now)
        desk.finished(item, BAD, now)
        if n >= 4:
            pause = min(turns.PAUSE_FIRST * 2 ** (n - 4), turns.PAUSE_LAST)
            assert desk.is_closed("a", now + pause - 0.01)
            now += pause
            assert not desk.is_closed("a", now)
    offer(desk, "a", 3, now)
    (probe,) = start(desk, now)
    desk.finished(probe, GOOD, now)
    assert len(start(desk, now)) == 2


def test_failures_of_what_was_in_flight_when_the_line_closed_add_nothing() -> None:
    desk = make(window=8)
    prove(desk, "a")
    offer(desk, "a", 8)
    for item in start(desk):
        desk.finished(item, BAD, 0.0)
    assert not desk.is_closed("a", turns.PAUSE_FIRST)


def test_a_receiver_that_asks_for_rest_gets_it() -> None:
    desk = make()
    prove(desk, "a", "b")
    offer(desk, "a", 3)
    first, *rest = start(desk)
    assert desk.finished(first, Verdict.THROTTLED, 0.0, 120.0) == []
    assert desk.is_closed("a", 119.0)
    assert not desk.is_closed("b", 0.0)
    for item in rest:
        desk.finished(item, BAD, 0.0)


def test_a_claim_that_has_waited_too_long_is_not_used() -> None:
    desk = make()
    desk.offer(Item("a", start_before=1.0), 0.0)
    desk.offer(Item("a", start_before=9.0), 0.0)
    (item,) = start(desk, 2.0)
    assert item.start_before == 9.0
    assert desk.waiting == 0


def test_an_id_that_waits_already_keeps_its_place_under_the_newer_claim() -> None:
    desk = make()
    again = uuid4()
    desk.offer(Item("a", start_before=1.0, id=again), 0.0)
    offer(desk, "a")
    desk.offer(Item("a", start_before=9.0, id=again), 0.0)
    assert desk.waiting == 2
    (item,) = start(desk, 2.0)
    assert (item.id, item.start_before) == (again, 9.0)
    assert desk.waiting == 1


def test_an_id_in_flight_is_not_taken_again_and_gives_its_slot_back() -> None:
    desk = make()
    prove(desk, "a")
    offer(desk, "a")
    (item,) = start(desk)
    desk.offer(item, 0.0)
    assert (desk.waiting, start(desk)) == (0, [])
    desk.finished(item, GOOD, 0.0)
    assert desk.in_flight == 0


def test_memory_is_bounded_per_target_and_in_all() -> None:
    desk = make(max_waiting=turns.LINE_MAX + 1)
    prove(desk, "a")
    offer(desk, "a", turns.LINE_MAX)
    assert desk.refused_for("a", 0.0, 0.25) == 1.25 * turns.SPILL_PROVEN
    assert desk.refused_for("b", 0.0, 0.25) is None
    offer(desk, "b")
    assert desk.refused_for("c", 0.0, 0.25) == 1.25 * turns.SPILL_OTHER
    assert not desk.has_space
    assert len(desk.drain()) == turns.LINE_MAX + 1
    assert desk.has_space


@given(st.data())
def test_whatever_happens_counts_agree_and_nothing_is_stuck(data: st.DataObject) -> None:
    desk = make(slots=6, window=3)
    open_: list[Item] = []
    now = 0.0
    offered = ended = 0
    for _ in range(data.draw(st.integers(1, 60))):
        now += data.draw(st.sampled_from([0.0, 0.3, 2.0, 40.0]))
        action = data.draw(st.sampled_from(["offer", "again", "start", "finish"]))
        if action == "offer":
            offer(desk, data.draw(st.sampled_from("abcdefgh")), 2, now)
            offered += 2
        elif action == "again" and open_:
            desk.offer(open_[data.draw(st.integers(0, len(open_) - 1))], now)
        elif action == "start":
            open_ += start(desk, now)
        elif open_:
            item = open_.pop(data.draw(st.integers(0, len(open_) - 1)))
            ended += 1 + len(desk.finished(item, data.draw(st.sampled_from(list(Verdict))), now))
        assert desk.in_flight == len(open_) <= 6
        assert offered == ended + desk.in_flight + desk.waiting
    while open_ or desk.waiting:
        open_ += start(desk, now)
        assert open_
        ended += 1 + len(desk.finished(open_.pop(), GOOD, now))
    assert offered == ended
