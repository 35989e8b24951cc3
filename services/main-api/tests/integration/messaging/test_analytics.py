"""Messages counted: an account's own, where they stand, and what they cost at its own price."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import httpx
import pytest

from sema_common.billing import ledger
from sema_common.platform.db import Database
from sema_common.values.clock import now
from sema_main_api.accounts.opening import Opened
from tests.kit import seeds

Headers = dict[str, str]
Open = Callable[..., Awaitable[Opened]]
PATH = "/v1/analytics/messages"


def kes(amount: str) -> dict[str, str]:
    return {"amount": amount, "currency": "KES"}


async def accept(db: Database, account: Opened, **changes: Any) -> UUID:
    message = seeds.new_message(account.account_id, **changes)
    async with db.transaction() as tx:
        assert await seeds.accept(tx, [message])
    return message.message_id


async def fail(owner: Database, message_id: UUID) -> None:
    await owner.execute("UPDATE orch.sms_messages SET status = 'failed' WHERE message_id = $1", message_id)


async def refund(db: Database, payer: Opened, message_id: UUID) -> None:
    async with db.transaction() as tx:
        await ledger.lock_balances(tx, [payer.account_id])
        assert await ledger.refund(tx, [message_id])


async def asked(client: httpx.AsyncClient, headers: Headers, **params: str) -> dict[str, Any]:
    answer = await client.get(PATH, headers=headers, params=params)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def test_messages_are_counted_by_status_with_what_they_cost_and_what_was_given_back(
    client: httpx.AsyncClient, account: Opened, auth: Headers, pipeline: Database, owner: Database
) -> None:
    await accept(pipeline, account, cost="2.0000", segments=2)
    refunded = await accept(pipeline, account)
    await fail(owner, refunded)
    await refund(pipeline, account, refunded)
    await fail(owner, await accept(pipeline, account))
    await accept(pipeline, account, mno="Airtel", country="UG", cost="3.0000", sender="OTHER")
    await accept(pipeline, account, test=True, cost="0")
    [day] = (await asked(client, auth))["data"]
    assert (day["key"], day["messages"], day["segments"]) == (f"{now():%Y-%m-%d}", 4, 5)
    assert (day["cost"], day["refunded"]) == (kes("7.0000"), kes("1.0000"))
    assert day["by_status"]["failed"] == 2
    assert sum(day["by_status"].values()) == 4
    shown = {
        by: [
            (row["key"], row["country"], row["messages"])
            for row in (await asked(client, auth, group_by=by))["data"]
        ]
        for by in ("mno", "country", "sender", "campaign")
    }
    assert shown == {
        "mno": [("Safaricom", "KE", 3), ("Airtel", "UG", 1)],
        "country": [("KE", None, 3), ("UG", None, 1)],
        "sender": [("SEMALINK", None, 3), ("OTHER", None, 1)],
        "campaign": [(None, None, 4)],
    }


async def test_only_the_time_asked_for_is_counted_and_at_most_31_days(
    client: httpx.AsyncClient, account: Opened, auth: Headers, pipeline: Database
) -> None:
    at = now()
    await accept(pipeline, account, at=at - timedelta(hours=1))
    await accept(pipeline, account, at=at)
    since, half = (at - timedelta(days=31)).isoformat(), (at - timedelta(minutes=30)).isoformat()
    found = await asked(client, auth, group_by="country", created_after=since, created_before=half)
    assert [row["messages"] for row in found["data"]] == [1]
    found = await asked(client, auth, group_by="country", created_after=half)
    assert [row["messages"] for row in found["data"]] == [1]
    wrong = (
        {"created_after": (at - timedelta(days=32)).isoformat()},
        {"created_after": (at + timedelta(days=1)).isoformat()},
        {"created_before": "0001-01-01T00:00:00+00:00"},
        {"group_by": "recipient"},
    )
    for params in wrong:
        answer = await client.get(PATH, headers=auth, params=params)
        assert (answer.status_code, answer.json()["code"]) == (422, "validation_failed"), params


async def test_an_agent_and_his_customer_each_see_their_own_and_the_customer_his_retail_price(
    client: httpx.AsyncClient, open_: Open, pipeline: Database, owner: Database
) -> None:
    agent = await open_(type="agent")
    customer = await open_(type="agent_customer", agent=agent.account_id, credit="0")
    sold = await accept(
        pipeline,
        customer,
        tenant_id=agent.account_id,
        billing_account_id=agent.account_id,
        cost="1.2000",
        wholesale=Decimal("0.5"),
    )
    await fail(owner, sold)
    await refund(pipeline, agent, sold)
    theirs = await asked(client, {"authorization": f"Bearer {customer.live_key}"})
    assert [(row["cost"], row["refunded"]) for row in theirs["data"]] == [(kes("1.2000"), kes("1.2000"))]
    assert (await asked(client, {"authorization": f"Bearer {agent.live_key}"}))["data"] == []


@pytest.mark.parametrize("extra", [0, 1])
async def test_more_groups_than_are_shown_are_said_to_be_there(
    client: httpx.AsyncClient,
    account: Opened,
    auth: Headers,
    pipeline: Database,
    monkeypatch: pytest.MonkeyPatch,
    extra: int,
) -> None:
    monkeypatch.setattr("sema_main_api.messaging.endpoints.analytics.MAX_GROUPS", 2)
    for number in range(2 + extra):
        await accept(pipeline, account, sender=f"S{number}")
    found = await asked(client, auth, group_by="sender")
    assert (len(found["data"]), found["truncated"]) == (2, bool(extra))
