"""What the money machine stands on: an audit of the books by SQL of its own, and connections that die on purpose."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import AsyncExitStack
from decimal import Decimal
from typing import Any, Final, TypeAlias, TypeVar
from uuid import UUID

from sema_common.platform.db import Database, Tx
from sema_common.values.errors import StoreUnavailable
from tests.kit.fixtures import TestDatabase

T = TypeVar("T")
Work: TypeAlias = Callable[[Tx], Awaitable[T]]

AUDIT: Final = {
    "I1 the balance is the sum of its entries": """
        SELECT c.account_id FROM billing.credits c LEFT JOIN billing.credit_ledger l USING (account_id)
        GROUP BY c.account_id, c.balance HAVING c.balance <> COALESCE(sum(l.amount), 0)""",
    "I1 every entry says what it left behind": """
        SELECT entry_id FROM (SELECT entry_id, balance_after,
            sum(amount) OVER (PARTITION BY account_id ORDER BY entry_id) AS running
            FROM billing.credit_ledger) AS l WHERE balance_after <> running""",
    "I2 no balance is below its limit": """
        SELECT account_id FROM billing.credits WHERE balance + credit_limit < 0""",
    "I3 every message has one charge, of what its payer pays": """
        SELECT m.message_id FROM orch.sms_messages m
        LEFT JOIN billing.agent_sales s USING (message_id)
        LEFT JOIN billing.credit_ledger l ON l.reference = m.message_id AND l.kind = 'charge'
        GROUP BY m.message_id, m.cost, m.billing_account_id, s.wholesale
        HAVING count(l.amount) <> 1 OR sum(l.amount) <> -COALESCE(s.wholesale, m.cost)
            OR bool_or(l.account_id <> m.billing_account_id)""",
    "I3 every charge has its message": """
        SELECT l.reference FROM billing.credit_ledger l LEFT JOIN orch.sms_messages m
            ON m.message_id = l.reference WHERE l.kind = 'charge' AND m.message_id IS NULL""",
    "I4 at most one refund, of the charge, after a failure": """
        SELECT r.reference FROM billing.credit_ledger r
        LEFT JOIN billing.credit_ledger c ON c.reference = r.reference AND c.kind = 'charge'
        LEFT JOIN orch.message_events e ON e.message_id = r.reference AND e.status IN ('failed', 'expired')
        WHERE r.kind = 'refund'
        GROUP BY r.reference HAVING count(DISTINCT r.entry_id) <> 1 OR count(c.entry_id) = 0
            OR count(e.event_key) = 0 OR max(r.amount) <> max(-c.amount)""",
    "I6 one credit per receipt": """
        SELECT reference FROM billing.credit_ledger WHERE kind = 'top_up' GROUP BY reference HAVING count(*) > 1""",
    "an agent's customer owes what his message costs, unless it was refunded": """
        SELECT m.message_id FROM orch.sms_messages m
        FULL JOIN billing.agent_sales s USING (message_id)
        LEFT JOIN billing.credit_ledger r ON r.reference = m.message_id AND r.kind = 'refund'
        WHERE (m.account_id <> m.billing_account_id) IS DISTINCT FROM (s.message_id IS NOT NULL)
           OR (s.message_id IS NOT NULL
               AND (s.retail <> m.cost OR (s.refunded_at IS NULL) <> (r.reference IS NULL)))""",
    "an agent's months are the sum of his sales": """
        SELECT customer_id FROM (
            SELECT customer_id, sum(retail - refunded_retail) AS retail, sum(commission - refunded_commission) AS back,
                   sum(wholesale - refunded_wholesale) AS wholesale, sum(segments - refunded_segments) AS segments
            FROM billing.agent_months GROUP BY customer_id) AS months
        FULL JOIN (SELECT customer_id, sum(retail) FILTER (WHERE refunded_at IS NULL) AS retail,
                          sum(commission) FILTER (WHERE refunded_at IS NULL) AS back,
                          sum(wholesale) FILTER (WHERE refunded_at IS NULL) AS wholesale,
                          sum(segments) FILTER (WHERE refunded_at IS NULL) AS segments
                   FROM billing.agent_sales GROUP BY customer_id) AS sales USING (customer_id)
        WHERE (months.retail, months.back, months.wholesale, months.segments) IS DISTINCT FROM
              (COALESCE(sales.retail, 0), COALESCE(sales.back, 0), COALESCE(sales.wholesale, 0),
               COALESCE(sales.segments, 0))""",
    "platform, agents and customers sum to zero": """
        WITH kept AS (
            SELECT m.account_id, m.billing_account_id, m.cost FROM orch.sms_messages m
            WHERE NOT EXISTS (SELECT FROM billing.credit_ledger r
                              WHERE r.reference = m.message_id AND r.kind = 'refund')
        ), books AS (
            SELECT (SELECT -COALESCE(sum(amount), 0) FROM billing.credit_ledger) AS platform,
                   (SELECT COALESCE(sum(balance), 0) FROM billing.credits) AS accounts,
                   (SELECT COALESCE(sum(retail - refunded_retail), 0) FROM billing.agent_months) AS owed_to_agents,
                   (SELECT COALESCE(sum(cost), 0) FROM kept WHERE account_id <> billing_account_id) AS customers_owe,
                   (SELECT -COALESCE(sum(amount), 0) FROM billing.credit_ledger
                    WHERE counter_account = 'revenue') AS revenue,
                   (SELECT COALESCE(sum(cost), 0) FROM kept WHERE account_id = billing_account_id) AS own,
                   (SELECT COALESCE(sum(wholesale - refunded_wholesale), 0) FROM billing.agent_months) AS wholesale
        )
        SELECT * FROM books
        WHERE platform + accounts + owed_to_agents - customers_owe <> 0 OR revenue <> own + wholesale""",
}
"""What must hold after every step: each query answers what breaks it."""

AT_ONCE: Final = " UNION ALL ".join(
    f"(SELECT {place} AS rule, to_jsonb(broken)::text AS what FROM ({sql}) AS broken)"
    for place, sql in enumerate(AUDIT.values())
)
"""All of them in one round trip."""


class Fragile:
    """A transaction whose connection dies after `crash_at` more statements: sent, perhaps done, not committed."""

    def __init__(self, tx: Tx, crash_at: int | None) -> None:
        self._tx = tx
        self._left = crash_at

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        call: Callable[..., Awaitable[Any]] = getattr(self._tx, name)

        async def counted(*args: Any) -> Any:
            if self._left == 0:
                self._tx.terminate()
            if self._left is not None:
                self._left -= 1
            return await call(*args)

        return counted

    async def commit_or_crash(self) -> None:
        """The last chance: everything was written, nothing is committed."""
        if self._left is not None and self._left <= 1:
            self._tx.terminate()
            raise StoreUnavailable("crashed before the commit")


class Bench:
    """A database and its roles, for a test that is not a coroutine; connections live in a loop of its own."""

    def __init__(self, database: TestDatabase) -> None:
        self._loop = asyncio.new_event_loop()
        self._database = database
        self._pools: dict[str, Database] = {}
        self._stack = AsyncExitStack()

    def open(self) -> None:
        self._run(self._open())

    async def _open(self) -> None:
        dsns = {"owner": self._database.owner_dsn}
        for role in ("main_api_pipeline", "sms_worker_pipeline", "dlr_processor_pipeline"):
            dsns[role] = self._database.dsn(role)
        for name, dsn in dsns.items():
            pool = Database.open(dsn, name=name, max_size=6)
            self._pools[name] = await self._stack.enter_async_context(pool)

    def close(self) -> None:
        self._run(self._stack.aclose())
        self._loop.close()

    def as_owner(self, work: Work[T]) -> T:
        return self._run(self._once("owner", work, None))

    def as_api(self, work: Work[T], crash_at: int | None) -> T:
        return self._run(self._until_done("main_api_pipeline", work, crash_at))

    def as_api_twice(self, work: Work[None], crash_at: int | None) -> None:
        """By two instances at the same time."""

        async def together() -> None:
            await asyncio.gather(*(self._until_done("main_api_pipeline", work, crash_at) for _ in range(2)))

        self._run(together())

    def as_processor(self, work: Work[T], crash_at: int | None) -> T:
        return self._run(self._until_done("dlr_processor_pipeline", work, crash_at))

    def as_workers(self, works: Sequence[Work[None]], crash_at: int | None) -> None:
        """All at the same time, each on a connection of its own."""

        async def together() -> None:
            await asyncio.gather(*(self._until_done("sms_worker_pipeline", work, crash_at) for work in works))

        self._run(together())

    def audit(self) -> tuple[dict[str, list[Any]], dict[UUID, Decimal]]:
        """What is wrong, by invariant; and every balance."""

        async def look(tx: Tx) -> tuple[dict[str, list[Any]], dict[UUID, Decimal]]:
            found: dict[str, list[Any]] = {}
            for rule, what in await tx.fetch(AT_ONCE):
                found.setdefault(list(AUDIT)[rule], []).append(what)
            rows = await tx.fetch("SELECT account_id, balance FROM billing.credits")
            return found, {r[0]: r[1] for r in rows}

        return self._run(self._once("owner", look, None))

    def execute(self, sql: str) -> None:
        async def run(tx: Tx) -> None:
            await tx.execute(sql)

        self.as_owner(run)

    async def _until_done(self, role: str, work: Work[T], crash_at: int | None) -> T:
        """As its client or queue would: after a crash the same thing again."""
        try:
            return await self._once(role, work, crash_at)
        except StoreUnavailable:
            return await self._once(role, work, None)

    async def _once(self, role: str, work: Work[T], crash_at: int | None) -> T:
        async with self._pools[role].transaction() as tx:
            fragile = Fragile(tx, crash_at)
            result = await work(fragile)  # type: ignore[arg-type]  # stands in for the transaction
            await fragile.commit_or_crash()
            return result

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return self._loop.run_until_complete(work)
