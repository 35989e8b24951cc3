"""The one statement of this room's own; those on messages and money live with their owners in libs/common."""

from collections.abc import Sequence
from hashlib import sha256
from typing import Final, LiteralString
from uuid import UUID

from pydantic_core import to_json

from sema_common.platform.bus import DeadLetter
from sema_common.platform.db import Tx
from sema_common.values.ids import event_id

SQL_KEEP_DEAD_LETTERS: Final[LiteralString] = """
INSERT INTO core.dead_letters (id, queue, reason, type, version, headers, body, delivery_count, dead_at)
SELECT d.id, d.queue, d.reason, d.type, d.version, d.headers::jsonb, d.body, d.delivery_count, d.dead_at
FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::bytea[], $8::integer[],
            $9::timestamptz[]) AS d(id, queue, reason, type, version, headers, body, delivery_count, dead_at)
ON CONFLICT (id) DO NOTHING
"""


async def keep_dead_letters(tx: Tx, letters: Sequence[DeadLetter]) -> None:
    """Keep them for staff; one that is kept already stays as it is."""
    await tx.execute(
        SQL_KEEP_DEAD_LETTERS,
        [dead_letter_id(letter) for letter in letters],
        [letter.queue for letter in letters],
        [letter.reason for letter in letters],
        [letter.type for letter in letters],
        [str(letter.version) for letter in letters],
        [to_json(letter.headers, fallback=str, inf_nan_mode="strings").decode() for letter in letters],
        [letter.body for letter in letters],
        [letter.delivery_count for letter in letters],
        [letter.dead_at for letter in letters],
    )


def dead_letter_id(letter: DeadLetter) -> UUID:
    """One death of one message: sent back by staff and dead again, it is another letter."""
    died = letter.dead_at.isoformat()
    return event_id("dead_letter", letter.queue, letter.event_id, died, sha256(letter.body).hexdigest())
