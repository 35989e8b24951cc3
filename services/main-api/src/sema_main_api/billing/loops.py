"""What billing does by the clock: adds the ledger up, and checks what it added up."""

from typing import Final

from sema_common.billing import accounting, reports
from sema_common.platform.db import Database
from sema_common.platform.logs import get_logger
from sema_main_api.billing import metrics

log = get_logger()

ADD_UP_SECONDS: Final = 2.0
CHECK_SECONDS: Final = 300.0


class Loops:
    """One method for each period."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def add_up(self) -> bool:
        """One window of the ledger; True when there is more."""
        async with self._db.transaction(timeout=30.0) as tx:
            more = await accounting.add_up(tx)
            at = await accounting.added_up_until(tx)
        metrics.ADDED_UP_UNTIL.set(at.timestamp())
        return more

    async def check(self) -> None:
        """Compare balances, days and usage; a difference is an incident and is said so."""
        async with self._db.transaction(timeout=60.0) as tx:
            found = await accounting.find_drift(tx)
            totals = reports.totals(await reports.trial_balance(tx))
        for currency, total in totals.items():
            metrics.TRIAL_BALANCE.labels(currency).set(float(total))
        metrics.ACCOUNTING_DRIFT.set(len(found))
        for drift in found:
            log.error(
                "accounting_drift",
                account_id=str(drift.account_id),
                days=str(drift.days),
                usage=str(drift.usage),
            )
