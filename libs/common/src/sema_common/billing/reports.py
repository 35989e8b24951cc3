"""What the books say as a whole, for staff: the trial balance."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Final, LiteralString

from sema_common.platform.db import Tx

SQL_TRIAL_BALANCE: Final[LiteralString] = """
WITH at AS (SELECT until_xid FROM billing.accounting_cursor), booked AS (
    SELECT account_id, counter_account, sum(amount) AS amount FROM billing.ledger_days GROUP BY 1, 2
    UNION ALL
    SELECT account_id, counter_account, sum(amount) FROM billing.credit_ledger, at WHERE xid >= until_xid GROUP BY 1, 2
)
SELECT c.currency, 'accounts' AS side, a.type AS name, sum(c.balance) AS amount
FROM billing.credits c JOIN core.accounts a ON a.id = c.account_id GROUP BY c.currency, a.type
UNION ALL
SELECT c.currency, 'counter_accounts', counter_account, -sum(amount)
FROM booked JOIN billing.credits c USING (account_id) GROUP BY c.currency, counter_account
ORDER BY 1, 2, 3
"""


@dataclass(frozen=True, slots=True)
class TrialLine:
    """What stands on one side of the books. `side`: `accounts` (`name` is their type), `counter_accounts`."""

    currency: str
    side: str
    name: str
    amount: Decimal


async def trial_balance(tx: Tx) -> list[TrialLine]:
    """Every line, by currency, in one snapshot.

    Accounts are their balances as they stand; counter-accounts are the opposite of all that moved, out of the days and
    of what has not been added up yet. So each currency sums to zero as long as every balance is what was moved.
    """
    return [TrialLine(*row.values()) for row in await tx.fetch(SQL_TRIAL_BALANCE)]


def totals(lines: list[TrialLine]) -> dict[str, Decimal]:
    """By currency, what must be zero."""
    found: dict[str, Decimal] = {}
    for line in lines:
        found[line.currency] = found.get(line.currency, Decimal(0)) + line.amount
    return found
