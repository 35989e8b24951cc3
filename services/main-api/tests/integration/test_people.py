"""Registering, inviting, passwords: through the HTTP door, with the mails that people get."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import httpx
import pytest
from pydantic_core import from_json

from sema_common.platform.db import Database
from sema_common.platform.secrets import SecretBox
from sema_main_api.accounts.opening import Opened
from sema_main_api.http import passwords
from sema_main_api.http.passwords import hash_password
from sema_main_api.users.loops import Purge
from sema_main_api.users.people import put_owner

EMAIL, PASSWORD, NEW_PASSWORD = "ann@example.com", "correct horse battery", "staple of another kind"
Headers = dict[str, str]
Owed = Callable[[str], Awaitable[list[dict[str, str]]]]
Join = Callable[..., Awaitable[Headers]]


@pytest.fixture
def owed(pipeline: Database, box: SecretBox) -> Owed:
    """`await owed(address)`: the mails that are owed to it, oldest first."""

    async def reading(address: str) -> list[dict[str, str]]:
        rows = await pipeline.fetch(
            "SELECT kind, content FROM core.mails WHERE recipient = $1 ORDER BY id", address
        )
        return [{"kind": row["kind"], **from_json(box.open(row["content"]))} for row in rows]

    return reading


@pytest.fixture
async def owner(pipeline: Database, account: Opened) -> UUID:
    async with pipeline.transaction() as tx:
        return await put_owner(tx, account.account_id, EMAIL, hash_password(PASSWORD), "test")


def token_of(mail: dict[str, str]) -> str:
    found = re.search(r"#token=(\S+)", mail["text"])
    assert found
    return found.group(1)


async def login(client: httpx.AsyncClient, email: str, password: str) -> httpx.Response:
    return await client.post("/v1/auth/login", json={"email": email, "password": password})


async def as_(client: httpx.AsyncClient, email: str, password: str) -> Headers:
    answer = await login(client, email, password)
    assert answer.status_code == 200, answer.text
    return {"authorization": f"Bearer {answer.json()['access_token']}"}


@pytest.fixture
def join(client: httpx.AsyncClient, owed: Owed) -> Join:
    """`await join(owner's headers, address, role)`: an invited user who has joined and logged in."""

    async def joining(by: Headers, email: str, role: str) -> Headers:
        invited = await client.post("/v1/users", json={"email": email, "role": role}, headers=by)
        assert invited.status_code == 201, invited.text
        token = token_of((await owed(email))[-1])
        accepted = await client.post(
            "/v1/auth/invitations/accept", json={"token": token, "password": PASSWORD}
        )
        assert accepted.status_code == 204, accepted.text
        return await as_(client, email, PASSWORD)

    return joining


async def register(client: httpx.AsyncClient, email: str = "new@example.com") -> httpx.Response:
    body = {"email": email, "password": PASSWORD, "company": "Acme", "name": "Ann"}
    return await client.post("/v1/auth/register", json=body)


async def test_a_confirmed_registration_is_an_account_with_its_owner(
    client: httpx.AsyncClient, owed: Owed
) -> None:
    assert (await register(client, " New@Example.com ")).status_code == 202
    assert (await login(client, "new@example.com", PASSWORD)).status_code == 401
    [mail] = await owed("new@example.com")
    confirmed = await client.post("/v1/auth/confirm", json={"token": token_of(mail)})
    assert confirmed.status_code == 201
    headers = await as_(client, "new@example.com", PASSWORD)
    me = (await client.get("/v1/me", headers=headers)).json()
    assert (me["account"]["id"], me["account"]["name"]) == (confirmed.json()["account_id"], "Acme")
    assert (me["user"]["role"], me["user"]["name"]) == ("owner", "Ann")
    balance = (await client.get("/v1/balance", headers=headers)).json()
    assert balance["balance"]["amount"] == "0.0000"


async def test_a_link_works_once(client: httpx.AsyncClient, owed: Owed) -> None:
    await register(client)
    token = token_of((await owed("new@example.com"))[0])
    answers = await asyncio.gather(
        *(client.post("/v1/auth/confirm", json={"token": token}) for _ in range(4))
    )
    assert sorted(answer.status_code for answer in answers) == [201, 422, 422, 422]
    assert {a.json()["code"] for a in answers if a.status_code == 422} == {"invalid_token"}


async def test_a_link_that_is_too_old_opens_nothing(
    client: httpx.AsyncClient, owed: Owed, pipeline: Database
) -> None:
    await register(client)
    await pipeline.execute("UPDATE core.registrations SET expires_at = now() - interval '1 second'")
    token = token_of((await owed("new@example.com"))[0])
    assert (await client.post("/v1/auth/confirm", json={"token": token})).status_code == 422
    assert await pipeline.fetchval("SELECT count(*) FROM core.accounts") == 0


async def test_registering_a_known_address_answers_the_same_and_tells_only_its_owner(
    client: httpx.AsyncClient, owed: Owed, owner: UUID
) -> None:
    known, new = await register(client, EMAIL), await register(client)
    assert (known.status_code, known.json()) == (new.status_code, new.json()) == (202, {})
    assert [mail["kind"] for mail in await owed(EMAIL)] == ["registered_already"]
    assert [mail["kind"] for mail in await owed("new@example.com")] == ["confirm_registration"]


async def test_of_two_registrations_of_one_address_the_first_to_confirm_has_it(
    client: httpx.AsyncClient, owed: Owed
) -> None:
    await register(client)
    await register(client)
    first, second = await owed("new@example.com")
    assert (await client.post("/v1/auth/confirm", json={"token": token_of(second)})).status_code == 201
    late = await client.post("/v1/auth/confirm", json={"token": token_of(first)})
    assert (late.status_code, late.json()["code"]) == (409, "email_taken")


@pytest.mark.parametrize(
    ("changes", "field", "code"),
    [
        ({"email": "ann"}, "email", "invalid_email"),
        ({"email": "ann@localhost"}, "email", "invalid_email"),
        ({"email": "a@b.co\r\nbcc: c@d.co"}, "email", "invalid_email"),
        ({"password": "short"}, "password", "too_short"),
        ({"password": "x" * 129}, "password", "too_long"),
        ({"password": "Password123"}, "password", "common_password"),
        ({"password": "aaaaaaaaaaaa"}, "password", "common_password"),
        ({"password": "1234567890"}, "password", "common_password"),
        ({"company": ""}, "company", "too_short"),
        ({"company": "A\nB"}, "company", "invalid_characters"),
        ({"role": "owner"}, "role", "unknown_field"),
    ],
)
async def test_a_registration_that_cannot_be_is_refused_by_field(
    client: httpx.AsyncClient, changes: dict[str, str], field: str, code: str
) -> None:
    body = {"email": "new@example.com", "password": PASSWORD, "company": "Acme"} | changes
    response = await client.post("/v1/auth/register", json=body)
    assert response.status_code == 422
    assert [(e["field"], e["code"]) for e in response.json()["errors"]] == [(field, code)]


async def test_nobody_can_flood_a_mailbox(client: httpx.AsyncClient, owed: Owed, owner: UUID) -> None:
    answers = [await client.post("/v1/auth/password/forgot", json={"email": EMAIL}) for _ in range(6)]
    assert [answer.status_code for answer in answers] == [202] * 5 + [429]
    assert len(await owed(EMAIL)) == 5


async def test_a_forgotten_password_is_replaced_and_every_session_ends(
    client: httpx.AsyncClient, owed: Owed, owner: UUID
) -> None:
    session = (await login(client, EMAIL, PASSWORD)).json()
    for email in (EMAIL, "nobody@example.com"):
        assert (await client.post("/v1/auth/password/forgot", json={"email": email})).status_code == 202
    assert await owed("nobody@example.com") == []
    [mail] = await owed(EMAIL)
    body = {"token": token_of(mail), "password": NEW_PASSWORD}
    assert (await client.post("/v1/auth/password/reset", json=body)).status_code == 204
    assert (await client.post("/v1/auth/password/reset", json=body)).status_code == 422
    assert (await login(client, EMAIL, PASSWORD)).status_code == 401
    assert (await login(client, EMAIL, NEW_PASSWORD)).status_code == 200
    headers = {"authorization": f"Bearer {session['access_token']}"}
    assert (await client.get("/v1/me", headers=headers)).status_code == 401
    refresh = await client.post("/v1/auth/refresh", json={"refresh_token": session["refresh_token"]})
    assert refresh.status_code == 401
    assert [mail["kind"] for mail in await owed(EMAIL)] == ["reset_password", "password_changed"]


async def test_a_new_password_makes_older_links_useless(
    client: httpx.AsyncClient, owed: Owed, owner: UUID
) -> None:
    for _ in range(2):
        await client.post("/v1/auth/password/forgot", json={"email": EMAIL})
    first, second = [token_of(mail) for mail in await owed(EMAIL)]
    used = await client.post("/v1/auth/password/reset", json={"token": second, "password": NEW_PASSWORD})
    assert used.status_code == 204
    older = await client.post("/v1/auth/password/reset", json={"token": first, "password": "yet another one"})
    assert older.status_code == 422


async def test_who_knows_his_password_changes_it_and_stays_logged_in_here_alone(
    client: httpx.AsyncClient, owner: UUID
) -> None:
    here, elsewhere = await as_(client, EMAIL, PASSWORD), await as_(client, EMAIL, PASSWORD)
    wrong = {"current_password": "not it at all", "password": NEW_PASSWORD}
    refused = await client.post("/v1/auth/password/change", json=wrong, headers=here)
    assert [(e["field"], e["code"]) for e in refused.json()["errors"]] == [
        ("current_password", "wrong_password")
    ]
    right = {"current_password": PASSWORD, "password": NEW_PASSWORD}
    changed = await client.post("/v1/auth/password/change", json=right, headers=here)
    assert changed.status_code == 204
    assert (await client.get("/v1/me", headers=here)).status_code == 200
    assert (await client.get("/v1/me", headers=elsewhere)).status_code == 401


async def test_an_invited_user_joins_with_the_role_given(
    client: httpx.AsyncClient, owner: UUID, join: Join, account: Opened
) -> None:
    by = await as_(client, EMAIL, PASSWORD)
    headers = await join(by, "dev@example.com", "developer")
    me = (await client.get("/v1/me", headers=headers)).json()
    assert (me["account"]["id"], me["user"]["role"]) == (str(account.account_id), "developer")
    listed = (await client.get("/v1/users", headers=by)).json()["data"]
    assert [(each["email"], each["status"]) for each in listed] == [
        ("dev@example.com", "active"),
        (EMAIL, "active"),
    ]


async def test_an_invited_user_cannot_log_in_before_he_has_joined(
    client: httpx.AsyncClient, owner: UUID
) -> None:
    by = await as_(client, EMAIL, PASSWORD)
    body = {"email": "dev@example.com", "role": "viewer"}
    invited = await client.post("/v1/users", json=body, headers=by)
    assert invited.json()["status"] == "invited"
    assert "token" not in invited.text
    assert (await login(client, "dev@example.com", PASSWORD)).status_code == 401


async def test_who_is_invited_again_gets_a_new_link_and_the_old_one_is_void(
    client: httpx.AsyncClient, owner: UUID, owed: Owed
) -> None:
    by = await as_(client, EMAIL, PASSWORD)
    for role in ("viewer", "developer"):
        invited = await client.post("/v1/users", json={"email": "dev@example.com", "role": role}, headers=by)
        assert invited.status_code == 201
    old, new = [token_of(mail) for mail in await owed("dev@example.com")]
    answers = [
        await client.post("/v1/auth/invitations/accept", json={"token": token, "password": PASSWORD})
        for token in (old, new)
    ]
    assert [answer.status_code for answer in answers] == [422, 204]
    listed = (await client.get("/v1/users", headers=by)).json()["data"]
    assert [each["role"] for each in listed] == ["developer", "owner"]
    again = await client.post("/v1/users", json={"email": "dev@example.com", "role": "viewer"}, headers=by)
    assert (again.status_code, again.json()["code"]) == (409, "email_taken")


async def test_an_invitation_keeps_nobody_from_registering(
    client: httpx.AsyncClient, owner: UUID, owed: Owed
) -> None:
    by = await as_(client, EMAIL, PASSWORD)
    await client.post("/v1/users", json={"email": "new@example.com", "role": "viewer"}, headers=by)
    await register(client)
    confirm = (await owed("new@example.com"))[-1]
    assert confirm["kind"] == "confirm_registration"
    made = await client.post("/v1/auth/confirm", json={"token": token_of(confirm)})
    assert made.status_code == 201
    assert len((await client.get("/v1/users", headers=by)).json()["data"]) == 1


async def test_whoever_was_invited_and_never_came_is_forgotten_with_his_link(
    client: httpx.AsyncClient, owner: UUID, pipeline: Database
) -> None:
    by = await as_(client, EMAIL, PASSWORD)
    await client.post("/v1/users", json={"email": "dev@example.com", "role": "viewer"}, headers=by)
    await Purge(pipeline)()
    assert len((await client.get("/v1/users", headers=by)).json()["data"]) == 2
    await pipeline.execute("UPDATE core.user_tokens SET expires_at = now() - interval '1 second'")
    await Purge(pipeline)()
    assert len((await client.get("/v1/users", headers=by)).json()["data"]) == 1


@pytest.mark.parametrize("path", ["/v1/auth/password/reset", "/v1/auth/invitations/accept"])
async def test_a_link_of_nobody_costs_no_hashing(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    def dear(_: str) -> str:
        raise AssertionError("hashed for a link that does not work")

    monkeypatch.setattr(passwords, "hash_password", dear)
    answer = await client.post(path, json={"token": "of nobody", "password": PASSWORD})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_token")


async def test_an_invitation_made_twice_with_one_key_is_one(
    client: httpx.AsyncClient, owner: UUID, owed: Owed
) -> None:
    by = await as_(client, EMAIL, PASSWORD)
    body = {"email": "dev@example.com", "role": "viewer"}
    answers = [
        await client.post("/v1/users", json=body, headers=by | {"idempotency-key": "k"}) for _ in range(2)
    ]
    assert [answer.status_code for answer in answers] == [201, 201]
    assert answers[0].json() == answers[1].json()
    assert len(await owed("dev@example.com")) == 1


async def test_who_may_decide_about_whom(client: httpx.AsyncClient, owner: UUID, join: Join) -> None:
    by = await as_(client, EMAIL, PASSWORD)
    admin = await join(by, "admin@example.com", "admin")
    viewer = await join(by, "viewer@example.com", "viewer")
    ids = {each["email"]: each["id"] for each in (await client.get("/v1/users", headers=by)).json()["data"]}

    async def change(who: Headers, whom: str, **changes: Any) -> tuple[int, str]:
        response = await client.patch(f"/v1/users/{ids[whom]}", json=changes, headers=who)
        return response.status_code, response.json().get("code", "")

    assert await change(viewer, "viewer@example.com", role="admin") == (403, "forbidden")
    assert await change(admin, "viewer@example.com", role="owner") == (403, "forbidden")
    assert await change(admin, EMAIL, role="viewer") == (403, "forbidden")
    assert await change(admin, EMAIL, disabled=True) == (403, "forbidden")
    assert await change(admin, "viewer@example.com", role="developer") == (200, "")
    assert await change(by, EMAIL, role="admin") == (409, "last_owner")
    assert await change(by, EMAIL, disabled=True) == (409, "last_owner")
    assert await change(by, "admin@example.com", role="owner") == (200, "")
    assert await change(by, EMAIL, role="admin") == (200, "")


async def test_a_disabled_user_is_out_at_once(client: httpx.AsyncClient, owner: UUID, join: Join) -> None:
    by = await as_(client, EMAIL, PASSWORD)
    viewer = await join(by, "viewer@example.com", "viewer")
    [user_id] = [
        each["id"]
        for each in (await client.get("/v1/users", headers=by)).json()["data"]
        if each["role"] == "viewer"
    ]
    changed = await client.patch(f"/v1/users/{user_id}", json={"disabled": True}, headers=by)
    assert changed.json()["status"] == "disabled"
    assert (await client.get("/v1/me", headers=viewer)).status_code == 401
    assert (await login(client, "viewer@example.com", PASSWORD)).status_code == 401


async def test_another_accounts_user_is_not_there(
    client: httpx.AsyncClient, owner: UUID, open_: Callable[..., Awaitable[Opened]], pipeline: Database
) -> None:
    other = await open_()
    async with pipeline.transaction() as tx:
        stranger = await put_owner(tx, other.account_id, "bob@example.com", hash_password(PASSWORD), "test")
    by = await as_(client, EMAIL, PASSWORD)
    response = await client.patch(f"/v1/users/{stranger}", json={"name": "x"}, headers=by)
    assert (response.status_code, response.json()["code"]) == (404, "not_found")
    assert len((await client.get("/v1/users", headers=by)).json()["data"]) == 1


async def test_what_was_decided_is_in_the_audit_log_and_no_secret_is(
    client: httpx.AsyncClient, owner: UUID, join: Join, pipeline: Database
) -> None:
    by = await as_(client, EMAIL, PASSWORD)
    await join(by, "viewer@example.com", "viewer")
    rows = await pipeline.fetch("SELECT action, after FROM core.audit_log WHERE actor = 'user' ORDER BY id")
    assert [row["action"] for row in rows] == ["user.invited", "user.joined"]
    assert rows[0]["after"] == {"email": "viewer@example.com", "role": "viewer"}


async def test_i_change_my_name(client: httpx.AsyncClient, owner: UUID) -> None:
    by = await as_(client, EMAIL, PASSWORD)
    changed = await client.patch("/v1/me", json={"name": " Ann "}, headers=by)
    assert changed.json()["name"] == "Ann"
    assert (await client.get("/v1/me", headers=by)).json()["user"]["name"] == "Ann"
