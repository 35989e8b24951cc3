"""When an aggregator is asked about a message of which it has reported nothing.

At 10 min, 30 min, 90 min … after the submit, three times as long each time, and once more shortly before reports
are no longer waited for: seven questions a message at most. Nothing is kept per message, but a mark per age: up to
which submits its messages have been asked about. A message is asked at the ages that it reaches while it is `sent`;
what was missed while nobody asked is asked once, at the last age that it has reached.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

from sema_common.messages.store.unreported import Unreported, Window

LONGER: Final = 3
"""Each age is so many times the one before: most reports that are late are late by minutes, some by a day."""

SLACK: Final = timedelta(minutes=5)
"""A submit may be recorded a little later than it happened. So far back is looked again, where nothing younger was
asked about meanwhile: under load a late one may have to wait for its next age, which is no loss. An age is longer."""


def ages(first: float, longest: float) -> tuple[int, ...]:
    """Ages at which to ask, in seconds: from `first` on, the last `first` before `longest`."""
    found: list[int] = []
    age = first
    while age < longest - first:
        found.append(round(age))
        age *= LONGER
    last = round(longest - first)
    return (*found, last) if last not in found and last > 0 else tuple(found)


def windows(
    marks: Mapping[int, datetime], every: Sequence[int], longest: float, now: datetime
) -> list[Window]:
    """What to ask about at each age whose mark we hold: what has reached it and not yet the next one."""
    found: list[Window] = []
    for age, following in zip(every, (*every[1:], longest), strict=True):
        if age in marks:
            after = max(marks[age], now - timedelta(seconds=following))
            found.append(Window(age, after, now - timedelta(seconds=age)))
    return found


def marks(
    asked_at: Sequence[Window],
    found: Sequence[Unreported],
    asked: Collection[tuple[int, object]],
    at_once: int,
) -> dict[int, datetime]:
    """How far each mark moves: to the last submit before the first that nobody has answered for.

    `asked` are (age, message id). A window that was read to its end moves up to the last
    one asked about, or to its end but for the slack, whichever is later: nobody is asked about twice at one age.
    """
    moved: dict[int, datetime] = {}
    for window in asked_at:
        mine = [one for one in found if one.age == window.age]
        open_ = [one.sent_at for one in mine if (one.age, one.message_id) not in asked]
        done = [one.sent_at for one in mine if not open_ or one.sent_at < min(open_)]
        mark = max(done, default=window.after)
        if not open_ and len(mine) < at_once:
            mark = max(mark, window.until - SLACK)
        moved[window.age] = mark
    return moved
