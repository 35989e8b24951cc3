import statistics
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import jwt
import pytest
import time_machine
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from sema_common.platform.db import Database
from sema_common.platform.secrets import signing_keys
from sema_main_api.accounts.opening import Opened
from sema_main_api.auth.tokens import Tokens
from sema_main_api.http.auth import Verified
from sema_main_api.http.passwords import hash_password
from sema_main_api.users.people import put_owner, put_staff

EMAIL, PASSWORD = "ann@example.com", "correct horse battery"


@pytest.fixture
async def owner(pipeline: Database, account: Opened) -> UUID:
    async with pipeline.transaction() as tx:
        return await put_owner(tx, account.account_id, EMAIL, hash_password(PASSWORD), "test")


async def login(client: httpx.AsyncClient, email: str = EMAIL, password: str = PASSWORD) -> httpx.Response:
    return await client.post("/v1/auth/login", json={"email": email, "password": password})


async def test_an_owner_logs_in_and_is_who_he_is(
    client: httpx.AsyncClient, account: Opened, owner: UUID
) -> None:
    response = await login(client, email=" Ann@Example.COM ")
    assert response.status_code == 200
    answer = response.json()
    assert answer["expires_in"] == 900
    assert answer["user"] == {"id": str(owner), "role": "owner", "account_id": str(account.account_id)}
    me = await client.get("/v1/me", headers={"authorization": f"Bearer {answer['access_token']}"})
    assert me.json()["user"]["email"] == EMAIL
    assert me.json()["key"] is None


async def test_staff_log_in_and_belong_to_no_account(client: httpx.AsyncClient, pipeline: Database) -> None:
    async with pipeline.transaction() as tx:
        await put_staff(tx, EMAIL, hash_password(PASSWORD), "staff_support", "test")
    answer = (await login(client)).json()
    assert answer["user"]["account_id"] is None
    response = await client.get("/v1/balance", headers={"authorization": f"Bearer {answer['access_token']}"})
    assert (response.status_code, response.json()["code"]) == (403, "forbidden")


async def test_wrong_password_unknown_and_disabled_users_get_one_answer(
    client: httpx.AsyncClient, pipeline: Database, owner: UUID
) -> None:
    wrong = await login(client, password="wrong horse battery")
    unknown = await login(client, email="nobody@example.com")
    await pipeline.execute("UPDATE core.users SET disabled_at = now() WHERE id = $1", owner)
    disabled = await login(client)
    answers = [wrong, unknown, disabled]
    assert {response.status_code for response in answers} == {401}
    assert len({(r.json()["code"], r.json()["detail"], tuple(r.json())) for r in answers}) == 1


async def test_an_unknown_user_takes_as_long_as_a_wrong_password(
    client: httpx.AsyncClient, owner: UUID
) -> None:
    """Both cost one hash; the answer for nobody must not be quicker. (Generous: this machine is shared.) ASVS 6.3.8."""

    async def seconds(email: str) -> float:
        started = time.perf_counter()
        await login(client, email=email, password="wrong horse battery")
        return time.perf_counter() - started

    known = statistics.median([await seconds(EMAIL) for _ in range(4)])
    nobody = statistics.median([await seconds(f"nobody{n}@example.com") for n in range(4)])
    assert nobody > 0.5 * known


MISSHAPEN: tuple[tuple[dict[str, str], str], ...] = (
    ({"email": EMAIL, "password": "x" * 129}, "password"),
    ({"email": EMAIL, "password": "x" * (1 << 20)}, "password"),
    ({"email": EMAIL}, "password"),
    ({"email": "x" * 255, "password": "x"}, "email"),
    ({"email": EMAIL, "password": "x", "role": "owner"}, "role"),
)


async def test_a_body_of_another_shape_is_refused_before_anything_is_hashed(
    client: httpx.AsyncClient,
) -> None:
    for body, field in MISSHAPEN:
        response = await client.post("/v1/auth/login", json=body)
        assert response.status_code == 422, field
        assert [error["field"] for error in response.json()["errors"]] == [field]


async def test_the_sixth_failure_in_a_row_has_to_wait(client: httpx.AsyncClient, owner: UUID) -> None:
    """OWASP API2:2023, ASVS 6.3.1."""
    for _ in range(5):
        assert (await login(client, password="wrong horse battery")).status_code == 401
    blocked = await login(client)
    assert (blocked.status_code, blocked.json()["code"]) == (429, "rate_limited")
    assert 0 < int(blocked.headers["retry-after"]) <= 900
    assert (await login(client, email="somebody@example.com")).status_code == 401


async def test_a_success_clears_what_was_counted(client: httpx.AsyncClient, owner: UUID) -> None:
    for _ in range(3):
        for _ in range(4):
            await login(client, password="wrong horse battery")
        assert (await login(client)).status_code == 200


async def test_without_redis_nobody_logs_in(serve: Callable[..., Any], owner: UUID) -> None:
    async with serve(redis_url="redis://127.0.0.1:1/0") as client:
        response = await login(client)
    assert (response.status_code, response.json()["code"]) == (503, "unavailable")


async def test_a_weaker_hash_is_made_anew_at_the_next_login(
    client: httpx.AsyncClient, pipeline: Database, owner: UUID
) -> None:
    """ASVS 11.4.2."""
    import argon2

    weak = argon2.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(PASSWORD)
    await pipeline.execute("UPDATE core.users SET password_hash = $2 WHERE id = $1", owner, weak)
    assert (await login(client)).status_code == 200
    stored = await pipeline.fetchval("SELECT password_hash FROM core.users WHERE id = $1", owner)
    assert stored != weak
    assert "m=19456,t=2,p=1" in stored
    assert (await login(client)).status_code == 200


NOW = datetime.now(UTC)


async def _session(client: httpx.AsyncClient) -> str:
    """A session of the owner, for tokens of our own making."""
    token = (await login(client)).json()["access_token"]
    return str(jwt.decode(token, options={"verify_signature": False})["sid"])


def _claims(user: UUID, session_id: str, **changes: Any) -> dict[str, Any]:
    at = datetime.now(UTC)
    claims = {
        "iss": "sema-link",
        "aud": "sema-api",
        "sub": str(user),
        "sid": session_id,
        "iat": at,
        "exp": at + timedelta(minutes=5),
        "jti": "1",
    }
    return {name: value for name, value in (claims | changes).items() if value is not None}


def _kid(tokens: Tokens) -> str:
    return str(jwt.get_unverified_header(tokens.issue(uuid4(), "s", NOW))["kid"])


FORGED: tuple[dict[str, Any], ...] = (
    {"exp": NOW - timedelta(seconds=1)},
    {"exp": None},
    {"aud": "another"},
    {"aud": None},
    {"iss": "another"},
    {"sub": None},
    {"sub": "not-a-uuid"},
    {"iat": None},
    {"jti": None},
    {"sid": None},
    {"sid": "ended"},
    {"sub": str(uuid4())},
)


async def test_a_token_with_another_claim_is_refused(
    client: httpx.AsyncClient, settings: dict[str, Any], owner: UUID
) -> None:
    [key] = signing_keys(settings["jwt_private_key"])
    kid = {"kid": _kid(Tokens([key], "sema-link", "sema-api", timedelta(minutes=5)))}
    session_id = await _session(client)
    good = jwt.encode(_claims(owner, session_id), key, "EdDSA", headers=kid)
    assert (await client.get("/v1/me", headers={"authorization": f"Bearer {good}"})).status_code == 200
    for changes in FORGED:
        bad = jwt.encode(_claims(owner, session_id, **changes), key, "EdDSA", headers=kid)
        assert (await client.get("/v1/me", headers={"authorization": f"Bearer {bad}"})).status_code == 401, (
            changes
        )


async def test_a_token_of_another_algorithm_or_key_is_refused(
    client: httpx.AsyncClient, settings: dict[str, Any], owner: UUID
) -> None:
    """OWASP API2:2023, ASVS 9.1.2."""
    [key] = signing_keys(settings["jwt_private_key"])
    kid = {"kid": _kid(Tokens([key], "sema-link", "sema-api", timedelta(minutes=5)))}
    public = key.public_key().public_bytes_raw().hex()
    stranger = Ed25519PrivateKey.generate()
    claims = _claims(owner, await _session(client))
    forged = [
        jwt.encode(claims, "", "none", headers=kid),
        jwt.encode(claims, public, "HS256", headers=kid),
        jwt.encode(claims, stranger, "EdDSA", headers=kid),
        jwt.encode(claims, key, "EdDSA"),
        jwt.encode(claims, key, "EdDSA", headers={"kid": "unknown"}),
    ]
    for token in forged:
        response = await client.get("/v1/me", headers={"authorization": f"Bearer {token}"})
        assert (response.status_code, response.json()["code"]) == (401, "unauthenticated")


async def test_a_token_ends_after_its_time(settings: dict[str, Any]) -> None:
    tokens = Tokens(signing_keys(settings["jwt_private_key"]), "i", "a", timedelta(minutes=15))
    user = uuid4()
    token = tokens.issue(user, "s", NOW)
    assert tokens.verify(token) == Verified(user, "s")
    with (
        time_machine.travel(NOW + timedelta(minutes=15, seconds=1)),
        pytest.raises(Exception, match="unauthenticated"),
    ):
        tokens.verify(token)
