from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sema_common.values.ids import api_key
from sema_main_api.http.rules import (
    Rate,
    credential_in,
    gcra,
    idempotency_key,
    is_from,
    is_sane_request_id,
    key_rate,
    rate_for,
)

rates = st.builds(Rate, st.integers(1, 5000), st.integers(1, 5000))


@given(rates, st.lists(st.tuples(st.floats(0, 3), st.integers(1, 50)), max_size=60))
def test_never_more_passes_than_the_burst_and_what_time_has_earned(
    rate: Rate, calls: list[tuple[float, int]]
) -> None:
    now = start = 1_700_000_000.0
    tat, passed = 0.0, 0
    for wait, n in calls:
        now += wait
        tat, verdict = gcra(tat, now, rate, n)
        passed += n if verdict.allowed else 0
        assert passed <= rate.burst + (now - start) * rate.per_second + 1
        assert 0 <= verdict.remaining <= rate.burst


@given(rates, st.data())
def test_a_full_burst_passes_at_once_and_one_more_does_not(rate: Rate, data: st.DataObject) -> None:
    now = 1_700_000_000.0
    first = data.draw(st.integers(1, rate.burst))
    tat, verdict = gcra(0.0, now, rate, first)
    assert verdict.allowed
    assert verdict.remaining == rate.burst - first
    if verdict.remaining:
        tat, verdict = gcra(tat, now, rate, verdict.remaining)
        assert verdict.allowed
    _, verdict = gcra(tat, now, rate, 1)
    assert not verdict.allowed


@given(rates, st.data())
def test_a_refused_call_takes_nothing_and_passes_after_the_wait_that_it_was_told(
    rate: Rate, data: st.DataObject
) -> None:
    now = 1_700_000_000.0
    tat, _ = gcra(0.0, now, rate, rate.burst)
    n = data.draw(st.integers(1, rate.burst))
    after, refused = gcra(tat, now, rate, n)
    assert not refused.allowed
    assert after == tat
    _, verdict = gcra(after, now + refused.retry_after + 1e-6, rate, n)
    assert verdict.allowed


@pytest.mark.parametrize(
    ("lane", "tier", "own", "expected"),
    [
        ("normal", "starter", (None, None, None), Rate(10, 50)),
        ("normal", "growth", (None, None, None), Rate(100, 500)),
        ("normal", "enterprise", (None, None, None), None),
        ("normal", "enterprise", (20, None, None), Rate(20, 100)),
        ("normal", "starter", (20, 30, None), Rate(20, 30)),
        ("normal", "starter", (None, 80, None), Rate(10, 80)),
        ("priority", "starter", (None, None, None), Rate(10, 50)),
        ("priority", "starter", (None, None, 3), Rate(3, 15)),
        ("priority", "enterprise", (None, None, None), None),
        ("priority", "enterprise", (None, None, 7), Rate(7, 35)),
    ],
)
def test_the_accounts_own_rate_comes_before_its_tiers(
    lane: str, tier: str, own: tuple[int | None, int | None, int | None], expected: Rate | None
) -> None:
    assert rate_for(lane, tier, *own) == expected


@pytest.mark.parametrize("value", [b"a", b"A-1._z", b"x" * 128])
def test_a_sane_request_id_is_kept(value: bytes) -> None:
    assert is_sane_request_id(value)


@pytest.mark.parametrize("value", [b"", b"x" * 129, b"a b", b"a\n", "é".encode(), b"a/b", b'"'])
def test_any_other_request_id_is_not(value: bytes) -> None:
    assert not is_sane_request_id(value)


@pytest.mark.parametrize("header", ["a", "x" * 255, "8e03978e-40d5", "with space", "~"])
def test_an_idempotency_key_is_taken_bare_or_quoted(header: str) -> None:
    assert idempotency_key(header) == header
    assert idempotency_key(f'"{header}"') == header


@pytest.mark.parametrize("header", ["", '""', "x" * 256, "tab\t", "é", "\x7f"])
def test_an_idempotency_key_of_another_shape_is_not(header: str) -> None:
    assert idempotency_key(header) is None


def test_a_key_in_a_url_is_seen_and_only_its_beginning_told() -> None:
    key = api_key("live").text
    found = credential_in(f"/v1/messages?api_key={key}")
    assert found == key[:14]
    assert credential_in("/v1/messages?q=sema_live_") is None


@pytest.mark.parametrize(
    ("address", "inside"),
    [
        ("203.0.113.7", True),
        ("::ffff:203.0.113.7", True),
        ("203.0.114.7", False),
        ("2001:db8::5", True),
        ("2001:db9::5", False),
        ("", False),
        ("unknown", False),
        ("203.0.113.7, 10.0.0.1", False),
    ],
)
def test_a_key_works_from_its_networks_and_from_nowhere_else(address: str, inside: bool) -> None:
    """OWASP API2:2023, ASVS 8.2.4: what cannot be read is outside."""
    assert is_from(address, [ip_network("203.0.113.0/24"), ip_network("2001:db8::/32")]) is inside


def test_a_key_is_never_faster_than_its_account() -> None:
    assert key_rate(None, Rate(10, 50)) == key_rate(20, Rate(10, 50)) == Rate(10, 50)
    assert key_rate(2, Rate(10, 50)) == Rate(2, 10)
    assert key_rate(2, Rate(10, 5)) == Rate(2, 5)
    assert key_rate(2, None) == Rate(2, 10)
