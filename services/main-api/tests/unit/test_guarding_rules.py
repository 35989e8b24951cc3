from dataclasses import replace
from decimal import Decimal
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sema_main_api.http.callers import Caller
from sema_main_api.http.rules import Bounds
from sema_main_api.messaging.rules.guarding import (
    SLOTS,
    Held,
    Want,
    Windows,
    bounds_of,
    given_back,
    refusal,
    wants,
)
from tests.kit.seeds import new_message

ACCOUNT = uuid4()


def caller(tier: str = "starter", **changes: object) -> Caller:
    own = Caller("key", ACCOUNT, ACCOUNT, ACCOUNT, tier, "KES", "active", "direct", key_id=uuid4())
    return replace(own, **changes)  # type: ignore[arg-type]


def want(limit: int, n: int = 1) -> tuple[Want, ...]:
    return (Want("recipient", "key", limit, n),)


steps = st.lists(st.tuples(st.floats(0, 200), st.integers(1, 4)), max_size=80)


@given(st.integers(1, 12), steps)
def test_no_ten_minutes_ever_see_more_than_the_limit(limit: int, calls: list[tuple[float, int]]) -> None:
    """OWASP API6:2023."""
    windows, now = Windows(10), 1_700_000_000.0
    taken: list[tuple[float, int]] = []
    for wait, n in calls:
        now += wait
        if windows.judge(want(limit, n), now) is None:
            taken.append((now, n))
        assert sum(n for at, n in taken if at > now - 600) <= limit


@given(st.integers(1, 12), steps, st.integers(1, 12))
def test_after_the_wait_that_was_told_it_passes(
    limit: int, calls: list[tuple[float, int]], last: int
) -> None:
    windows, now = Windows(10), 1_700_000_000.0
    for wait, n in calls:
        now += wait
        windows.judge(want(limit, n), now)
    held = windows.judge(want(limit, last), now)
    if held is not None and last <= limit:
        assert 0 < held.wait <= 600 + 60
        assert windows.judge(want(limit, last), now + held.wait) is None


def test_at_the_very_beginning_of_a_slot_the_wait_is_not_told_a_second_too_long() -> None:
    windows, now = Windows(10), 1_700_000_040.0
    windows.judge(want(1, 1), now)
    held = windows.judge(want(1, 1), now)
    assert held is not None
    assert held.wait == 660
    assert windows.judge(want(1, 1), now + 660) is None


def test_what_is_given_back_may_be_taken_again_and_never_more_than_was_taken() -> None:
    windows, now = Windows(10), 1_700_000_000.0
    assert windows.judge(want(3, 3), now) is None
    for _ in range(5):
        assert windows.judge(given_back(want(3, 2)), now + 61) is None
    assert windows.judge(want(3, 3), now + 61) is None
    assert windows.judge(want(3, 1), now + 61) is not None


def test_a_message_takes_from_all_of_its_windows_or_from_none() -> None:
    windows = Windows(10)
    both = (Want("recipient", "a", 1, 1), Want("prefix", "b", 2, 1))
    assert windows.judge(both, 0) is None
    assert windows.judge(both, 0) == Held("recipient", 1, 660)
    assert windows.judge((both[1],), 0) is None


def test_what_one_process_remembers_is_bounded() -> None:
    """OWASP API4:2023."""
    windows = Windows(5)
    for number in range(50):
        windows.judge((Want("recipient", str(number), 1, 1),), 0)
    assert len(windows) == 5


def test_the_accounts_own_numbers_come_before_its_tiers() -> None:
    assert bounds_of(caller()) == Bounds(10, 100, Decimal(5_000))
    assert bounds_of(caller("enterprise")) == Bounds(None, None, None)
    assert bounds_of(caller("enterprise", spend_per_hour=Decimal(7))) == Bounds(None, None, Decimal(7))
    assert bounds_of(caller(recipient_per_10_minutes=3)).recipient == 3


def test_a_test_key_is_not_guarded() -> None:
    assert not list(wants(caller(), bounds_of(caller(mode="test")), new_message(ACCOUNT)))


def test_a_window_names_no_number() -> None:
    """ASVS 14.2.4: a number is nowhere kept but with its message."""
    message = new_message(ACCOUNT, to="+254712345678", cost="0.8000")
    recipient, prefix, spend = wants(caller(), bounds_of(caller()), message)
    assert "712345678" not in recipient.key
    assert prefix.key.endswith("+25471234")
    assert (spend.limit, spend.n) == (50_000_000, 8_000)


@pytest.mark.parametrize("guard", ["recipient", "prefix", "spend"])
def test_a_refusal_says_which_guard_and_when(guard: str) -> None:
    refused = refusal(Held(guard, 50_000, 61), "KES")  # type: ignore[arg-type]
    assert (refused.status, refused.code) == (429, "recipient_rate_limited")
    assert refused.headers == {"retry-after": "61"}
    assert refused.extra == {"guard": guard, "retry_after": 61}
    assert ("5.0000 KES" in refused.detail) is (guard == "spend")


def test_a_window_is_cut_into_whole_seconds() -> None:
    assert all(Want(guard, "", 1, 1).slot_seconds * SLOTS in (600, 3600) for guard in ("recipient", "spend"))
