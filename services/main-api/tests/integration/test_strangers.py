"""OWASP API1:2023 (object level authorisation), API3, API5 (function level), ASVS 8.2.1, 8.2.2, 8.4.1.

Made out of the OpenAPI document: every route, asked by every role and scope of a stranger, of an agent and of the
agent's other customers, for what is another's. Nobody is shown anything, and nothing of it changes.
"""

import re
from collections.abc import Awaitable, Callable, Iterable, Iterator
from typing import Any

import httpx
import pytest

from sema_common.platform.db import Database
from sema_main_api.accounts.opening import Opened
from sema_main_api.app import OPERATIONS, WEBHOOKS
from sema_main_api.http.openapi import document
from tests.kit.rooms import eventually
from tests.kit.tenants import BODIES, Headers, Tenant, World, filled, names_in

Open = Callable[..., Awaitable[Opened]]
StaffLogIn = Callable[..., Awaitable[Headers]]

DOCUMENT = document(OPERATIONS, "0", WEBHOOKS)
DECLARED = {operation.name: operation for operation in OPERATIONS}
OF_STAFF = "/v1/admin/"
OF_NOBODY = re.compile(r"^\w+ /v1/auth/(?!sessions/{id})|^PATCH /v1/me$")
"""About whoever calls, or nobody yet: they take no id of anything."""

BOOK = re.compile(r"^/v1/(ledger|statements/{month})(\.csv)?$")

SQL_TABLES = """
SELECT c.oid::regclass::text AS name FROM pg_class c
WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND EXISTS (SELECT FROM pg_attribute a
    WHERE a.attrelid = c.oid AND a.attname = 'account_id' AND NOT a.attisdropped)
  AND c.relnamespace::regnamespace::text IN ('core', 'orch', 'billing', 'webhooks')
  AND c.relname NOT IN ('ledger_days', 'usage_days')  -- a loop adds the ledger up meanwhile
ORDER BY 1
"""

SQL_IN_FLIGHT = """
SELECT (SELECT count(*) FROM orch.sms_messages WHERE status = 'submitted')
     + (SELECT count(*) FROM core.campaigns WHERE status = 'submitted')
"""


def named() -> Iterator[tuple[str, str, str]]:
    """(operation, method, path) of all that may name a thing."""
    for path, methods in DOCUMENT["paths"].items():
        for method in methods:
            name = f"{method.upper()} {path}"
            if not OF_NOBODY.match(name):
                yield name, method.upper(), path


ROUTES = list(named())
CUSTOMERS = [route for route in ROUTES if not route[2].startswith(OF_STAFF)]


def calls(things: dict[str, str], own: dict[str, str], path: str) -> Iterator[str]:
    """The path with another's ids; where it has two, also with only one of them."""
    names = [(p, thing) for p, thing in names_in(path) if thing in things]
    yield filled(path, {p: things[thing] for p, thing in names})
    if len(names) > 1:
        for mixed, _ in names:
            yield filled(
                path, {p: (things if p == mixed else own).get(thing, things["list"]) for p, thing in names}
            )


def query_of(method: str, path: str, things: dict[str, str]) -> dict[str, str]:
    """Every query parameter that is an id, with another's."""
    parameters = DOCUMENT["paths"][path][method.lower()]["parameters"]
    ids = [p["name"] for p in parameters if p["in"] == "query" and "'format': 'uuid'" in str(p["schema"])]
    if path.startswith(OF_STAFF):
        return dict.fromkeys(ids, things["list"])
    return {name: things.get(name.removesuffix("_id"), things["list"]) for name in ids}


class Leaks:
    """Asks, and keeps what should not have been answered."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self.client = client
        self.found: list[str] = []
        self.asked = 0

    async def ask(
        self, who: str, headers: Headers, name: str, victim: Tenant, path: str, known: Iterable[str] = ()
    ) -> httpx.Response:
        """`known`: what of the victim's may be seen."""
        method, template = name.split(" ", 1)
        body = BODIES[name](victim.things) if name in BODIES else None
        params = query_of(method, template, victim.things)
        answer = await self.client.request(method, path, headers=headers, json=body, params=params)
        self.asked += 1
        shown = answer.text + str(answer.headers)
        if leaked := [
            mark for mark in victim.canaries if mark in shown and mark not in path and mark not in known
        ]:
            self.found.append(f"{who}: {name} shows {leaked}")
        if answer.status_code >= 500:
            self.found.append(f"{who}: {name} answers {answer.status_code}")
        return answer

    def expect(self, who: str, name: str, answer: httpx.Response, *statuses: int) -> None:
        if answer.status_code not in statuses:
            self.found.append(
                f"{who}: {name} answers {answer.status_code}, not {statuses}: {answer.text[:200]}"
            )


def admitted(who: str, name: str) -> bool:
    """Whether the declaration lets this role or scope in."""
    operation = DECLARED[name]
    if who in ("owner", "admin", "developer", "viewer"):
        return operation.personal or (not operation.staff and who in operation.roles)
    if operation.personal or operation.staff or operation.scope is None:
        return False
    return who in ("key", operation.scope)


async def assault(leaks: Leaks, attacker: Tenant, victim: Tenant, *, pays: bool = False) -> None:
    """Everybody of `attacker` asks for everything of `victim` by every route of customers.

    `pays`: the attacker is the victim's agent, whose own book names what it has paid for.
    """
    for name, _, path in CUSTOMERS:
        known = [victim.things["message"], victim.things["campaign"]] if pays and BOOK.match(path) else []
        if pays and path.startswith("/v1/agent/"):  # whom he sells to, and what
            known = [victim.things["message"], str(victim.account_id)]
        for who, headers in attacker.callers():
            for url in calls(victim.things, attacker.things, path):
                label = f"{attacker.name}'s {who} at {victim.name}"
                answer = await leaks.ask(label, headers, name, victim, url, known)
                if not admitted(who, name):
                    leaks.expect(label, name, answer, 403)
                elif names_in(path):
                    leaks.expect(label, name, answer, 404)
                elif "POST /v1/campaigns" in name:
                    leaks.expect(label, name, answer, 404, 422)


async def rows_of(owner: Database, tenant: Tenant) -> set[str]:
    """All rows of the account, but for when its keys were last used."""
    kept: set[str] = set()
    for table in [row["name"] for row in await owner.fetch(SQL_TABLES)]:
        rows = await owner.fetch(
            f"SELECT (to_jsonb(t) - 'last_used_at')::text AS row FROM {table} t WHERE account_id = $1 ORDER BY 1",
            tenant.account_id,
        )
        kept |= {f"{table}: {row['row']}" for row in rows}
    return kept


def test_every_operation_with_a_body_has_one_here() -> None:
    with_body = {
        f"{method.upper()} {path}"
        for path, methods in DOCUMENT["paths"].items()
        for method, operation in methods.items()
        if "requestBody" in operation
    }
    asked = {name for name, _, path in CUSTOMERS if name in with_body}
    assert asked - BODIES.keys() == set(), "say in tests/kit/tenants.py what a valid body looks like"
    assert BODIES.keys() <= DECLARED.keys()


@pytest.fixture
def settings(settings: dict[str, Any], daraja_settings: dict[str, Any]) -> dict[str, Any]:
    """With M-Pesa set up, though nobody is there: every route answers as it would."""
    return (
        settings
        | daraja_settings
        | {"daraja_base_url": "http://127.0.0.1:9", "payments_query_seconds": 600.0}
    )


@pytest.fixture
async def world(client: httpx.AsyncClient, open_: Open, owner: Database) -> World:
    return World(client, open_, owner)


@pytest.mark.timeout(300)
async def test_no_route_shows_or_changes_what_is_anothers(
    world: World, client: httpx.AsyncClient, owner: Database, staff: StaffLogIn
) -> None:
    victim = await world.furnish(await world.tenant("victim"))
    stranger = await world.furnish(await world.tenant("stranger", every_scope=True))
    agent = await world.furnish(await world.tenant("agent", type="agent"))
    customer: dict[str, Any] = {"type": "agent_customer", "credit": "0", "agent": agent.account_id}
    first = await world.furnish(await world.tenant("first", **customer))
    sibling = await world.furnish(await world.tenant("sibling", **customer))

    async def at_rest() -> bool | None:
        return True if await owner.fetchval(SQL_IN_FLIGHT) == 0 else None

    async def attacked(attacker: Tenant, target: Tenant, *, pays: bool = False, but: str = "nothing") -> None:
        """`but`: the schema in which the target's rows move, because it pays for what the attacker does."""
        await eventually(at_rest)
        before = await rows_of(owner, target)
        await assault(leaks, attacker, target, pays=pays)
        await eventually(at_rest)
        changed = [row for row in before ^ await rows_of(owner, target) if not row.startswith(but)]
        assert not changed, f"{attacker.name} changed what is {target.name}'s"

    leaks = Leaks(client)
    await attacked(stranger, victim)
    await attacked(sibling, first)
    await attacked(agent, first, pays=True)
    await attacked(first, agent, but="billing.")
    for name, _, path in ROUTES:
        of_staff = path.startswith(OF_STAFF)
        url = (
            re.sub(r"{\w+}", victim.things["list"], path)
            if of_staff
            else next(calls(victim.things, {}, path))
        )
        answer = await leaks.ask("nobody", {}, name, victim, url)
        leaks.expect("nobody", name, answer, 401)
        if of_staff:
            for who, headers in stranger.callers():
                leaks.expect(f"stranger's {who}", name, await leaks.ask(who, headers, name, victim, url), 404)
    for role in ("staff_admin", "staff_support"):
        headers = await staff(role)
        for name, _, path in CUSTOMERS:
            answer = await leaks.ask(role, headers, name, victim, next(calls(victim.things, {}, path)))
            leaks.expect(role, name, answer, *((404,) if DECLARED[name].personal else (403,)))
    assert not leaks.found, "\n".join(leaks.found)
    assert leaks.asked > 2_000


async def test_the_owner_of_the_same_things_is_let_in_by_the_same_calls(
    world: World, client: httpx.AsyncClient
) -> None:
    """Without this the test above might ask for what nobody has."""
    tenant = await world.furnish(await world.tenant("victim", type="agent"))
    wrong = []
    for name, method, path in sorted(
        CUSTOMERS, key=lambda route: ("sessions" in route[2], route[1] == "DELETE", -route[2].count("/"))
    ):
        body = BODIES[name](tenant.things) if name in BODIES else None
        url = next(calls(tenant.things, {}, path))
        answer = await client.request(method, url, headers=tenant.owner, json=body)
        if not (answer.is_success or answer.status_code == 409):
            wrong.append(f"{name}: {answer.status_code} {answer.text[:200]}")
    assert not wrong, "\n".join(wrong)
