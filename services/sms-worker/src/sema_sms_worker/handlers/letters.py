"""Dead letters of both lanes: kept for staff, then acknowledged."""

from collections import Counter

from sema_common.platform.bus import DeadLetter
from sema_common.platform.db import Database
from sema_common.platform.logs import get_logger
from sema_sms_worker import metrics, store

log = get_logger()


class KeepLetters:
    def __init__(self, db: Database) -> None:
        self._db = db

    async def __call__(self, letters: list[DeadLetter]) -> None:
        async with self._db.transaction() as tx:
            await store.keep_dead_letters(tx, letters)
        for queue, kept in Counter(letter.queue for letter in letters).items():
            metrics.DEAD_LETTERS.labels(queue).inc(kept)
        for letter in letters:
            log.error(
                "dead_letter_kept",
                letter_id=str(store.dead_letter_id(letter)),
                queue=letter.queue,
                reason=letter.reason,
            )
