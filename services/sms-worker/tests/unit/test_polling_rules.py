"""When an aggregator is asked about a message of which it has reported nothing."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sema_common.messages.store.unreported import Unreported, Window
from sema_common.platform.db import COMMAND_SECONDS
from sema_common.values.ids import new_id
from sema_sms_worker import loops
from sema_sms_worker.rules import polling
from sema_sms_worker.settings import Settings

T0 = datetime(2026, 11, 20, 9, 30, tzinfo=UTC)
LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)
HOURS = 3600.0
AGES = polling.ages(600, 72 * HOURS)


def sent(seconds_ago: float, age: int = 600) -> Unreported:
    return Unreported(age, new_id(), new_id(), "id", T0 - timedelta(seconds=seconds_ago), None)


def test_a_message_is_asked_about_seven_times_at_most_the_last_time_shortly_before_it_is_given_up() -> None:
    assert AGES == (600, 1800, 5400, 16200, 48600, 145800, 72 * 3600 - 600)


@given(st.floats(300.1, 100_000), st.floats(2.01, 500))
def test_ages_climb_from_the_first_and_stop_before_the_end(first: float, times: float) -> None:
    longest = first * times
    ages = polling.ages(first, longest)
    assert ages[0] == round(first)
    assert list(ages) == sorted(set(ages))
    assert 0 < ages[-1] < longest


@given(st.floats(0, 80 * HOURS))
def test_without_marks_each_message_is_asked_about_once_at_the_last_age_that_it_has_reached(
    age: float,
) -> None:
    windows = polling.windows(dict.fromkeys(AGES, LONG_AGO), AGES, 72 * HOURS, T0)
    at = T0 - timedelta(seconds=age)
    hit = [w.age for w in windows if w.after < at <= w.until]
    reached = [a for a in AGES if timedelta(seconds=a) <= T0 - at]
    assert hit == (reached[-1:] if T0 - at < timedelta(hours=72) else [])


def test_a_mark_that_somebody_else_holds_is_not_ours() -> None:
    assert [w.age for w in polling.windows({1800: LONG_AGO}, AGES, 72 * HOURS, T0)] == [1800]


WINDOW = Window(600, T0 - timedelta(hours=1), T0 - timedelta(minutes=10))


@pytest.mark.parametrize(
    ("ago", "answered", "at_once", "expected"),
    [
        ([], [], 50, 900),  # read to its end: up to now, but for the slack
        ([3000, 2000], [0, 1], 50, 900),
        ([3000, 700], [0, 1], 50, 700),
        ([3000, 2000], [0, 1], 2, 2000),  # full: there is more behind the last
        ([3000, 2000, 1000], [0, 2], 50, 3000),  # up to the first that nobody has answered for
        ([3000, 2000], [], 50, 3600),
        ([2000, 2000], [0], 2, 3600),  # of one moment: all or none
    ],
)
def test_a_mark_moves_only_over_what_was_answered(
    ago: list[float], answered: list[int], at_once: int, expected: float
) -> None:
    found = [sent(seconds) for seconds in ago]
    asked = {(found[i].age, found[i].message_id) for i in answered}
    moved = polling.marks([WINDOW], found, asked, at_once)
    assert moved == {600: T0 - timedelta(seconds=expected)}


def test_a_run_of_polling_is_shorter_than_its_lease_and_than_the_drain() -> None:
    slowest = next(m.ge for m in Settings.model_fields["poll_per_second"].metadata if hasattr(m, "ge"))
    run = loops.POLL_RUN_SECONDS + loops.POLL_TIMEOUT + loops.POLLS_AT_A_TIME / slowest
    assert run < Settings.model_fields["drain_seconds"].default - COMMAND_SECONDS
    # and two transactions, and a publish that waits for its confirm
    assert timedelta(seconds=run + 4 * COMMAND_SECONDS) < loops.POLL_LEASE
