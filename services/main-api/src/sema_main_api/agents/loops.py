"""What agents' money does by the clock: last month's commissions are paid."""

from datetime import timedelta
from typing import Final

from sema_common.billing import agents, ledger
from sema_common.platform.db import Database
from sema_common.platform.logs import get_logger
from sema_common.values.clock import now
from sema_main_api.agents import rules

log = get_logger()

PAY_SECONDS: Final = 900.0

SETTLED: Final = timedelta(hours=1)
"""No transaction that counts for a month lives so long beyond it: then the month's sums are final."""


class Loops:
    """One method for each period."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def pay(self) -> None:
        """Pay every agent what he earned up to the last month that is over, once; each in a transaction of his own.

        What late refunds took back beyond it is set off against the months that follow.
        """
        month = rules.month_before((now() - SETTLED).date())
        async with self._db.transaction() as tx:
            owed = await agents.commissions_owed(tx, month)
        for agent_id in owed:
            async with self._db.transaction() as tx:
                await ledger.lock_balances(tx, [agent_id])
                amount = (await agents.commissions_owed(tx, month, agent_id)).get(agent_id, rules.NOTHING)
                if amount > 0 and await ledger.pay_commission(tx, agent_id, amount, month) is not None:
                    log.info(
                        "commission_paid", account_id=str(agent_id), month=str(month), amount=str(amount)
                    )
