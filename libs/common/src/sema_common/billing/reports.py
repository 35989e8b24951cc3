"""What the books say as a whole, for staff: the trial balance, and margins."""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Final, Literal, LiteralString

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


# Costs are looked up once for each day, network and currency, not for each account.
_MARGINS: Final[LiteralString] = """
WITH used AS (
    SELECT u.day, u.account_id, u.country, u.mno, c.currency, sum(u.amount - u.refunded_amount) AS revenue,
           sum(u.segments - u.refunded_segments) AS segments
    FROM billing.usage_days u JOIN billing.credits c USING (account_id)
    WHERE u.day >= $1 AND u.day <= $2 AND u.rate > 0 GROUP BY 1, 2, 3, 4, 5
), costs AS (
    SELECT d.*, (
        SELECT a.cost FROM billing.aggregator_costs a JOIN core.routes r ON r.aggregator = a.aggregator
        WHERE a.country = d.country AND a.mno IN (d.mno, '*') AND a.currency = d.currency
          AND a.valid_from <= d.day AND (a.valid_to IS NULL OR a.valid_to > d.day)
        ORDER BY r.enabled DESC, r.rank, a.mno = '*' LIMIT 1) AS cost
    FROM (SELECT DISTINCT day, country, mno, currency FROM used) AS d
), lines AS (
    SELECT used.day, used.account_id, used.country, used.mno, used.currency, revenue, segments,
           segments * COALESCE(cost, 0) AS cost, CASE WHEN cost IS NULL THEN segments ELSE 0 END AS uncosted,
           0::numeric AS commissions
    FROM used JOIN costs USING (day, country, mno, currency)
    UNION ALL
    SELECT l.day, l.account_id, NULL, NULL, c.currency, 0, 0, 0, 0, l.amount
    FROM billing.ledger_days l JOIN billing.credits c USING (account_id)
    WHERE l.day >= $1 AND l.day <= $2 AND l.kind = 'commission'
)
"""
_SUMS: Final[LiteralString] = """
currency, sum(revenue), sum(segments)::bigint, sum(cost), sum(uncosted)::bigint, sum(commissions) FROM lines
"""
SQL_MARGINS_BY_DAY: Final[LiteralString] = f"""{_MARGINS}
SELECT day::text, NULL, {_SUMS} GROUP BY day, currency ORDER BY day, currency LIMIT $3
"""
SQL_MARGINS_BY_ACCOUNT: Final[LiteralString] = f"""{_MARGINS}
SELECT account_id::text, NULL, {_SUMS} GROUP BY account_id, currency ORDER BY sum(revenue) DESC, account_id LIMIT $3
"""
SQL_MARGINS_BY_MNO: Final[LiteralString] = f"""{_MARGINS}
SELECT mno, country, {_SUMS} WHERE country IS NOT NULL GROUP BY mno, country, currency
ORDER BY sum(revenue) DESC, country, mno, currency LIMIT $3
"""


@dataclass(frozen=True, slots=True)
class MarginLine:
    """`key`: the day, account or MNO (then with its country). `uncosted`: segments whose cost nobody has told us."""

    key: str
    country: str | None
    currency: str
    revenue: Decimal
    segments: int
    cost: Decimal
    uncosted: int
    commissions: Decimal


GroupBy = Literal["day", "account", "mno"]
_BY: Final[dict[GroupBy, LiteralString]] = {
    "day": SQL_MARGINS_BY_DAY,
    "account": SQL_MARGINS_BY_ACCOUNT,
    "mno": SQL_MARGINS_BY_MNO,
}


async def margins(tx: Tx, first: date, last: date, by: GroupBy, limit: int) -> list[MarginLine]:
    """What came in from the first day to the last, and what it cost, at most `limit` lines.

    Revenue is what was charged less what was refunded, by the day of the entry, of whoever pays (an agent, at
    wholesale). Cost is a standard cost, not a bill: the same segments, less refunded ones, at what the aggregator
    charges that comes first in staff's order (enabled ones before others) and has told a cost for the network, that
    day, in the account's currency; its cost for the MNO goes before the country's `*`. So a message that failed before
    it was submitted, which is refunded, costs nothing, nor does one that an account gets back because it was not
    delivered; one that another aggregator carried costs as if the first had. What was free (test messages) is left out.
    Commissions are those paid in that time; they belong to no MNO.
    """
    return [MarginLine(*row.values()) for row in await tx.fetch(_BY[by], first, last, limit)]
