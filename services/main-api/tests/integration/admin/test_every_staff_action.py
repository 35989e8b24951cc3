"""OWASP ASVS 16.2.1, 16.3.3 (security events are logged), API5:2023: no staff action without its line in the audit log.

Made out of the routes themselves: each that writes, called once, is found in the log by its request id; and where the
log cannot be written, nothing of the action remains.
"""

from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from structlog.testing import capture_logs

from sema_common.platform.db import Database
from sema_main_api.app import OPERATIONS
from tests.kit.letters import Office
from tests.kit.staff_calls import CSV, READS, WRITES, StaffCall

Headers = dict[str, str]
StaffLogIn = Callable[..., Awaitable[Headers]]
ROUTES = [op for op in OPERATIONS if op.staff and op.method != "GET" and op.name not in READS]

SQL_FALLEN = """
CREATE FUNCTION core.no_log() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'the log is away'; END $$;
CREATE TRIGGER no_log BEFORE INSERT ON core.audit_log FOR EACH ROW EXECUTE FUNCTION core.no_log();
"""
SQL_BACK = "DROP TRIGGER no_log ON core.audit_log"

SQL_LINES = """
SELECT actor, actor_id, action, before, after, reason FROM core.audit_log WHERE request_id = $1
"""

SQL_TABLES = """
SELECT c.oid::regclass::text AS name FROM pg_class c
WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition
  AND c.relnamespace::regnamespace::text IN ('core', 'orch', 'billing', 'webhooks', 'dlr')
  AND c.relname NOT IN ('accounting_cursor', 'ledger_days', 'usage_days', 'invoice_runs')  -- loops write them
ORDER BY 1
"""


async def everything(owner: Database) -> dict[str, str]:
    """All rows of all tables, by table."""
    kept = {}
    for table in [row["name"] for row in await owner.fetch(SQL_TABLES)]:
        kept[table] = await owner.fetchval(
            f"SELECT coalesce(string_agg(t::text, E'\\n' ORDER BY t::text), '') FROM {table} t"
        )
    return kept


async def do(
    client: httpx.AsyncClient, admin: Headers, method: str, call: StaffCall, request_id: str
) -> httpx.Response:
    headers = admin | {"x-request-id": request_id} | (CSV if call.content else {})
    return await client.request(
        method, call.path, headers=headers, json=call.json, params=call.params, content=call.content
    )


def test_every_staff_route_that_writes_is_called_here() -> None:
    assert {op.name for op in ROUTES} == WRITES.keys(), "say in tests/kit/staff_calls.py how it is called"


async def test_every_staff_action_is_in_the_audit_log_and_none_is_done_without(
    client: httpx.AsyncClient, staff: StaffLogIn, office: Office, owner: Database
) -> None:
    admin = await staff()
    me: UUID = await owner.fetchval("SELECT id FROM core.users WHERE role = 'staff_admin'")
    prepared = {op.name: await WRITES[op.name](office) for op in ROUTES}
    wrong: list[Any] = []

    await owner.execute(SQL_FALLEN)
    before = await everything(owner)
    for op in ROUTES:
        with capture_logs():  # a traceback costs a console a second
            answer = await do(client, admin, op.method, prepared[op.name], uuid4().hex)
        if answer.status_code < 500:
            wrong.append(f"{op.name} answers {answer.status_code} without a log: {answer.text[:200]}")
    after = await everything(owner)
    wrong += [f"without a log {table} changed" for table in after if after[table] != before[table]]
    await owner.execute(SQL_BACK)

    for op in ROUTES:
        request_id = uuid4().hex
        answer = await do(client, admin, op.method, prepared[op.name], request_id)
        if not answer.is_success:
            wrong.append(f"{op.name} answers {answer.status_code}: {answer.text[:300]}")
            continue
        lines = await owner.fetch(SQL_LINES, request_id)
        if not lines or any((line["actor"], line["actor_id"]) != ("staff", me) for line in lines):
            wrong.append(f"{op.name}: {[dict(line) for line in lines]}")
        wrong += [
            f"{op.name}: nothing before, nothing after"
            for line in lines
            if not (line["before"] or line["after"])
        ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("statement", ["UPDATE core.audit_log SET actor = 'x'", "DELETE FROM core.audit_log"])
async def test_nobody_may_change_the_log(pipeline: Database, statement: str) -> None:
    """ASVS 16.4.2: logs are protected from modification."""
    with pytest.raises(Exception, match="permission denied"):
        await pipeline.execute(statement)
