import pytest

from sema_common.billing.accounting import window_end


@pytest.mark.parametrize(
    ("oldest_running", "first", "beyond", "end"),
    [
        (100, None, None, 100),
        (100, 40, None, 100),
        (100, 40, 70, 70),
        (60, 40, 70, 60),
        (100, 40, 40, 41),
        (40, 40, 40, 40),
        (30, 40, None, 30),
    ],
)
def test_a_window_ends_before_what_still_runs_and_cuts_no_transaction_in_two(
    oldest_running: int, first: int | None, beyond: int | None, end: int
) -> None:
    assert window_end(oldest_running, first, beyond) == end
