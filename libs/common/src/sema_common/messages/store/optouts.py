"""Opt-outs that aggregators report of a message. `core.suppressions` is main-api's: here one is only ever added."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, LiteralString
from uuid import UUID

from sema_common.platform.db import Tx
from sema_common.values.ids import new_id


@dataclass(frozen=True, slots=True)
class OptOut:
    """A recipient who wants no promotions of this account, who told us, and in which code of ours."""

    tenant_id: UUID
    account_id: UUID
    to: str
    aggregator: str
    code: str


SQL_SUPPRESS: Final[LiteralString] = """
INSERT INTO core.suppressions (id, tenant_id, account_id, msisdn, scope, reason)
SELECT o.id, o.tenant_id, o.account_id, o.msisdn, 'promotional', o.reason
FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::text[])
    AS o(id, tenant_id, account_id, msisdn, reason)
ON CONFLICT DO NOTHING
"""


async def suppress(tx: Tx, optouts: Iterable[OptOut]) -> int:
    """Refuse later messages of the normal lane to these; how many are new. What the account wrote itself stands."""
    distinct = {(o.account_id, o.to): o for o in optouts}
    ordered = [distinct[key] for key in sorted(distinct)]
    done = await tx.execute(
        SQL_SUPPRESS,
        [new_id() for _ in ordered],
        [o.tenant_id for o in ordered],
        [o.account_id for o in ordered],
        [o.to for o in ordered],
        [f"reported by {o.aggregator}: {o.code}" for o in ordered],
    )
    return int(done.rpartition(" ")[2])
