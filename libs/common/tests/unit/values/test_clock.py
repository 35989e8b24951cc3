"""Times cross the wire in one form, and no time crosses without its zone."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sema_common.values import clock


def test_now_is_utc() -> None:
    assert clock.now().tzinfo is UTC


def test_the_wire_form_is_utc_with_milliseconds_cut_off() -> None:
    nairobi = datetime(2026, 11, 20, 12, 30, 0, 123_999, tzinfo=timezone(timedelta(hours=3)))
    assert clock.wire_time(nairobi) == "2026-11-20T09:30:00.123Z"


def test_a_naive_time_is_refused() -> None:
    with pytest.raises(ValueError, match="zone"):
        clock.wire_time(clock.now().replace(tzinfo=None))


@given(st.datetimes(timezones=st.just(UTC)))
def test_what_is_written_reads_back(moment: datetime) -> None:
    assert clock.parse_time(clock.wire_time(moment)) == moment.replace(
        microsecond=moment.microsecond // 1000 * 1000
    )


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-20T09:30:00Z",
        "2026-11-20t09:30:00z",
        "2026-11-20T12:30:00+03:00",
        "2026-11-20 09:30:00.000000000Z",
    ],
)
def test_rfc3339_is_read(text: str) -> None:
    assert clock.parse_time(text) == datetime(2026, 11, 20, 9, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2026-11-20T09:30:00",
        "2026-11-20",
        "20261120T093000Z",
        "2026-W47-5T09:30:00Z",
        "2026-11-20T09:30Z",
        "2026-11-20T09:30:00+0300",
        "2026-11-31T09:30:00Z",
        "2026-11-20T24:30:00Z",
        "2026-11-20T09:30:00+99:00",
        "0001-01-01T00:00:00+14:00",
        "٢٠٢٦-11-20T09:30:00Z",
        "1732095000",
        "tomorrow",
    ],
)
def test_other_forms_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        clock.parse_time(text)
