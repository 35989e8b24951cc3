"""The sums of accounting, brought up to what is committed."""

import asyncio
from datetime import datetime
from uuid import UUID

from sema_common.billing import accounting
from sema_common.platform.db import Database

DEADLINE = 20.0


async def add_up(db: Database) -> None:
    """Add windows until the newest entry is in. Transactions of other tests hold the window back: wait for them."""
    async with asyncio.timeout(DEADLINE):
        while await db.fetchval(
            "SELECT EXISTS (SELECT FROM billing.credit_ledger, billing.accounting_cursor WHERE xid >= until_xid)"
        ):
            async with db.transaction() as tx:
                await accounting.add_up(tx)
            await asyncio.sleep(0)


async def backdate(owner: Database, entry: UUID | str, at: datetime) -> None:
    """Move an entry, by its reference or all of a kind, into the past: before it is added up."""
    column = "kind" if isinstance(entry, str) else "reference"
    sql = "UPDATE billing.credit_ledger SET created_at = $2 WHERE "
    tag = await owner.execute(f"{sql}{column} = $1", entry, at)
    assert tag != "UPDATE 0"
