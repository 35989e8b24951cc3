"""Sessions, refresh tokens and the second factor, through the HTTP door."""

import asyncio
import re
import time
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import httpx
import pyotp
import pytest
import redis.asyncio
import time_machine

from sema_common.platform.db import Database
from sema_main_api.accounts.opening import Opened
from sema_main_api.auth import sessions
from sema_main_api.http.passwords import hash_password
from sema_main_api.users.people import put_owner

EMAIL, PASSWORD = "ann@example.com", "correct horse battery"
Json = dict[str, Any]


@pytest.fixture
async def owner(pipeline: Database, account: Opened) -> UUID:
    async with pipeline.transaction() as tx:
        return await put_owner(tx, account.account_id, EMAIL, hash_password(PASSWORD), "test")


@pytest.fixture
async def kept(redis_url: str) -> AsyncIterator["redis.asyncio.Redis"]:
    client = redis.asyncio.from_url(redis_url, decode_responses=True)
    yield client
    await client.aclose()


async def login(client: httpx.AsyncClient, **more: str) -> httpx.Response:
    return await client.post("/v1/auth/login", json={"email": EMAIL, "password": PASSWORD, **more})


async def logged_in(client: httpx.AsyncClient) -> Json:
    answer = await login(client)
    assert answer.status_code == 200, answer.text
    found: Json = answer.json()
    return found


async def refresh(client: httpx.AsyncClient, token: str) -> httpx.Response:
    return await client.post("/v1/auth/refresh", json={"refresh_token": token})


def bearer(answer: Json) -> dict[str, str]:
    return {"authorization": f"Bearer {answer['access_token']}"}


async def who(client: httpx.AsyncClient, answer: Json) -> int:
    return (await client.get("/v1/me", headers=bearer(answer))).status_code


async def test_a_refresh_token_becomes_new_tokens_that_work(client: httpx.AsyncClient, owner: UUID) -> None:
    first = await logged_in(client)
    second = (await refresh(client, first["refresh_token"])).json()
    assert second["refresh_token"] != first["refresh_token"]
    assert await who(client, second) == 200
    third = await refresh(client, second["refresh_token"])
    assert third.status_code == 200


async def test_a_refresh_token_used_again_ends_its_session_and_no_other(
    client: httpx.AsyncClient, owner: UUID
) -> None:
    """OWASP API2:2023, ASVS 10.4.5."""
    stolen, other = await logged_in(client), await logged_in(client)
    second = (await refresh(client, stolen["refresh_token"])).json()
    third = (await refresh(client, second["refresh_token"])).json()
    reused = await refresh(client, stolen["refresh_token"])
    assert (reused.status_code, reused.json()["code"]) == (401, "unauthenticated")
    assert (await refresh(client, third["refresh_token"])).status_code == 401
    assert (await refresh(client, other["refresh_token"])).status_code == 200


async def test_the_one_before_the_newest_gets_the_same_successor_for_some_seconds_only(
    client: httpx.AsyncClient, owner: UUID
) -> None:
    first = await logged_in(client)
    answers = await asyncio.gather(*(refresh(client, first["refresh_token"]) for _ in range(5)))
    assert {answer.status_code for answer in answers} == {200}
    [successor] = {answer.json()["refresh_token"] for answer in answers}
    with time_machine.travel(time.time() + sessions.GRACE_SECONDS + 1):
        assert (await refresh(client, first["refresh_token"])).status_code == 401
        assert (await refresh(client, successor)).status_code == 401


@pytest.mark.parametrize(
    "spoil",
    [
        lambda token: token[:-2] + ("AA" if token[-2:] != "AA" else "BB"),
        lambda token: token.replace(".1.", ".2."),
        lambda token: "srt_" + "0" * 32 + token[36:],
        lambda _: "srt_nonsense",
        lambda _: "x.y.z.w",
    ],
    ids=["another signature", "another generation", "another user", "nonsense", "no numbers"],
)
async def test_a_forged_refresh_token_is_refused_and_harms_nobody(
    client: httpx.AsyncClient, owner: UUID, spoil: Any
) -> None:
    first = await logged_in(client)
    forged = await refresh(client, spoil(first["refresh_token"]))
    assert (forged.status_code, forged.json()["code"]) == (401, "unauthenticated")
    assert (await refresh(client, first["refresh_token"])).status_code == 200


async def test_redis_holds_the_session_under_the_specified_key_and_no_token(
    client: httpx.AsyncClient, owner: UUID, kept: "redis.asyncio.Redis"
) -> None:
    first = await logged_in(client)
    [key] = await kept.keys(f"session:{owner}:*")
    assert 0 < await kept.ttl(key) <= sessions.LIFE_SECONDS
    everything = str(await kept.hgetall(key))
    assert first["refresh_token"].rsplit(".", 1)[1] not in everything


async def test_a_month_after_logging_in_it_takes_a_password_again(
    client: httpx.AsyncClient, owner: UUID, kept: "redis.asyncio.Redis"
) -> None:
    first = await logged_in(client)
    [key] = await kept.keys(f"session:{owner}:*")
    before = await kept.ttl(key)
    second = (await refresh(client, first["refresh_token"])).json()
    assert await kept.ttl(key) <= before
    await kept.delete(key)
    assert (await refresh(client, second["refresh_token"])).status_code == 401


async def test_logging_out_ends_access_and_refresh(client: httpx.AsyncClient, owner: UUID) -> None:
    first, other = await logged_in(client), await logged_in(client)
    assert (await client.post("/v1/auth/logout", headers=bearer(first))).status_code == 204
    assert await who(client, first) == 401
    assert (await refresh(client, first["refresh_token"])).status_code == 401
    assert await who(client, other) == 200


async def test_sessions_are_listed_and_ended_from_elsewhere(client: httpx.AsyncClient, owner: UUID) -> None:
    phone, laptop = await logged_in(client), await logged_in(client)
    listed = (await client.get("/v1/auth/sessions", headers=bearer(laptop))).json()["data"]
    assert [each["current"] for each in listed] == [True, False]
    assert listed[0]["user_agent"].startswith("python-httpx")
    gone = await client.delete(f"/v1/auth/sessions/{listed[1]['id']}", headers=bearer(laptop))
    assert gone.status_code == 204
    assert await who(client, phone) == 401
    again = await client.delete(f"/v1/auth/sessions/{listed[1]['id']}", headers=bearer(laptop))
    assert (again.status_code, again.json()["code"]) == (404, "not_found")


async def test_a_user_keeps_only_so_many_sessions(
    client: httpx.AsyncClient, owner: UUID, kept: "redis.asyncio.Redis", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "MAX_SESSIONS", 2)
    oldest, *rest = [await logged_in(client) for _ in range(3)]
    assert len(await kept.keys(f"session:{owner}:*")) == 2
    assert (await refresh(client, oldest["refresh_token"])).status_code == 401
    assert [(await refresh(client, each["refresh_token"])).status_code for each in rest] == [200, 200]


async def test_a_disabled_user_is_not_refreshed(
    client: httpx.AsyncClient, owner: UUID, pipeline: Database
) -> None:
    first = await logged_in(client)
    await pipeline.execute("UPDATE core.users SET disabled_at = now() WHERE id = $1", owner)
    assert (await refresh(client, first["refresh_token"])).status_code == 401


async def test_a_log_in_that_a_new_password_overtakes_opens_nothing(
    client: httpx.AsyncClient,
    owner: UUID,
    pipeline: Database,
    kept: "redis.asyncio.Redis",
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    opening = sessions.Sessions.open

    async def overtaken(
        self: sessions.Sessions, user_id: UUID, address: str, agent: str
    ) -> sessions.Refreshed:
        await pipeline.execute("UPDATE core.users SET password_hash = 'another' WHERE id = $1", owner)
        return await opening(self, user_id, address, agent)

    monkeypatch.setattr(sessions.Sessions, "open", overtaken)
    assert (await login(client)).status_code == 401
    assert await kept.keys(f"session:{owner}:*") == []


async def test_an_api_key_has_no_session(client: httpx.AsyncClient, auth: dict[str, str]) -> None:
    response = await client.get("/v1/auth/sessions", headers=auth)
    assert (response.status_code, response.json()["code"]) == (403, "forbidden")


async def set_up(client: httpx.AsyncClient, answer: Json) -> tuple[pyotp.TOTP, list[str]]:
    begun = (await client.post("/v1/auth/totp", headers=bearer(answer))).json()
    assert begun["uri"].startswith("otpauth://totp/Sema%20Link:")
    assert re.match("<svg", begun["qr_svg"])
    totp = pyotp.TOTP(begun["secret"])
    confirmed = await client.post(
        "/v1/auth/totp/confirm", json={"code": totp.at(time.time() - 30)}, headers=bearer(answer)
    )
    assert confirmed.status_code == 200, confirmed.text
    return totp, confirmed.json()["recovery_codes"]


async def test_with_a_second_factor_the_password_alone_opens_nothing(
    client: httpx.AsyncClient, owner: UUID
) -> None:
    totp, _ = await set_up(client, await logged_in(client))
    missing = await login(client)
    assert (missing.status_code, missing.json()["code"]) == (401, "second_factor_required")
    wrong = await login(client, code="000000" if totp.now() != "000000" else "111111")
    assert (wrong.status_code, wrong.json()["code"]) == (401, "invalid_code")
    assert (await login(client, code=totp.at(time.time() + 29))).status_code == 200


async def test_a_code_works_once(client: httpx.AsyncClient, owner: UUID) -> None:
    """ASVS 6.5.1."""
    totp, _ = await set_up(client, await logged_in(client))
    code = totp.at(time.time() + 29)
    answers = await asyncio.gather(login(client, code=code), login(client, code=code))
    assert sorted(answer.status_code for answer in answers) == [200, 401]


async def test_a_recovery_code_works_once_in_place_of_a_code(client: httpx.AsyncClient, owner: UUID) -> None:
    _, codes = await set_up(client, await logged_in(client))
    assert len(set(codes)) == 10
    assert (await login(client, code=codes[3].upper())).status_code == 200
    assert (await login(client, code=codes[3])).status_code == 401
    assert (await login(client, code=codes[4])).status_code == 200


async def test_a_second_factor_that_was_never_confirmed_is_not_asked_for(
    client: httpx.AsyncClient, owner: UUID
) -> None:
    answer = await logged_in(client)
    await client.post("/v1/auth/totp", headers=bearer(answer))
    wrong = await client.post("/v1/auth/totp/confirm", json={"code": "abcdef"}, headers=bearer(answer))
    assert (wrong.status_code, wrong.json()["code"]) == (401, "invalid_code")
    assert (await login(client)).status_code == 200


async def test_a_second_factor_is_removed_by_a_code_of_it(client: httpx.AsyncClient, owner: UUID) -> None:
    answer = await logged_in(client)
    _, codes = await set_up(client, answer)
    again = await client.post("/v1/auth/totp", headers=bearer(answer))
    assert (again.status_code, again.json()["code"]) == (409, "second_factor_exists")
    wrong = await client.post("/v1/auth/totp/remove", json={"code": "abcdef"}, headers=bearer(answer))
    assert wrong.status_code == 401
    gone = await client.post("/v1/auth/totp/remove", json={"code": codes[0]}, headers=bearer(answer))
    assert gone.status_code == 204
    assert (await login(client)).status_code == 200


async def test_the_secret_is_not_in_the_database_as_it_is(
    client: httpx.AsyncClient, owner: UUID, pipeline: Database
) -> None:
    begun = (await client.post("/v1/auth/totp", headers=bearer(await logged_in(client)))).json()
    stored = await pipeline.fetchval("SELECT secret FROM core.user_totp WHERE user_id = $1", owner)
    assert begun["secret"].encode() not in stored


async def test_guessing_codes_ends_as_guessing_passwords_does(client: httpx.AsyncClient, owner: UUID) -> None:
    await set_up(client, await logged_in(client))
    answers = [await login(client, code=f"{n:06}") for n in range(6)]
    assert [answer.status_code for answer in answers[:5]] == [401] * 5
    assert answers[5].status_code == 429
