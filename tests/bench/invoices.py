"""The run of invoices, and a statement that streams: on the test stores, each in a database of its own.

    python -m tests.bench.invoices [ACCOUNTS] [MESSAGES_PER_ACCOUNT] [STATEMENT_ENTRIES]

The ledger of 100,000,000 messages is not written: what the run reads is what adding it up leaves, a row a day, network
and rate. How fast the adding up is, is measured on entries of its own, and the ratio said.
"""

import asyncio
import sys
import time
import tracemalloc
from datetime import UTC, date, datetime
from decimal import Decimal
from uuid import UUID, uuid4

import asyncpg

from deploy.local.bootstrap import MIGRATOR, OWNER, create_roles
from deploy.migrations.__main__ import migrate
from sema_common.billing import accounting, statements
from sema_common.billing.invoices.rules import Dunning, Issuer, Terms
from sema_common.platform.db import Database
from sema_common.platform.secrets import SecretBox
from sema_main_api.invoices.running import Runs
from tests.kit.fixtures import TestDatabase
from tests.kit.stores import Home, Stores

MONTH = date(2026, 10, 1)
DAYS = 31
WINDOW = 200_000
"""Entries that are added up to measure the pace."""

SQL_ACCOUNTS = """
INSERT INTO core.accounts (id, tenant_id, billing_account_id, name, type, tier, currency, webhook_secret)
SELECT id, id, id, 'Bench', 'direct', 'growth', 'KES', '' FROM (SELECT gen_random_uuid() AS id
    FROM generate_series(1, $1::integer)) AS made
"""
SQL_CREDITS = """
INSERT INTO billing.credits (account_id, tenant_id, currency, balance, credit_limit)
SELECT id, id, 'KES', 0, 1000000000 FROM core.accounts
"""
SQL_USAGE = """
INSERT INTO billing.usage_days (account_id, day, sent_by, country, mno, rate, tenant_id, messages, segments, amount,
    refunded_messages, refunded_segments, refunded_amount)
SELECT a.id, $1::date + d, a.id, n.country, n.mno, n.rate, a.id, $2::bigint, $2, $2 * n.rate, 0, 0, 0
FROM core.accounts a, generate_series(0, $3::integer - 1) AS d,
     (VALUES ('KE', 'Safaricom', 0.8), ('KE', 'Airtel', 0.9), ('UG', 'MTN', 3.5)) AS n(country, mno, rate)
"""
SQL_BOOK = """
WITH booked AS (
    INSERT INTO billing.ledger_days
        (account_id, day, kind, counter_account, tenant_id, entries, amount, first_entry, last_entry)
    SELECT account_id, day, 'charge', 'revenue', account_id, sum(messages), -sum(amount), 1, 1
    FROM billing.usage_days GROUP BY account_id, day RETURNING account_id, amount
)
UPDATE billing.credits c SET balance = b.amount
FROM (SELECT account_id, sum(amount) AS amount FROM booked GROUP BY 1) AS b WHERE b.account_id = c.account_id
"""
SQL_ENTRIES = """
INSERT INTO billing.credit_ledger
    (account_id, tenant_id, kind, reference, amount, counter_account, balance_after, created_at)
SELECT $1, $1, 'charge', gen_random_uuid(), -0.8, 'revenue', -0.8 * n, $3::timestamptz
FROM generate_series(1, $2::integer) AS n
"""
SQL_BALANCE = "UPDATE billing.credits SET balance = balance - 0.8 * $2::integer WHERE account_id = $1"
SQL_PURGE = "TRUNCATE billing.credit_ledger, billing.ledger_days, billing.usage_days"


async def invoices(db: Database, owner: Database, accounts: int, messages: int) -> None:
    """The run, and what it would have been without sums."""
    await owner.execute(SQL_ACCOUNTS, accounts, timeout=60)
    await owner.execute(SQL_CREDITS, timeout=60)
    await owner.execute(SQL_USAGE, MONTH, messages // (DAYS * 3), DAYS, timeout=120)
    await owner.execute(SQL_BOOK, timeout=120)
    issuer = Issuer("Sema Link Ltd", "Nairobi", "", "", "", "600123", "")
    terms = Terms(issuer, "SL", {"KE": Decimal("0.16")}, 14, Dunning([3, 10, 20]))
    started = time.perf_counter()
    made = await Runs(db, SecretBox(SecretBox.new_key()), terms, "https://app.example.com").run(MONTH)
    seconds = time.perf_counter() - started
    rows = await owner.fetchval("SELECT count(*) FROM billing.usage_days")
    numbers = await owner.fetchrow("SELECT min(number), max(number), count(*) FROM billing.invoices")
    assert numbers is not None
    assert tuple(numbers.values()) == (1, accounts, accounts) == (1, made, made)
    print(f"invoice run      {made:,} invoices of {accounts:,} accounts x {messages:,} messages: {seconds:.1f} s"
          f" (must be <= 60), read from {rows:,} rows, {accounts * messages / rows:,.0f} messages a row")  # fmt: skip


async def adding_up(db: Database, owner: Database, account: UUID) -> None:
    """The pace of the loop that keeps the sums."""
    async with owner.transaction(timeout=120) as tx:
        await tx.execute(SQL_ENTRIES, account, WINDOW, datetime(2026, 10, 15, tzinfo=UTC), timeout=120)
    started = time.perf_counter()
    more = True
    while more:
        async with db.transaction(timeout=120) as tx:
            more = await accounting.add_up(tx)
    seconds = time.perf_counter() - started
    print(f"adding up        {WINDOW / seconds:,.0f} entries/s")


async def statement(db: Database, owner: Database, account: UUID, entries: int) -> None:
    """A month in pages: how long, and how much memory at most."""
    await owner.execute(SQL_PURGE, timeout=60)
    for _ in range(0, entries, WINDOW):
        async with owner.transaction(timeout=120) as tx:
            await tx.execute(SQL_ENTRIES, account, WINDOW, datetime(2026, 10, 15, tzinfo=UTC), timeout=120)
    more = True
    while more:
        async with db.transaction(timeout=120) as tx:
            more = await accounting.add_up(tx)
    since, until = datetime(2026, 10, 1, tzinfo=UTC), datetime(2026, 11, 1, tzinfo=UTC)
    started = time.perf_counter()
    async with db.transaction() as tx:
        found = await statements.read_statements(tx, account, date(2026, 11, 1), date(2026, 11, 1))
        span = await statements.find_span(tx, account, since, until)
    first = time.perf_counter() - started
    tracemalloc.start()
    seen, after, peaks = 0, 0, []
    while True:
        async with db.transaction() as tx:
            page = await statements.read_span(tx, account, span, after, 2_000)
        seen += len(page)
        if seen % 200_000 == 0:
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.reset_peak()
        if len(page) < 2_000:
            break
        after = page[-1].entry_id
    seconds = time.perf_counter() - started
    assert seen == entries == found[0].movements[0].entries
    shown = ", ".join(f"{peak / 1e6:.1f}" for peak in peaks)
    print(f"statement        {entries:,} entries: opening and closing balance {first * 1000:.0f} ms,"
          f" all of it {seconds:.1f} s; peak memory of each 200,000: {shown} MB")  # fmt: skip


async def main(accounts: int, messages: int, entries: int) -> None:
    """On a database of its own, dropped afterwards."""
    stores: Stores = Home().start()
    await create_roles(stores.layout)
    name = f"bench_{uuid4().hex}"
    connection = await asyncpg.connect(stores.postgres_dsn())
    await connection.execute(f"CREATE DATABASE {name} OWNER {OWNER}")
    try:
        await migrate(stores.postgres_dsn(MIGRATOR, name))
        database = TestDatabase(stores, name)
        async with (
            Database.open(database.dsn("main_api_pipeline"), name="bench", max_size=4) as db,
            Database.open(database.owner_dsn, name="owner", max_size=2) as owner,
        ):
            await invoices(db, owner, accounts, messages)
            account = await owner.fetchval("SELECT id FROM core.accounts LIMIT 1")
            await adding_up(db, owner, account)
            await statement(db, owner, account, entries)
    finally:
        await connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
        await connection.close()


if __name__ == "__main__":
    given = [int(argument) for argument in sys.argv[1:]]
    asyncio.run(main(*(given + [1_000, 100_000, 1_000_000][len(given) :])))
