"""The authenticator over a store that counts its questions."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, cast
from uuid import UUID, uuid4

import pytest
import time_machine

from sema_common.platform.db import Database
from sema_common.values.errors import Refused, StoreUnavailable
from sema_common.values.ids import api_key, hash_api_key
from sema_main_api.http import auth
from sema_main_api.http.auth import Authenticator, Caller, Staff


class Store:
    """A database that holds rows of the one query that is asked."""

    def __init__(self) -> None:
        self.rows: dict[object, dict[str, Any]] = {}
        self.asked = 0
        self.written: list[Any] = []
        self.away = False
        self.reached, self.answer = asyncio.Event(), asyncio.Event()
        self.answer.set()

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator["Store"]:
        await asyncio.sleep(0)
        if self.away:
            raise StoreUnavailable("away")
        yield self

    async def fetchrow(self, _: str, key: object) -> dict[str, Any] | None:
        self.asked += 1
        self.reached.set()
        await self.answer.wait()
        return self.rows.get(key)

    async def execute(self, _: str, *args: object) -> None:
        self.written.append(args)


def row(**changes: object) -> dict[str, Any]:
    account_id = uuid4()
    return {
        "id": uuid4(),
        "mode": "live",
        "role": "owner",
        "scopes": ["messages:read"],
        "expires_at": None,
        "account_id": account_id,
        "tenant_id": account_id,
        "billing_account_id": account_id,
        "tier": "starter",
        "currency": "KES",
        "status": "active",
        "type": "direct",
        "allowed_networks": [],
        "key_per_second": None,
        "rate_per_second": None,
        "rate_burst": None,
        "priority_per_second": None,
        "recipient_per_10_minutes": None,
        "prefix_per_10_minutes": None,
        "spend_per_hour": None,
        **changes,
    }


@pytest.fixture
def store() -> Store:
    return Store()


USER = uuid4()


def verify(token: str) -> auth.Verified:
    if token != "a.b.c":
        raise auth.unauthenticated()
    return auth.Verified(USER, "session")


class Open:
    """The sessions that have not ended."""

    def __init__(self) -> None:
        self.sessions = {(USER, "session")}

    async def __call__(self, user_id: UUID, session_id: str) -> bool:
        return (user_id, session_id) in self.sessions


@pytest.fixture
def open_() -> Open:
    return Open()


@pytest.fixture
def authenticator(store: Store, open_: Open) -> Authenticator:
    return Authenticator(cast(Database, store), verify, open_)


def new_key(store: Store, **changes: object) -> bytes:
    key = api_key("live").text
    store.rows[hash_api_key(key)] = row(**changes)
    return f"Bearer {key}".encode()


async def refused(authenticator: Authenticator, header: bytes) -> None:
    with pytest.raises(Refused) as caught:
        authenticator.known(header) or await authenticator.find(header)
    assert (caught.value.status, caught.value.code) == (401, "unauthenticated")


async def test_a_key_is_looked_up_once_and_then_known(store: Store, authenticator: Authenticator) -> None:
    header = new_key(store)
    assert authenticator.known(header) is None
    caller = await authenticator.find(header)
    assert isinstance(caller, Caller)
    assert caller.scopes == {"messages:read"}
    assert authenticator.known(header) is caller
    assert store.asked == 1


async def test_callers_with_one_key_share_one_query(store: Store, authenticator: Authenticator) -> None:
    header = new_key(store)
    found = await asyncio.gather(*(authenticator.find(header) for _ in range(50)))
    assert len({id(caller) for caller in found}) == 1
    assert store.asked == 1


@pytest.mark.parametrize(("seconds", "asked"), [(1.0, 1), (-1.0, 2)], ids=["remembered", "forgotten"])
async def test_an_unknown_key_is_refused_and_remembered_for_a_while(
    store: Store, authenticator: Authenticator, monkeypatch: pytest.MonkeyPatch, seconds: float, asked: int
) -> None:
    monkeypatch.setattr(auth, "NEGATIVE_SECONDS", seconds)
    header = f"Bearer {api_key('live').text}".encode()
    await refused(authenticator, header)
    await refused(authenticator, header)
    assert store.asked == asked


@pytest.mark.parametrize(("seconds", "known"), [(5.0, True), (-1.0, False)], ids=["fresh", "stale"])
async def test_what_is_known_of_a_key_grows_stale(
    store: Store, authenticator: Authenticator, monkeypatch: pytest.MonkeyPatch, seconds: float, known: bool
) -> None:
    monkeypatch.setattr(auth, "POSITIVE_SECONDS", seconds)
    header = new_key(store)
    await authenticator.find(header)
    assert (authenticator.known(header) is not None) is known


async def test_what_is_known_counts_from_the_question_so_that_a_slow_answer_outlives_no_revocation(
    store: Store, authenticator: Authenticator
) -> None:
    """OWASP API2:2023: a revoked key is out within POSITIVE_SECONDS, however slow the store was."""
    header = new_key(store)
    store.answer.clear()
    finding = asyncio.create_task(authenticator.find(header))
    await store.reached.wait()
    moment = time.monotonic()
    store.answer.set()
    await finding
    [entry] = authenticator._known.values()
    assert entry.until <= moment + auth.POSITIVE_SECONDS


@pytest.mark.parametrize(
    "header",
    [
        b"",
        b"Bearer",
        b"Bearer ",
        b"Basic dXNlcjpwYXNz",
        b"Bearer sema_live_short",
        b"Bearer sema_live_zQWBuTSOoRi4A9spHcVY5ncnsDkxkJ0mLq18",  # the checksum ends in 17
        b"Bearer sema_prod_zQWBuTSOoRi4A9spHcVY5ncnsDkxkJ0mLq17",
        b"Bearer one.two",
        b"Bearer \xff\xff",
        b"Bearer " + b"a" * 5000,
    ],
)
async def test_what_cannot_be_a_token_is_refused_without_a_query(
    store: Store, authenticator: Authenticator, header: bytes
) -> None:
    await refused(authenticator, header)
    assert store.asked == 0


async def test_a_key_that_was_revoked_here_is_out_at_once(store: Store, authenticator: Authenticator) -> None:
    """OWASP API2:2023."""
    header = new_key(store)
    caller = await authenticator.find(header)
    assert isinstance(caller, Caller)
    store.rows.clear()
    authenticator.forget(caller.id)
    await refused(authenticator, header)


async def test_a_key_ends_at_its_time_though_it_is_known(store: Store, authenticator: Authenticator) -> None:
    ends = datetime(2026, 11, 20, 12, tzinfo=UTC)
    header = new_key(store, expires_at=ends)
    with time_machine.travel(ends - timedelta(seconds=1), tick=False):
        assert isinstance(await authenticator.find(header), Caller)
    with time_machine.travel(ends, tick=False):
        await refused(authenticator, header)


async def test_a_store_that_is_away_is_no_401_and_is_asked_again(
    store: Store, authenticator: Authenticator
) -> None:
    header = new_key(store)
    store.away = True
    with pytest.raises(StoreUnavailable):
        await authenticator.find(header)
    store.away = False
    assert isinstance(await authenticator.find(header), Caller)


async def test_a_token_is_a_user_or_staff(store: Store, authenticator: Authenticator) -> None:
    store.rows[USER] = row(id=USER)
    caller = await authenticator.find(b"Bearer a.b.c")
    assert isinstance(caller, Caller)
    assert (caller.kind, caller.role, caller.user_id) == ("user", "owner", USER)
    authenticator.forget(USER)
    store.rows[USER] = row(id=USER, account_id=None, role="staff_admin")
    assert await authenticator.find(b"Bearer a.b.c") == Staff(USER, "staff_admin", "session")


async def test_a_flood_of_bad_keys_does_not_grow_the_process(
    store: Store, authenticator: Authenticator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(auth, "MAX_KNOWN", 20)
    for _ in range(100):
        await refused(authenticator, f"Bearer {api_key('test').text}".encode())
    assert len(authenticator._known) <= 20


async def test_last_use_is_written_in_one_go_and_survives_an_outage(
    store: Store, authenticator: Authenticator
) -> None:
    for _ in range(3):
        await authenticator.find(new_key(store))
    store.away = True
    with pytest.raises(StoreUnavailable):
        await authenticator.write_last_used()
    store.away = False
    await authenticator.write_last_used()
    await authenticator.write_last_used()
    [(ids, times)] = store.written
    assert len(ids) == len(times) == 3


async def test_a_token_of_an_ended_session_is_refused(
    store: Store, authenticator: Authenticator, open_: Open
) -> None:
    store.rows[USER] = row(id=USER)
    assert (await authenticator.find(b"Bearer a.b.c")).user_id == USER
    open_.sessions.clear()
    authenticator.forget(USER)
    await refused(authenticator, b"Bearer a.b.c")
