"""Quarantined and unmatched reports through their door."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from uuid import UUID

import httpx
import pytest

from sema_common.values.clock import now
from sema_common.values.ids import new_id
from tests.kit.letters import Office, Queue

Staff = Callable[..., Awaitable[dict[str, str]]]
Listen = Callable[[str], AbstractAsyncContextManager[Queue]]
PATH = "/v1/admin/dlr-quarantine"
BODY = b"msisdn=254712345678&text=Wanjiku"


@pytest.fixture
async def admin(staff: Staff) -> dict[str, str]:
    return await staff()


async def put(office: Office, body: bytes = BODY, aggregator: str = "celcom") -> UUID:
    entry = new_id()
    await office.owner.execute(
        """INSERT INTO dlr.quarantine (id, aggregator, reason, content_type, query, body, received_at)
           VALUES ($1, $2, 'no JSON', 'text/plain', 'q=254712345678', $3, $4)""",
        *(entry, aggregator, body, now()),
    )
    return entry


async def test_a_body_is_hidden_until_an_admin_asks_and_that_is_noted(
    client: httpx.AsyncClient, office: Office, admin: dict[str, str], staff: Staff
) -> None:
    entry = await put(office)
    page = await client.get(PATH, headers=admin)
    assert [line["id"] for line in page.json()["data"]] == [str(entry)]
    masked = await client.get(f"{PATH}/{entry}", headers=await staff("staff_support"))
    for secret in ("712345678", "Wanjiku"):
        assert secret not in page.text + masked.text
    assert masked.json()["reads_now"].startswith("0 reports")
    reveal = {"reveal": "true"}
    support = await staff("staff_support")
    assert (await client.get(f"{PATH}/{entry}", headers=support, params=reveal)).status_code == 403
    shown = (await client.get(f"{PATH}/{entry}", headers=admin, params=reveal)).json()
    assert (shown["body"], shown["query"]) == (BODY.decode(), "q=254712345678")
    assert [line["action"] for line in await office.audits(entry)] == ["dlr_quarantine.revealed"]


async def test_a_body_is_read_again_as_it_came_once(
    client: httpx.AsyncClient, office: Office, admin: dict[str, str], listen: Listen
) -> None:
    entry = await put(office, b"\xff raw")
    async with listen("dlr.inbound") as queue:
        for _ in range(2):
            answer = await client.post(
                f"{PATH}/{entry}/reread", headers=admin, json={"reason": "adapter 1.2"}
            )
            assert (answer.status_code, answer.json()["state"]) == (200, "reread")
        async with asyncio.timeout(20):
            while not queue.messages:  # noqa: ASYNC110 - what is waited for has no event to await
                await asyncio.sleep(0.02)
    (report,) = queue.messages[0].reports
    assert (report.body, report.query, report.aggregator) == (b"\xff raw", "q=254712345678", "celcom")
    assert len(queue.messages) == 1
    audits = await office.audits(entry)
    assert [(line["action"], line["reason"]) for line in audits] == [("dlr_quarantine.reread", "adapter 1.2")]
    assert (await client.post(f"{PATH}/{entry}/discard", headers=admin)).status_code == 409


async def test_a_discarded_body_is_off_the_list_and_stays_readable(
    client: httpx.AsyncClient, office: Office, admin: dict[str, str]
) -> None:
    entry = await put(office)
    assert (await client.post(f"{PATH}/{entry}/discard", headers=admin)).status_code == 200
    assert (await client.get(PATH, headers=admin)).json()["data"] == []
    discarded = (await client.get(PATH, headers=admin, params={"state": "discarded"})).json()["data"]
    assert [line["id"] for line in discarded] == [str(entry)]


async def test_reports_without_a_submit_are_listed_newest_first(
    client: httpx.AsyncClient, office: Office, admin: dict[str, str]
) -> None:
    at = now()
    for number, state in enumerate(("unmatched", "abandoned", "applied")):
        await office.owner.execute(
            """INSERT INTO dlr.dlrs (id, received_at, aggregator, aggregator_id, description, state, raw)
               VALUES ($1, $2, 'celcom', $3, 'Delivered', $4, 'msisdn=254712345678')""",
            *(new_id(), at - timedelta(seconds=number), f"id-{number}", state),
        )
    page = await client.get("/v1/admin/dlr-unmatched", headers=admin)
    assert [line["aggregator_id"] for line in page.json()["data"]] == ["id-0", "id-1"]
    assert "712345678" not in page.text
    one = await client.get("/v1/admin/dlr-unmatched", headers=admin, params={"state": "abandoned"})
    assert [line["aggregator_id"] for line in one.json()["data"]] == ["id-1"]


async def test_customers_see_nothing_and_support_decides_nothing(
    client: httpx.AsyncClient, office: Office, auth: dict[str, str], staff: Staff
) -> None:
    entry = await put(office)
    assert (await client.get(PATH, headers=auth)).status_code == 404
    assert (
        await client.post(f"{PATH}/{entry}/reread", headers=await staff("staff_support"))
    ).status_code == 403
