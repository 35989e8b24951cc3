"""What the invoices module does by the clock."""

from datetime import date, timedelta
from typing import Final

from sema_common.billing import accounting
from sema_common.billing.invoices import making
from sema_common.platform.db import Database
from sema_common.platform.logs import get_logger
from sema_common.values.clock import now
from sema_common.values.errors import Refused
from sema_main_api.invoices import metrics
from sema_main_api.invoices.running import Runs, midnight

log = get_logger()

RUN_SECONDS: Final = 600.0
DUNNING_SECONDS: Final = 600.0
WATCH_SECONDS: Final = 60.0


class MonthlyRun:
    """Makes last month's invoices once it is over and added up."""

    def __init__(self, db: Database, runs: Runs) -> None:
        self._db = db
        self._runs = runs

    async def __call__(self) -> None:
        """Nothing to do for most of a month: one row says so."""
        month = last_month(now().date())
        ready_at = midnight(now().date().replace(day=1)) + timedelta(seconds=accounting.SETTLED_SECONDS)
        if now() < ready_at:
            return
        if await self._is_open(month):
            metrics.RUN_OPEN.set(ready_at.timestamp())
            try:
                await self._runs.run(month)
            except Refused as exc:
                log.warning("invoice_run_waits", month=f"{month:%Y-%m}", code=exc.code, detail=exc.detail)
        metrics.RUN_OPEN.set(ready_at.timestamp() if await self._is_open(month) else 0)

    async def _is_open(self, month: date) -> bool:
        async with self._db.transaction() as tx:
            return await making.finished_at(tx, month) is None


def last_month(today: date) -> date:
    """The first day of the month before."""
    return (today.replace(day=1) - timedelta(days=1)).replace(day=1)
