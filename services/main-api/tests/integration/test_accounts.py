from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from sema_common.platform.db import Database
from sema_main_api.accounts.opening import Opened
from sema_main_api.http.passwords import hash_password
from sema_main_api.users.people import put_owner

PASSWORD = "correct horse battery"
Headers = dict[str, str]
Serve = Callable[..., AbstractAsyncContextManager[httpx.AsyncClient]]
Open = Callable[..., Awaitable[Opened]]
StaffLogIn = Callable[..., Awaitable[Headers]]


@pytest.fixture
def log_in(client: httpx.AsyncClient, pipeline: Database) -> Callable[..., Awaitable[Headers]]:
    """`await log_in(account, role)`: the headers of a user of that account."""

    async def logging_in(account: Opened, role: str = "owner") -> Headers:
        email = f"{uuid4().hex}@example.com"
        async with pipeline.transaction() as tx:
            user_id = await put_owner(tx, account.account_id, email, hash_password(PASSWORD), "test")
        await pipeline.execute("UPDATE core.users SET role = $2 WHERE id = $1", user_id, role)
        response = await client.post("/v1/auth/login", json={"email": email, "password": PASSWORD})
        return {"authorization": f"Bearer {response.json()['access_token']}"}

    return logging_in


LogIn = Callable[..., Awaitable[Headers]]


async def test_a_key_sees_its_account(client: httpx.AsyncClient, account: Opened, auth: Headers) -> None:
    me = (await client.get("/v1/me", headers=auth)).json()
    assert me["account"]["id"] == str(account.account_id)
    assert me["key"]["prefix"] == account.live_key[:14]
    assert account.live_key not in str(me)


async def test_a_new_key_works_until_it_is_revoked(
    client: httpx.AsyncClient, account: Opened, log_in: LogIn
) -> None:
    owner = await log_in(account)
    created = await client.post(
        "/v1/api-keys", json={"name": "CI", "scopes": ["billing:read"]}, headers=owner
    )
    assert created.status_code == 201
    key = created.json()
    headers = {"authorization": f"Bearer {key['secret']}"}
    assert (await client.get("/v1/balance", headers=headers)).status_code == 200
    forbidden = await client.get("/v1/me", headers=headers)
    assert (forbidden.status_code, forbidden.json()["code"]) == (403, "insufficient_scope")
    assert (await client.delete(f"/v1/api-keys/{key['id']}", headers=owner)).status_code == 204
    assert (await client.get("/v1/balance", headers=headers)).status_code == 401
    listed = (await client.get("/v1/api-keys", headers=owner)).json()["data"]
    assert [row["revoked_at"] is not None for row in listed] == [True, False, False]
    assert "secret" not in str(listed)


async def test_a_secret_is_never_replayed(client: httpx.AsyncClient, account: Opened, log_in: LogIn) -> None:
    """ASVS 13.3.1."""
    owner = await log_in(account) | {"idempotency-key": "once"}
    first = await client.post("/v1/api-keys", json={"name": "CI"}, headers=owner)
    second = await client.post("/v1/api-keys", json={"name": "CI"}, headers=owner)
    assert second.status_code == 201
    assert second.headers["idempotent-replayed"] == "true"
    assert second.json() == {name: value for name, value in first.json().items() if name != "secret"}
    other = await client.post("/v1/api-keys", json={"name": "another"}, headers=owner)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")


async def test_a_refused_create_frees_its_key(
    client: httpx.AsyncClient, account: Opened, log_in: LogIn
) -> None:
    owner = await log_in(account) | {"idempotency-key": "k"}
    assert (
        await client.post("/v1/sender-ids", json={"sender": "SEMALINK"}, headers=owner)
    ).status_code == 409
    assert (await client.post("/v1/sender-ids", json={"sender": "ACME"}, headers=owner)).status_code == 201


async def test_an_idempotency_key_of_another_shape_is_refused(
    client: httpx.AsyncClient, auth: Headers
) -> None:
    for key in ("", "x" * 256, "tab\tinside"):
        headers = auth | {"idempotency-key": key}
        response = await client.post("/v1/sender-ids", json={"sender": "ACME"}, headers=headers)
        assert (response.status_code, response.json()["code"]) == (400, "invalid_idempotency_key"), key


async def test_equal_keys_in_parallel_create_once(client: httpx.AsyncClient, auth: Headers) -> None:
    import asyncio

    headers = auth | {"idempotency-key": "parallel"}
    calls = (client.post("/v1/sender-ids", json={"sender": "ACME"}, headers=headers) for _ in range(8))
    responses = await asyncio.gather(*calls)
    assert {response.status_code for response in responses} == {201}
    assert len({response.json()["id"] for response in responses}) == 1
    assert sum("idempotent-replayed" not in response.headers for response in responses) == 1


async def test_only_managers_handle_keys(client: httpx.AsyncClient, account: Opened, log_in: LogIn) -> None:
    for role, allowed in (("owner", True), ("admin", True), ("developer", False), ("viewer", False)):
        user = await log_in(account, role)
        assert ((await client.get("/v1/api-keys", headers=user)).status_code == 200) is allowed, role
        created = await client.post("/v1/api-keys", json={}, headers=user)
        assert created.status_code == (201 if allowed else 403), role


async def test_a_key_cannot_make_keys(client: httpx.AsyncClient, auth: Headers) -> None:
    response = await client.post("/v1/api-keys", json={}, headers=auth)
    assert (response.status_code, response.json()["code"]) == (403, "forbidden")


MISSHAPEN: tuple[tuple[dict[str, Any], str], ...] = (
    ({"scopes": ["everything"]}, "scopes.0"),
    ({"scopes": []}, "scopes"),
    ({"mode": "prod"}, "mode"),
    ({"expires_at": "2020-01-01T00:00:00Z"}, "expires_at"),
    ({"expires_at": "2030-01-01T00:00:00"}, "expires_at"),
    ({"tenant_id": "x"}, "tenant_id"),
)


async def test_a_key_of_another_shape_is_refused(
    client: httpx.AsyncClient, account: Opened, log_in: LogIn
) -> None:
    owner = await log_in(account)
    for body, field in MISSHAPEN:
        response = await client.post("/v1/api-keys", json=body, headers=owner)
        assert response.status_code == 422, body
        assert [error["field"] for error in response.json()["errors"]] == [field]


async def test_a_malformed_sender_is_refused(client: httpx.AsyncClient, auth: Headers) -> None:
    for sender in ("", "toolongforasender", "Saf\u0430ricom", "SE\u200bMA", " SEMA", "12", "a@b"):
        response = await client.post("/v1/sender-ids", json={"sender": sender}, headers=auth)
        assert response.status_code == 422, sender
        assert response.json()["errors"][0]["field"] == "sender"


async def test_senders_are_listed_by_status(client: httpx.AsyncClient, auth: Headers) -> None:
    await client.post("/v1/sender-ids", json={"sender": "ACME"}, headers=auth)
    everything = (await client.get("/v1/sender-ids", headers=auth)).json()["data"]
    assert [(row["sender"], row["status"]) for row in everything] == [
        ("ACME", "pending"),
        ("SEMALINK", "approved"),
    ]
    pending = (await client.get("/v1/sender-ids?status=pending&limit=1", headers=auth)).json()
    assert [row["sender"] for row in pending["data"]] == ["ACME"]
    first = (await client.get("/v1/sender-ids?limit=1", headers=auth)).json()
    stolen = await client.get(f"/v1/sender-ids?status=pending&cursor={first['next_cursor']}", headers=auth)
    assert (stolen.status_code, stolen.json()["code"]) == (400, "invalid_cursor")
    second = (await client.get(f"/v1/sender-ids?limit=1&cursor={first['next_cursor']}", headers=auth)).json()
    assert [row["sender"] for row in second["data"]] == ["SEMALINK"]
    assert second["next_cursor"] is None


async def test_a_query_of_another_shape_is_refused(client: httpx.AsyncClient, auth: Headers) -> None:
    for query in ("limit=0", "limit=201", "limit=x", "status=lost", "colour=red", "limit=1&limit=2"):
        response = await client.get(f"/v1/sender-ids?{query}", headers=auth)
        assert (response.status_code, response.json()["code"]) == (422, "validation_failed"), query


async def test_when_a_key_was_last_used_is_written_down(
    serve: Callable[..., Any], account: Opened, auth: Headers, pipeline: Database
) -> None:
    from sema_main_api.http.auth import Authenticator, Verified

    async def is_open(_: UUID, __: str) -> bool:
        return True

    authenticator = Authenticator(pipeline, lambda _: Verified(uuid4(), "s"), is_open)
    await authenticator.find(auth["authorization"].encode())
    await authenticator.write_last_used()
    used = await pipeline.fetchval(
        "SELECT last_used_at FROM core.api_keys WHERE last4 = $1", account.live_key[-4:]
    )
    assert used is not None


async def test_what_was_done_is_in_the_audit_log(
    client: httpx.AsyncClient, pipeline: Database, account: Opened, auth: Headers
) -> None:
    await client.post("/v1/sender-ids", json={"sender": "ACME"}, headers=auth | {"x-request-id": "req-7"})
    rows = await pipeline.fetch(
        "SELECT actor, action, request_id FROM core.audit_log WHERE account_id = $1 ORDER BY id",
        account.account_id,
    )
    assert [tuple(row) for row in rows] == [
        ("test", "account.opened", None),
        ("key", "sender_id.requested", "req-7"),
    ]


async def test_a_rotated_key_leaves_two_that_work_until_the_old_one_ends(
    client: httpx.AsyncClient, account: Opened, log_in: LogIn
) -> None:
    """ASVS 6.5.2, OWASP API2:2023: a key can be replaced without a gap, and without being written down again."""
    owner = await log_in(account)
    bounds = {"name": "CI", "scopes": ["billing:read"], "rate_per_second": 3}
    old = (await client.post("/v1/api-keys", json=bounds, headers=owner)).json()
    rotate = f"/v1/api-keys/{old['id']}/rotate"
    new = (await client.post(rotate, json={"keep_seconds": 60}, headers=owner)).json()
    same = ("name", "scopes", "rate_per_second", "allowed_networks", "mode")
    assert {name: new[name] for name in same} == {name: old[name] for name in same}
    for key in (old, new):
        headers = {"authorization": f"Bearer {key['secret']}"}
        assert (await client.get("/v1/balance", headers=headers)).status_code == 200
    listed = (await client.get("/v1/api-keys", headers=owner)).json()["data"]
    ends = {row["id"]: row["expires_at"] for row in listed}
    assert ends[old["id"]] is not None
    assert ends[new["id"]] is None
    assert (await client.post(rotate, json={"keep_seconds": 0}, headers=owner)).status_code == 201
    ended = await client.get("/v1/balance", headers={"authorization": f"Bearer {old['secret']}"})
    assert ended.status_code == 401
    again = await client.post(rotate, json={}, headers=owner)
    assert (again.status_code, again.json()["code"]) == (409, "key_not_live")


async def test_a_rotated_key_ends_when_the_old_one_would_have(
    client: httpx.AsyncClient, account: Opened, log_in: LogIn
) -> None:
    """A key that was made for a while does not become one for ever by being replaced."""
    owner = await log_in(account)
    end = "2099-01-01T00:00:00.000Z"
    old = (await client.post("/v1/api-keys", json={"expires_at": end}, headers=owner)).json()
    new = await client.post(f"/v1/api-keys/{old['id']}/rotate", json={}, headers=owner)
    assert (new.status_code, new.json()["expires_at"]) == (201, end)


async def test_a_key_works_from_its_networks_and_nobody_can_say_that_he_comes_from_there(
    client: httpx.AsyncClient, account: Opened, log_in: LogIn
) -> None:
    """OWASP API2:2023, ASVS 4.1.3: X-Forwarded-For is anybody's to write where no proxy of ours stands in front."""
    owner = await log_in(account)
    wanted = {"scopes": ["billing:read"], "allowed_networks": ["203.0.113.0/24"]}
    key = (await client.post("/v1/api-keys", json=wanted, headers=owner)).json()
    headers = {"authorization": f"Bearer {key['secret']}", "x-forwarded-for": "203.0.113.7"}
    refused = await client.get("/v1/balance", headers=headers)
    assert (refused.status_code, refused.json()["code"]) == (403, "address_not_allowed")
    patch = {"allowed_networks": ["203.0.113.0/24", "127.0.0.0/8"]}
    changed = await client.patch(f"/v1/api-keys/{key['id']}", json=patch, headers=owner)
    assert changed.json()["allowed_networks"] == patch["allowed_networks"]
    assert (await client.get("/v1/balance", headers=headers)).status_code == 200


@pytest.mark.parametrize(
    ("forwarded", "status"),
    [
        (["203.0.113.7"], 200),
        (["198.51.100.1, 203.0.113.7"], 200),
        (["203.0.113.7, 198.51.100.1"], 403),
        (["203.0.113.7", "198.51.100.1"], 403),
        ([], 403),
    ],
)
async def test_behind_a_proxy_of_ours_the_address_is_the_one_that_the_proxy_saw(
    serve: Serve, pipeline: Database, open_: Open, forwarded: list[str], status: int
) -> None:
    """OWASP API2:2023: only what the trusted proxy appended counts, in a header of its own too."""
    account = await open_()
    await pipeline.execute(
        "UPDATE core.api_keys SET allowed_networks = '{203.0.113.0/24}' WHERE account_id = $1",
        account.account_id,
    )
    headers = [("authorization", f"Bearer {account.live_key}"), *(("x-forwarded-for", f) for f in forwarded)]
    async with serve(trusted_proxies=1) as client:
        assert (await client.get("/v1/balance", headers=headers)).status_code == status


@pytest.mark.parametrize("network", ["203.0.113.7/24", "example.com", "::ffff:10.0.0.0/104", "", "5"])
async def test_what_is_no_network_is_refused_by_name(
    client: httpx.AsyncClient, account: Opened, log_in: LogIn, network: str
) -> None:
    answer = await client.post(
        "/v1/api-keys", json={"allowed_networks": [network]}, headers=await log_in(account)
    )
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (422, "invalid_network")


async def test_what_a_key_was_bound_to_is_in_the_audit_log(
    client: httpx.AsyncClient, account: Opened, log_in: LogIn, staff: StaffLogIn
) -> None:
    """ASVS 16.3.3."""
    owner = await log_in(account)
    key = (await client.post("/v1/api-keys", json={}, headers=owner)).json()
    await client.patch(f"/v1/api-keys/{key['id']}", json={"rate_per_second": 2}, headers=owner)
    lines = (await client.get("/v1/admin/audit-log", headers=await staff())).json()["data"]
    [line] = [
        line for line in lines if line["action"] == "api_key.changed" and line["subject_id"] == key["id"]
    ]
    assert (line["before"]["rate_per_second"], line["after"]["rate_per_second"]) == (None, 2)
    assert key["secret"] not in str(line)
