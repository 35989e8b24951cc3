"""Once an hour: links and registrations that are too old to work, and mails of a month ago, are forgotten."""

from typing import Final

from sema_common.platform import mail
from sema_common.platform.db import Database
from sema_main_api.users import store

PURGE_SECONDS: Final = 3600.0


class Purge:
    def __init__(self, pipeline: Database) -> None:
        self._pipeline = pipeline

    async def __call__(self) -> None:
        async with self._pipeline.transaction() as tx:
            await store.purge(tx)
            await mail.purge(tx)
