"""main-api as it would be without its group commit: every request a transaction of its own, eight at a time.

Everything else is the same program: the same edge, handlers, statements and relay. Only the one class that
gathers requests is replaced, so that the table compares what gathering is worth and nothing else.
"""

from __future__ import annotations

from typing import Final

from sema_common.billing import ledger
from sema_common.platform.batching import GroupCommit
from sema_common.platform.db import Database
from sema_common.platform.runtime import run
from sema_main_api import app
from sema_main_api.messaging.accepting import (
    MAX_WAITING,
    WAIT_FOR_LOCK_SECONDS,
    Accepting,
    Deferred,
    Result,
)
from sema_main_api.messaging.relay import Relay
from sema_main_api.messaging.rules.crediting import Submission
from sema_main_api.settings import Settings

# The pool's twelve connections less those that the relay and the periodic work use.
TRANSACTIONS: Final = 8


class OneByOne(Accepting):
    """Waits for the payer's balance like any ordinary transaction; nothing is set aside."""

    def __init__(self, db: Database, relay: Relay) -> None:
        super().__init__(db, relay)
        self._commits: GroupCommit[Submission, Result | Deferred] = GroupCommit(
            self._commit_alone, max_batch=1, max_queue=MAX_WAITING, workers=TRANSACTIONS
        )

    async def _commit_alone(self, submissions: list[Submission]) -> list[Result | Deferred]:
        payers = {submission.asker.billing_account_id for submission in submissions}
        async with self._db.transaction(WAIT_FOR_LOCK_SECONDS) as tx:
            balances = await ledger.lock_balances(tx, payers)
            decided = await self._write(tx, submissions, balances)
        self._relay.offer(decided.accepted)
        return list(decided.answers)


if __name__ == "__main__":
    vars(app)["Accepting"] = OneByOne
    run("main-api", Settings, app.open_room)
