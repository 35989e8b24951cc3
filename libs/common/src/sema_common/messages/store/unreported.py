"""Messages that were sent and of which nobody has said how they ended: asked about, and in the end given up.

The partial index of what is `sent` holds just these, in the order of their age; nothing is written when a message
gets its report in time. sms-worker asks about what has reached a certain age, up to a mark per aggregator and age
(`orch.report_polls`); dlr-processor ends what is too old.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, LiteralString
from uuid import UUID

from sema_common.platform.db import Tx

SQL_FIND_OVERDUE: Final[LiteralString] = """
SELECT m.message_id FROM orch.sms_messages m WHERE m.status = 'sent' AND m.sent_at <= $1
ORDER BY m.sent_at LIMIT $2
"""


async def find_overdue(tx: Tx, sent_before: datetime, at_most: int) -> list[UUID]:
    """Messages still `sent` that were sent before that, the oldest first. Nothing is locked."""
    return [row["message_id"] for row in await tx.fetch(SQL_FIND_OVERDUE, sent_before, at_most)]


SQL_TAKE_POLLS: Final[LiteralString] = """
INSERT INTO orch.report_polls AS p (aggregator, age_seconds, due_at)
SELECT $1, age, $4 FROM unnest($2::integer[]) AS age
ON CONFLICT (aggregator, age_seconds) DO UPDATE SET due_at = excluded.due_at WHERE p.due_at <= $3
RETURNING p.age_seconds, p.asked_until
"""


async def take_polls(
    tx: Tx, aggregator: str, ages: Sequence[int], now: datetime, lease: datetime
) -> dict[int, datetime]:
    """Take the marks of an aggregator until `lease`: {age in seconds: asked until}; {} while somebody has them.

    A mark that is new begins before everything.
    """
    rows = await tx.fetch(SQL_TAKE_POLLS, aggregator, sorted(ages), now, lease)
    return {row["age_seconds"]: row["asked_until"] for row in rows}


@dataclass(frozen=True, slots=True)
class Window:
    """Messages sent in (after, until]: those that have reached `age` and not been asked about at it."""

    age: int
    after: datetime
    until: datetime


@dataclass(frozen=True, slots=True)
class Unreported:
    """One of them."""

    age: int
    message_id: UUID
    account_id: UUID
    aggregator_id: str
    sent_at: datetime
    traceparent: str | None


SQL_FIND_UNREPORTED: Final[LiteralString] = """
SELECT w.age, found.* FROM unnest($2::integer[], $3::timestamptz[], $4::timestamptz[]) AS w(age, after, until)
CROSS JOIN LATERAL (
    SELECT m.message_id, m.account_id, m.aggregator_id, m.sent_at, m.traceparent FROM orch.sms_messages m
    WHERE m.status = 'sent' AND m.sent_at > w.after AND m.sent_at <= w.until AND m.route_id = $1
    ORDER BY m.sent_at FETCH FIRST ($5) ROWS WITH TIES
) AS found
ORDER BY w.age, found.sent_at, found.message_id
"""


async def find_unreported(
    tx: Tx, aggregator: str, windows: Sequence[Window], at_most: int
) -> list[Unreported]:
    """What to ask about: `at_most` a window, and those sent in the same moment as the last of them."""
    rows = await tx.fetch(
        SQL_FIND_UNREPORTED,
        aggregator,
        [w.age for w in windows],
        [w.after for w in windows],
        [w.until for w in windows],
        at_most,
    )
    return [Unreported(*row.values()) for row in rows]


SQL_MARK_POLLS: Final[LiteralString] = """
UPDATE orch.report_polls p SET asked_until = GREATEST(p.asked_until, c.asked_until), due_at = $5
FROM unnest($2::integer[], $3::timestamptz[]) AS c(age_seconds, asked_until)
WHERE p.aggregator = $1 AND p.age_seconds = c.age_seconds AND p.due_at = $4
"""


async def mark_polls(
    tx: Tx, aggregator: str, asked: dict[int, datetime], lease: datetime, due_at: datetime
) -> None:
    """Give the marks back, moved up to what was asked; not those that somebody took after our lease was over."""
    ages = sorted(asked)
    await tx.execute(SQL_MARK_POLLS, aggregator, ages, [asked[age] for age in ages], lease, due_at)
