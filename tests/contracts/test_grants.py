"""The database enforces who may write what: a missing or an excess grant fails here."""

import re
from collections import defaultdict

import pytest

from sema_common.platform.db import Database
from tests.contracts.grants import FUNCTIONS, GRANTS, ROLES
from tests.kit.fixtures import TestDatabase

LETTERS = {"S": "SELECT", "I": "INSERT", "U": "UPDATE", "D": "DELETE"}

SQL_GRANTS = """
SELECT CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_get_userbyid(a.grantee) END AS role,
       n.nspname || '.' || c.relname AS name, a.privilege_type AS privilege, g.attname AS column_name
FROM (SELECT oid AS relid, NULL::name AS attname, relacl AS acl FROM pg_class
      UNION ALL SELECT attrelid, attname, attacl FROM pg_attribute) AS g
JOIN pg_class c ON c.oid = g.relid JOIN pg_namespace n ON n.oid = c.relnamespace, aclexplode(g.acl) AS a
WHERE c.relkind IN ('r', 'p', 'v', 'm') AND a.grantee <> c.relowner
  AND n.nspname NOT IN ('pg_catalog', 'information_schema')
"""


def declared() -> dict[tuple[str, str], set[str]]:
    found: dict[tuple[str, str], set[str]] = {}
    for role, tables in GRANTS.items():
        for table, text in tables.items():
            privileges = found.setdefault((role, table), set())
            for letter, columns in re.findall(r"([SIUD])(?:\(([^)]*)\))?", text):
                names = columns.split() or [""]
                privileges |= {f"{LETTERS[letter]} {name}".strip() for name in names}
    return found


async def test_every_grant_is_declared_and_every_declared_grant_is_there(database: TestDatabase) -> None:
    actual = defaultdict(set)
    async with Database.open(database.owner_dsn, name="owner") as db:
        for row in await db.fetch(SQL_GRANTS):
            privilege = f"{row['privilege']} {row['column_name'] or ''}".strip()
            actual[row["role"], row["name"]].add(privilege)
    assert actual.pop(("PUBLIC", "public.alembic_version")) == {"SELECT"}
    wanted = declared()
    missing = {key: gap for key in wanted if (gap := wanted[key] - actual[key])}
    excess = {key: gap for key in actual if (gap := actual[key] - wanted.get(key, set()))}
    assert not missing
    assert not excess


@pytest.mark.parametrize("role", [*ROLES, "sema_owner", "sema_migrator"])
async def test_no_role_can_step_over_the_walls(database: TestDatabase, role: str) -> None:
    """ASVS 8.2.1, ASVS 13.2.2."""
    async with Database.open(database.owner_dsn, name="owner") as db:
        row = await db.fetchrow(
            "SELECT rolsuper, rolbypassrls, rolcreaterole, rolcreatedb, rolcanlogin FROM pg_roles WHERE rolname = $1",
            role,
        )
        assert row is not None
        assert not any(list(row)[:4])
        assert row["rolcanlogin"] == (role != "sema_owner")
        owned = await db.fetchval("SELECT count(*) FROM pg_class WHERE pg_get_userbyid(relowner) = $1", role)
        assert (owned > 0) == (role == "sema_owner")
        member_of = await db.fetchval(
            "SELECT array_agg(roleid::regrole::text) FROM pg_auth_members WHERE member::regrole::text = $1",
            role,
        )
        assert member_of == (["sema_owner"] if role == "sema_migrator" else None)


async def test_only_its_callers_may_borrow_the_owners_rights(database: TestDatabase) -> None:
    async with Database.open(database.owner_dsn, name="owner") as db:
        rows = await db.fetch(
            "SELECT p.oid::regprocedure::text AS name, p.proconfig FROM pg_proc p"
            " JOIN pg_namespace n ON n.oid = p.pronamespace"
            " WHERE p.prosecdef AND n.nspname NOT IN ('pg_catalog', 'information_schema')"
        )
        assert {row["name"] for row in rows} == FUNCTIONS.keys()
        for row in rows:
            assert "search_path=pg_catalog, pg_temp" in row["proconfig"], "no stranger's schema comes first"
            for role in ROLES:
                may = await db.fetchval("SELECT has_function_privilege($1, $2, 'EXECUTE')", role, row["name"])
                assert may == (role in FUNCTIONS[row["name"]]), role


async def test_nobody_but_the_owner_makes_objects(database: TestDatabase) -> None:
    async with Database.open(database.owner_dsn, name="owner") as db:
        rows = await db.fetch(
            "SELECT r AS role, nspname FROM unnest($1::text[]) AS r, pg_namespace"
            " WHERE nspname !~ '^pg_' AND has_schema_privilege(r, oid, 'CREATE')",
            list(ROLES),
        )
        assert [tuple(row) for row in rows] == []
