"""The audit log through its door: what is found, and by whom."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import httpx
import pytest

from sema_common.platform.db import Database
from sema_main_api.accounts.opening import Opened
from sema_main_api.http.store import Audit, write_audit

LOG = "/v1/admin/audit-log"
Staff = Callable[..., Awaitable[dict[str, str]]]


@pytest.fixture
async def entries(pipeline: Database, account: Opened) -> list[Audit]:
    """Three lines: about a letter twice, about a route once."""
    actor = uuid4()
    written = [
        Audit(
            "staff",
            actor,
            "letter.republished",
            "letter",
            "a",
            before={"state": "open"},
            after={"state": "x"},
        ),
        Audit("staff", actor, "route.switched", "route", "celcom", reason="down"),
        Audit("key", uuid4(), "letter.read", "letter", "b", account_id=account.account_id),
    ]
    async with pipeline.transaction() as tx:
        for each in written:
            await write_audit(tx, each)
    return written


async def test_the_log_shows_who_did_what_newest_first(
    client: httpx.AsyncClient, staff: Staff, entries: list[Audit]
) -> None:
    page = (await client.get(LOG, headers=await staff(), params={"limit": 3, "action": "letter."})).json()
    assert [line["action"] for line in page["data"]] == ["letter.read", "letter.republished"]
    line = page["data"][1]
    assert (line["before"], line["after"], line["subject_id"]) == ({"state": "open"}, {"state": "x"}, "a")
    assert line["actor_id"] == str(entries[0].actor_id)


@pytest.mark.parametrize(
    ("name", "value", "found"),
    [
        ("actor", "key", ["letter.read"]),
        ("action", "route.switched", ["route.switched"]),
        ("subject_type", "route", ["route.switched"]),
        ("subject_id", "a", ["letter.republished"]),
    ],
)
async def test_each_filter_finds_its_lines(
    client: httpx.AsyncClient, staff: Staff, entries: list[Audit], name: str, value: str, found: list[str]
) -> None:
    page = (await client.get(LOG, headers=await staff(), params={name: value})).json()
    assert [line["action"] for line in page["data"]] == found


async def test_by_person_account_and_time(
    client: httpx.AsyncClient, staff: Staff, entries: list[Audit], account: Opened
) -> None:
    admin = await staff()

    async def found(**params: str) -> list[str]:
        page = (await client.get(LOG, headers=admin, params=params)).json()
        return [line["action"] for line in page["data"] if not line["action"].startswith("user")]

    assert await found(actor_id=str(entries[0].actor_id)) == ["route.switched", "letter.republished"]
    assert "letter.read" in await found(account_id=str(account.account_id))
    later = datetime.now(UTC) + timedelta(minutes=1)
    assert await found(since=later.isoformat()) == []
    assert len(await found(until=later.isoformat(), action="letter.")) == 2


async def test_pages_follow_each_other(client: httpx.AsyncClient, staff: Staff, entries: list[Audit]) -> None:
    params: dict[str, str | int] = {"limit": 1, "action": "letter."}
    admin = await staff()
    first = (await client.get(LOG, headers=admin, params=params)).json()
    assert first["has_more"]
    second = (await client.get(LOG, headers=admin, params=params | {"cursor": first["next_cursor"]})).json()
    assert [line["action"] for line in second["data"]] == ["letter.republished"]
    assert not second["has_more"]


async def test_only_staff_admins_read_it(
    client: httpx.AsyncClient, staff: Staff, auth: dict[str, str]
) -> None:
    assert (await client.get(LOG, headers=auth)).status_code == 404
    assert (await client.get(LOG, headers=await staff("staff_support"))).status_code == 403
    assert (await client.get(LOG)).status_code == 401
