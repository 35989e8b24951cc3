"""What customers are told of by themselves: a balance that runs low, an endpoint that was disabled."""

from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import httpx
import pytest

from sema_common.billing import ledger
from sema_common.platform.bus import Bus
from sema_common.platform.db import Database
from sema_common.platform.secrets import SecretBox
from sema_common.values.clock import now
from sema_common.values.ids import new_id
from sema_main_api.accounts.opening import Opened
from sema_main_api.billing.alarms import Alarms
from sema_main_api.http.passwords import hash_password
from sema_main_api.users.people import put_owner
from sema_main_api.webhooks.disabled import Disabled
from sema_main_api.webhooks.endpoints import DISABLED_BY_CUSTOMER
from tests.kit.accounting import add_up
from tests.kit.letters import Queue
from tests.kit.rooms import eventually

WEB = "https://app.example.com"


@pytest.fixture
async def alarms(pipeline: Database, bus: Bus, box: SecretBox, account: Opened) -> Alarms:
    async with pipeline.transaction() as tx:
        await put_owner(tx, account.account_id, "o@example.com", "hash", "test")
    return Alarms(pipeline, bus, box, WEB)


async def move(db: Database, account: Opened, amount: str) -> None:
    async with db.transaction() as tx:
        if amount[0] == "-":
            await ledger.adjust(tx, account.account_id, Decimal(amount), uuid4(), "adjustment")
        else:
            await ledger.top_up(tx, account.account_id, Decimal(amount), uuid4())
    await add_up(db)


async def mails(db: Database, kind: str) -> int:
    count: int = await db.fetchval("SELECT count(*) FROM core.mails WHERE kind = $1", kind)
    return count


async def test_a_low_balance_is_told_once_and_again_after_new_credit(
    pipeline: Database, account: Opened, alarms: Alarms, listen: Any
) -> None:
    await pipeline.execute("UPDATE billing.credits SET low_threshold = 50")
    told = []
    async with listen("webhooks.outbound") as queue:
        assert isinstance(queue, Queue)
        for amount in ("-40", "-20", "-5", "30", "-30"):
            await move(pipeline, account, amount)
            await alarms()
            await alarms()
            told.append(await mails(pipeline, "balance_low"))

        async def both() -> bool | None:
            return len(queue.messages) >= 2 or None

        await eventually(both)
    assert told == [0, 1, 1, 1, 2]
    facts = [fact for bundle in queue.messages for fact in bundle.facts]
    assert [fact.type for fact in facts] == ["balance.low"] * 2
    assert facts[0].event_id != facts[1].event_id
    assert facts[0].data["available"] == {"amount": "40.0000", "currency": "KES"}
    assert facts[0].data["threshold"] == {"amount": "50.0000", "currency": "KES"}


async def test_a_balance_that_is_being_charged_is_not_waited_for(
    pipeline: Database, account: Opened, alarms: Alarms
) -> None:
    """Whoever charges holds several balances in the order of their ids; waiting out of it could be a deadlock."""
    armed = "SELECT low_at IS NULL FROM billing.credits"
    await pipeline.execute(
        "UPDATE billing.credits SET low_threshold = 50, low_at = now() - interval '2 days'"
    )
    async with pipeline.transaction() as charging:
        await ledger.lock_balances(charging, [account.account_id])
        await alarms()
        assert await pipeline.fetchval(armed) is False
    await alarms()
    assert await pipeline.fetchval(armed) is True


async def test_a_postpaid_account_is_told_below_a_fifth_of_its_limit(
    pipeline: Database, account: Opened, alarms: Alarms
) -> None:
    await pipeline.execute("UPDATE billing.credits SET credit_limit = 1000, balance = balance")
    await move(pipeline, account, "-890")
    await alarms()
    assert await mails(pipeline, "balance_low") == 0
    await move(pipeline, account, "-20")
    await alarms()
    assert await mails(pipeline, "balance_low") == 1


async def test_who_disabled_his_endpoint_himself_gets_no_mail_and_who_failed_one(
    pipeline: Database, account: Opened, box: SecretBox, alarms: Alarms
) -> None:
    for reason in (DISABLED_BY_CUSTOMER, "it failed for three days"):
        await pipeline.execute(
            "INSERT INTO webhooks.endpoints (id, tenant_id, account_id, url, events, secret, disabled_at,"
            " disabled_reason) VALUES ($1, $2, $2, 'https://example.com', '{}', '', $3, $4)",
            *(new_id(), account.account_id, now() - timedelta(minutes=1), reason),
        )
    disabled = Disabled(pipeline, box, WEB)
    for _ in range(2):
        await disabled()
    assert await mails(pipeline, "webhook_disabled") == 1


async def test_the_threshold_is_set_in_the_currency_of_the_account(
    client: httpx.AsyncClient,
    account: Opened,
    auth: dict[str, str],
    pipeline: Database,
    owner_headers: dict[str, str],
) -> None:
    body = {"threshold": {"amount": "25.5", "currency": "KES"}}
    assert (await client.put("/v1/balance-alert", json=body, headers=auth)).status_code == 403
    put = await client.put("/v1/balance-alert", json=body, headers=owner_headers)
    assert put.json() == {"threshold": {"amount": "25.5000", "currency": "KES"}}
    assert (await client.get("/v1/balance-alert", headers=auth)).json() == put.json()
    for wrong in ({"amount": "1", "currency": "USD"}, {"amount": "-1", "currency": "KES"}):
        refused = await client.put("/v1/balance-alert", json={"threshold": wrong}, headers=owner_headers)
        assert refused.status_code == 422
    gone = await client.put("/v1/balance-alert", json={"threshold": None}, headers=owner_headers)
    assert gone.json() == {"threshold": None}


@pytest.fixture
async def owner_headers(client: httpx.AsyncClient, pipeline: Database, account: Opened) -> dict[str, str]:
    async with pipeline.transaction() as tx:
        await put_owner(
            tx, account.account_id, "p@example.com", hash_password("correct horse battery"), "test"
        )
    login = {"email": "p@example.com", "password": "correct horse battery"}
    answer = await client.post("/v1/auth/login", json=login)
    return {"authorization": f"Bearer {answer.json()['access_token']}"}
