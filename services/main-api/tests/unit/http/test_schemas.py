from datetime import UTC, datetime

import pytest
from pydantic import TypeAdapter, ValidationError

from sema_main_api.http.schemas import Instant

INSTANT: TypeAdapter[datetime] = TypeAdapter(Instant)


@pytest.mark.parametrize("text", ["9999-12-31T23:59:59-12:00", "0001-01-01T00:00:00+12:00"])
def test_a_time_that_utc_has_no_year_for_is_refused(text: str) -> None:
    """It would overflow where it is written again: a 500."""
    with pytest.raises(ValidationError) as refused:
        INSTANT.validate_python(text)
    assert [error["type"] for error in refused.value.errors()] == ["out_of_range"]


def test_a_time_of_any_zone_is_kept_in_utc() -> None:
    kept = INSTANT.validate_python("2026-11-21T12:00:00+03:00")
    assert (kept, kept.tzinfo) == (datetime(2026, 11, 21, 9, tzinfo=UTC), UTC)
