"""Row-level security: a tenant's session sees its own rows, whatever it asks; without a tenant, none."""

from uuid import UUID

import pytest

from sema_common.platform.db import Database, Tx
from sema_common.values.ids import new_id
from tests.contracts.grants import API, GRANTS
from tests.kit.fixtures import TestDatabase
from tests.kit.seeds import open_account

SQL_TABLES = """
SELECT n.nspname || '.' || c.relname AS name, c.relrowsecurity AND c.relforcerowsecurity AS walled
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND EXISTS (
    SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'tenant_id' AND NOT a.attisdropped)
"""

SQL_COLUMNS = """
SELECT attname, format_type(atttypid, NULL) AS type FROM pg_attribute
WHERE attrelid = $1::text::regclass AND attnum > 0 AND attnotnull AND NOT attisdropped AND attidentity = ''
  AND attname <> 'tenant_id'
"""

COMMON = {
    "core.mno_prefixes": "which network a number belongs to",
    "billing.accounting_cursor": "how far the ledger has been added up",
    "billing.pricing_tiers": "the price list; what one account has agreed is walled, see below",
}
"""What the tenants' role may read that has no tenants."""

ANYTHING = {
    "uuid": "gen_random_uuid()",
    "text": "md5(random()::text)",
    "character": "'x'",
    "bytea": "md5(random()::text)::bytea",
    "jsonb": "'{}'",
    "text[]": "'{}'",
    "cidr[]": "'{}'",
    "date": "'2026-01-01'",
    "timestamp with time zone": "now()",
    "numeric": "1",
    "integer": "1",
    "smallint": "1",
    "bigint": "1",
    "boolean": "true",
}


async def tables(db: Database) -> dict[str, bool]:
    return {row["name"]: row["walled"] for row in await db.fetch(SQL_TABLES)}


async def fill(tx: Tx, table: str, tenant: UUID) -> None:
    """A row of this tenant; nobody asks whether it makes sense."""
    columns = {row["attname"]: ANYTHING[row["type"]] for row in await tx.fetch(SQL_COLUMNS, table)}
    names, values = ", ".join(columns), ", ".join(columns.values())
    await tx.execute(f"INSERT INTO {table} (tenant_id, {names}) VALUES ($1, {values})", tenant)


@pytest.fixture
async def tenants(database: TestDatabase) -> tuple[UUID, UUID]:
    """Two tenants with a row in every table that has tenants."""
    tenants = new_id(), new_id()
    async with Database.open(database.owner_dsn, name="owner") as db:
        for table in await tables(db):
            checks = await db.fetch(
                "SELECT conname FROM pg_constraint WHERE conrelid = $1::text::regclass AND contype = 'c'",
                table,
            )
            async with db.transaction() as tx:
                await tx.execute("SET LOCAL session_replication_role = replica")  # no foreign keys
                for row in checks:
                    await tx.execute(f"ALTER TABLE {table} DROP CONSTRAINT {row['conname']}")
                for tenant in tenants:
                    await fill(tx, table, tenant)
    return tenants


async def test_every_table_with_tenants_is_walled_even_against_its_owner(database: TestDatabase) -> None:
    async with Database.open(database.owner_dsn, name="owner") as db:
        found = await tables(db)
    assert len(found) >= 17
    assert [table for table, walled in found.items() if not walled] == []


async def test_whatever_a_tenant_may_read_is_walled_or_common(database: TestDatabase) -> None:
    """OWASP API1:2023, ASVS 8.4.1."""
    async with Database.open(database.owner_dsn, name="owner") as db:
        walled = [table for table, walled in (await tables(db)).items() if walled]
    assert GRANTS[API].keys() - set(walled) == COMMON.keys()


async def test_a_price_agreed_with_another_is_not_seen(database: TestDatabase) -> None:
    """OWASP API1:2023, ASVS 8.4.1."""
    async with (
        Database.open(database.owner_dsn, name="owner") as owner,
        Database.open(database.dsn(API), name="api") as api,
    ):
        async with owner.transaction() as tx:
            ours, theirs = await open_account(tx), await open_account(tx)
            for account in (ours, theirs):
                await tx.execute(
                    "INSERT INTO billing.pricing_tiers (account_id, country, currency, price)"
                    " VALUES ($1, 'KE', 'KES', 0.5)",
                    account,
                )
        async with api.transaction() as tx:
            await tx.execute("SELECT set_config('app.tenant_id', $1, true)", str(ours))
            rows = await tx.fetch("SELECT DISTINCT account_id FROM billing.pricing_tiers")
    assert {row["account_id"] for row in rows} == {None, ours}


async def test_a_tenant_sees_its_own_rows_only(database: TestDatabase, tenants: tuple[UUID, UUID]) -> None:
    """OWASP API1:2023, ASVS 8.4.1."""
    async with (
        Database.open(database.owner_dsn, name="owner") as owner,
        Database.open(database.dsn(API), name="api") as api,
    ):
        readable = [table for table in await tables(owner) if table in GRANTS[API]]
        assert len(readable) >= 14
        for table in readable:
            for tenant in tenants:
                async with api.transaction() as tx:
                    await tx.execute("SELECT set_config('app.tenant_id', $1, true)", str(tenant))
                    seen = await tx.fetch(f"SELECT tenant_id FROM {table}")
                assert [row["tenant_id"] for row in seen] == [tenant], table


async def test_without_a_tenant_nothing_is_seen(database: TestDatabase, tenants: tuple[UUID, UUID]) -> None:
    """ASVS 8.4.1."""
    async with (
        Database.open(database.owner_dsn, name="owner") as owner,
        Database.open(database.dsn(API), name="api", max_size=1) as api,
    ):
        readable = [table for table in await tables(owner) if table in GRANTS[API]]
        for table in readable:
            assert await api.fetchval(f"SELECT count(*) FROM {table}") == 0, table
        async with api.transaction() as tx:
            await tx.execute("SELECT set_config('app.tenant_id', $1, true)", str(tenants[0]))
        for table in readable:  # the same connection: what was set has ended with its transaction
            assert await api.fetchval(f"SELECT count(*) FROM {table}") == 0, table


async def test_a_partition_is_no_way_around_the_wall(
    database: TestDatabase, tenants: tuple[UUID, UUID]
) -> None:
    async with Database.open(database.owner_dsn, name="owner") as owner:
        open_doors = await owner.fetch(
            "SELECT c.oid::regclass::text FROM pg_class c, unnest($1::text[]) AS role WHERE c.relispartition"
            " AND c.relkind = 'r' AND has_table_privilege(role, c.oid, 'SELECT')",
            list(GRANTS),
        )
    assert open_doors == []
