"""The sums of accounting, brought up to what is committed; an invoice by the owner's hand."""

import asyncio
from datetime import datetime
from uuid import UUID

from sema_common.billing import accounting
from sema_common.platform.db import Database
from sema_common.values.ids import new_id

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


SQL_INVOICE = """
INSERT INTO billing.invoices (id, tenant_id, account_id, month, series, year, number, currency, net, vat_rate, vat,
    total, terms, parties, issued_at, due_on, state)
SELECT $1, tenant_id, id, '2026-10-01', 'T', 2026, (SELECT COALESCE(max(number), 0) + 1 FROM billing.invoices), 'KES',
       80, 0.16, 12.8, 92.8, 'postpaid', $3, now(), '2026-11-15', 'open'
FROM core.accounts WHERE id = $2
"""
PARTY = {"address": "", "tax_pin": "", "vat_number": "", "reference": ""}
ISSUER = PARTY | {"name": "Sema Link Ltd", "email": "", "pay_bill": "", "bank": ""}


async def insert_invoice(owner: Database, account_id: UUID, customer: str = "Acme") -> UUID:
    """An unpaid invoice of October 2026 over 92.80, without lines."""
    invoice_id = new_id()
    parties = {"issuer": ISSUER, "customer": PARTY | {"name": customer}}
    await owner.execute(SQL_INVOICE, invoice_id, account_id, parties)
    return invoice_id
