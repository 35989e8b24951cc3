"""What a room took out of its dead-letter queue: kept in `core.dead_letters` until staff decide.

Every consumer drains the dead letters of its own queue: commit first, acknowledge after, and the row's id is
derived from the letter, so that keeping it twice is a no-op. What must never happen here: a letter dropped.
"""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from hashlib import sha256
from typing import Final, LiteralString
from uuid import UUID

from prometheus_client import Counter

from sema_common.platform.bus import Bus, DeadLetter
from sema_common.platform.db import Database
from sema_common.platform.logs import get_logger
from sema_common.values.ids import event_id

log = get_logger()

KEPT: Final = Counter(
    "sema_dead_letters_total", "Messages that ended in a dead-letter queue; each needs a human.", ["queue"]
)

SQL_KEEP: Final[LiteralString] = """
INSERT INTO core.dead_letters (id, queue, reason, type, version, headers, body, delivery_count, dead_at)
SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::jsonb[], $7::bytea[],
                     $8::integer[], $9::timestamptz[])
ON CONFLICT (id) DO NOTHING
"""


def drain(bus: Bus, db: Database, queue: str) -> AbstractAsyncContextManager[None]:
    """Move the dead letters of `queue` into Postgres while the context is open."""

    KEPT.labels(queue)  # a counter that begins at 1 shows no increase

    async def keep(letters: list[DeadLetter]) -> None:
        await keep_letters(db, letters)
        for letter in letters:
            KEPT.labels(queue).inc()
            log.error("dead_letter_kept", queue=queue, reason=letter.reason, type=letter.type)

    return bus.drain_dead_letters(queue, keep)


async def keep_letters(db: Database, letters: Sequence[DeadLetter]) -> None:
    """Set letters aside; one that was kept before is left as it is, decided or not."""
    async with db.transaction() as tx:
        await tx.execute(
            SQL_KEEP,
            [letter_id(letter) for letter in letters],
            [letter.queue for letter in letters],
            [_text(letter.reason) for letter in letters],
            [_text(letter.type) for letter in letters],
            [str(letter.version) for letter in letters],
            [{_text(name): _text(value) for name, value in letter.headers.items()} for letter in letters],
            [letter.body for letter in letters],
            [letter.delivery_count for letter in letters],
            [letter.dead_at for letter in letters],
        )


def letter_id(letter: DeadLetter) -> UUID:
    """The same death read twice is one row; a message that was sent again and died again is another."""
    body = sha256(letter.body).hexdigest()
    return event_id(
        "dead_letter", letter.queue, letter.event_id, letter.dead_at, letter.type, letter.version, body
    )


def _text(value: object) -> str:
    """Postgres holds no NUL in text, and poison may bear one anywhere."""
    return str(value).replace("\x00", "\ufffd")
