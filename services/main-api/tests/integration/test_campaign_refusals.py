"""What is no campaign: refused by name, and nothing of it is kept."""

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import httpx
import pytest

from sema_common.values.ids import new_id
from sema_main_api.accounts.opening import Opened
from tests.kit.campaigns import Campaigns, contact

Open = Callable[..., Awaitable[Opened]]
Serve = Callable[..., AbstractAsyncContextManager[httpx.AsyncClient]]

A, B, C = "+254712345671", "+254712345672", "+254712345673"
PRICE = Decimal("0.8000")


async def test_what_the_balance_cannot_cover_is_refused_and_nothing_of_it_is_kept(
    campaigns: Campaigns,
) -> None:
    list_id = await campaigns.add_list(*(contact(f"+2547123{n:05}") for n in range(126)))
    refused = await campaigns.post(list_id)
    assert (refused.status_code, refused.json()["code"]) == (402, "insufficient_credit")
    for table in ("campaigns", "campaign_parts", "campaign_recipients"):
        assert await campaigns.owner.fetchval(f"SELECT count(*) FROM core.{table}") == 0
    assert await campaigns.balance() == 100


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"message": "Hi {{name"}, 422, "invalid_merge_field"),
        ({"message": "Hi {{ }}"}, 422, "invalid_merge_field"),
        ({"message": "Hi {{nmae}}"}, 422, "unknown_merge_field"),
        ({"message": "   "}, 422, "empty"),
        ({"message": "x" * 1531}, 422, "no_recipients"),
        ({"message": "😀"}, 422, "no_recipients"),
        ({"send_at": "2020-01-01T00:00:00Z"}, 422, "out_of_range"),
        ({"send_at": (datetime.now(UTC) + timedelta(days=91)).isoformat()}, 422, "out_of_range"),
        ({"send_at": "2026-12-01T10:00:00"}, 422, "invalid"),
        ({"send_at": 1_900_000_000}, 422, "invalid"),
        ({"from": "NOTMINE"}, 403, "sender_id_not_approved"),
        ({"from": "Safаricom"}, 422, "invalid_sender_id"),
        ({"contact_list_id": str(UUID(int=7))}, 404, "not_found"),
        ({"contact_list_id": "7"}, 422, "wrong_type"),
        ({"price": "0"}, 422, "unknown_field"),
        ({"name": ""}, 422, "too_short"),
    ],
)
async def test_a_wrong_campaign_is_refused_by_name(
    campaigns: Campaigns, changes: dict[str, Any], status: int, code: str
) -> None:
    list_id = await campaigns.add_list(contact(A, "Asha"))
    refused = await campaigns.post(list_id, **changes)
    assert refused.status_code == status, refused.text
    problem = refused.json()
    assert code in {problem["code"], *(error["code"] for error in problem.get("errors", ()))}
    assert await campaigns.balance() == 100


async def test_a_list_that_is_being_validated_waits(campaigns: Campaigns) -> None:
    list_id = await campaigns.add_list(contact(A))
    await campaigns.owner.execute(
        "INSERT INTO core.contact_validation_jobs (id, tenant_id, account_id, contact_list_id, status)"
        " SELECT $2, tenant_id, account_id, id, 'running' FROM core.contact_lists WHERE id = $1",
        list_id,
        new_id(),
    )
    refused = await campaigns.post(list_id)
    assert (refused.status_code, refused.json()["code"]) == (409, "list_not_validated")


async def test_an_empty_list_and_another_accounts_list_are_no_campaign(
    campaigns: Campaigns, open_: Open
) -> None:
    assert (await campaigns.post(await campaigns.add_list())).json()["code"] == "no_recipients"
    other = {"authorization": f"Bearer {(await open_('Other')).live_key}"}
    list_id = await campaigns.add_list(contact(A))
    campaign_id = await campaigns.submit(list_id)
    assert (await campaigns.post(list_id, headers=other)).status_code == 404
    for verb in ("cancel", "pause", "resume"):
        path = f"/v1/campaigns/{campaign_id}/{verb}"
        assert (await campaigns.client.patch(path, headers=other)).status_code == 404
    for path in ("", "/recipients"):
        answer = await campaigns.client.get(f"/v1/campaigns/{campaign_id}{path}", headers=other)
        assert answer.status_code == 404
