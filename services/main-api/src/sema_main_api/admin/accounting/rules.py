"""Which days a report is of."""

from datetime import date
from typing import Final

MAX_DAYS: Final = 366
FIRST_DAY: Final = date(2000, 1, 1)


def days_of(since: date | None, until: date | None, today: date) -> tuple[date, date]:
    """The first and last day; ValueError for none, for more than a year, for what no calendar of ours holds."""
    last = until or today
    first = since or last.replace(day=1)
    if not FIRST_DAY <= first <= last or (last - first).days >= MAX_DAYS:
        raise ValueError("`from` comes before `to`, by less than 366 days")
    return first, last
