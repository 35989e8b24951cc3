"""The routes, accounts' rules, and the way that a message took."""

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final, LiteralString
from uuid import UUID

from sema_common.platform.db import Row, Tx


@dataclass(frozen=True, slots=True)
class RouteRow:
    aggregator: str
    rank: int
    enabled: bool
    per_second: int | None
    unserved: list[str]
    changed_at: datetime

    @property
    def audited(self) -> dict[str, Any]:
        """What staff may change, for the audit log."""
        fields = asdict(self)
        del fields["changed_at"]
        return fields


SQL_ROUTES: Final[LiteralString] = """
SELECT aggregator, rank, enabled, per_second, unserved, changed_at FROM core.routes ORDER BY rank, aggregator
"""


async def read_routes(tx: Tx) -> list[RouteRow]:
    """All routes in their order."""
    return [RouteRow(*row.values()) for row in await tx.fetch(SQL_ROUTES)]


SQL_LOCK_ROUTE: Final[LiteralString] = """
SELECT aggregator, rank, enabled, per_second, unserved, changed_at FROM core.routes
WHERE aggregator = $1 FOR NO KEY UPDATE
"""


async def lock_route(tx: Tx, aggregator: str) -> RouteRow | None:
    """One route, against others who change it."""
    row = await tx.fetchrow(SQL_LOCK_ROUTE, aggregator)
    return None if row is None else RouteRow(*row.values())


SQL_CHANGE_ROUTE: Final[LiteralString] = """
UPDATE core.routes SET rank = $2, enabled = $3, per_second = $4, unserved = $5, changed_at = now()
WHERE aggregator = $1
RETURNING aggregator, rank, enabled, per_second, unserved, changed_at
"""


async def change_route(tx: Tx, wanted: RouteRow) -> RouteRow:
    """Write a route as it shall be."""
    row = await tx.fetchrow(
        SQL_CHANGE_ROUTE,
        wanted.aggregator,
        wanted.rank,
        wanted.enabled,
        wanted.per_second,
        wanted.unserved,
    )
    assert row is not None
    return RouteRow(*row.values())


@dataclass(frozen=True, slots=True)
class AccountRouteRow:
    account_id: UUID
    account_name: str
    aggregator: str | None
    mode: str | None
    switched_off: list[str]
    changed_at: datetime

    @property
    def audited(self) -> dict[str, Any]:
        return {"aggregator": self.aggregator, "mode": self.mode, "switched_off": self.switched_off}


SQL_COUNT_RULES: Final[LiteralString] = "SELECT count(*) FROM core.account_routes"


async def count_rules(tx: Tx) -> int:
    """How many accounts have a rule of their own."""
    count: int = await tx.fetchval(SQL_COUNT_RULES)
    return count


SQL_ACCOUNT_ROUTES: Final[LiteralString] = """
SELECT r.account_id, a.name, r.aggregator, r.mode, r.switched_off, r.changed_at
FROM core.account_routes r JOIN core.accounts a ON a.id = r.account_id
WHERE ($1::uuid IS NULL OR r.account_id < $1)
  AND ($2::text IS NULL OR r.aggregator = $2 OR $2 = ANY (r.switched_off))
ORDER BY r.account_id DESC LIMIT $3
"""


async def list_rules(
    tx: Tx, before: UUID | None, aggregator: str | None, limit: int
) -> list[AccountRouteRow]:
    """Accounts with a rule of their own, the youngest account first."""
    rows = await tx.fetch(SQL_ACCOUNT_ROUTES, before, aggregator, limit)
    return [AccountRouteRow(*row.values()) for row in rows]


SQL_ACCOUNT_ROUTE: Final[LiteralString] = """
SELECT r.account_id, a.name, r.aggregator, r.mode, r.switched_off, r.changed_at
FROM core.account_routes r JOIN core.accounts a ON a.id = r.account_id WHERE r.account_id = $1
"""


async def read_rule(tx: Tx, account_id: UUID) -> AccountRouteRow | None:
    """One account's rule."""
    row = await tx.fetchrow(SQL_ACCOUNT_ROUTE, account_id)
    return None if row is None else AccountRouteRow(*row.values())


SQL_LOCK_ACCOUNT: Final[LiteralString] = "SELECT tenant_id FROM core.accounts WHERE id = $1 FOR NO KEY UPDATE"


async def lock_account(tx: Tx, account_id: UUID) -> UUID | None:
    """The tenant of an account, locked against others who change its rule; None: there is no such account."""
    tenant: UUID | None = await tx.fetchval(SQL_LOCK_ACCOUNT, account_id)
    return tenant


SQL_PUT_RULE: Final[LiteralString] = """
INSERT INTO core.account_routes (account_id, tenant_id, aggregator, mode, switched_off)
VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (account_id) DO UPDATE SET aggregator = EXCLUDED.aggregator, mode = EXCLUDED.mode,
    switched_off = EXCLUDED.switched_off, changed_at = now()
"""


async def put_rule(
    tx: Tx,
    account_id: UUID,
    tenant_id: UUID,
    aggregator: str | None,
    mode: str | None,
    switched_off: list[str],
) -> None:
    """Write an account's rule."""
    await tx.execute(SQL_PUT_RULE, account_id, tenant_id, aggregator, mode, switched_off)


SQL_REMOVE_RULE: Final[LiteralString] = "DELETE FROM core.account_routes WHERE account_id = $1"


async def remove_rule(tx: Tx, account_id: UUID) -> None:
    """An account goes by the common order again."""
    await tx.execute(SQL_REMOVE_RULE, account_id)


SQL_WHOSE: Final[LiteralString] = """
SELECT account_id FROM orch.sms_messages WHERE message_id = $1 AND enqueued_at = $2
"""
SQL_WAY: Final[LiteralString] = """
SELECT status, occurred_at, detail FROM orch.message_events
WHERE message_id = $1 AND enqueued_at = $2 AND source = 'sms-worker' ORDER BY occurred_at, event_key
"""


async def read_way(tx: Tx, message_id: UUID, enqueued_at: datetime) -> tuple[UUID, list[Row]] | None:
    """Whose message it is, and what sms-worker did about it."""
    account_id: UUID | None = await tx.fetchval(SQL_WHOSE, message_id, enqueued_at)
    return None if account_id is None else (account_id, await tx.fetch(SQL_WAY, message_id, enqueued_at))
