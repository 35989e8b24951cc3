"""What sms-worker reads by itself: the routes as staff have set them. Messages and money are the libraries'."""

from collections.abc import Mapping
from typing import Final, LiteralString
from uuid import UUID

from sema_aggregators import Capabilities
from sema_common.platform.db import Tx
from sema_sms_worker.rules.routing import AccountRule, Route, Table

SQL_ROUTES: Final[LiteralString] = """
SELECT aggregator, enabled, unserved, per_second FROM core.routes ORDER BY rank, aggregator
"""
SQL_ACCOUNT_ROUTES: Final[LiteralString] = """
SELECT account_id, aggregator, mode, switched_off FROM core.account_routes
"""


async def read_table(tx: Tx, able: Mapping[str, Capabilities]) -> Table:
    """The routes of the aggregators that this worker has an account at; one that staff do not know comes last."""
    routes = [
        Route(
            row["aggregator"],
            able[row["aggregator"]],
            row["enabled"],
            frozenset(row["unserved"]),
            row["per_second"],
        )
        for row in await tx.fetch(SQL_ROUTES)
        if row["aggregator"] in able
    ]
    known = {route.aggregator for route in routes}
    routes += [Route(name, capabilities) for name, capabilities in able.items() if name not in known]
    accounts: dict[UUID, AccountRule] = {
        row["account_id"]: AccountRule(
            row["aggregator"], row["mode"] == "forced", frozenset(row["switched_off"])
        )
        for row in await tx.fetch(SQL_ACCOUNT_ROUTES)
    }
    return Table(routes, accounts)
