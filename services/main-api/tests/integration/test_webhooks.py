import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from sema_common.platform.bus import Bus, Delivery
from sema_common.platform.db import Database
from sema_common.platform.secrets import SecretBox
from sema_common.values.errors import BrokerUnavailable
from sema_common.wire.envelope import WireMessage
from sema_common.wire.webhook import Facts, Redeliver
from sema_main_api.accounts.opening import Opened
from sema_main_api.http.passwords import hash_password
from sema_main_api.users.people import put_owner
from tests.kit.fixtures import TestDatabase

URL = "https://hooks.example.com/sms"
BODY = {"url": URL, "events": ["message.delivered", "message.failed"]}
Headers = dict[str, str]
Open = Callable[..., Awaitable[Opened]]


async def create(client: httpx.AsyncClient, headers: Headers, **changes: Any) -> dict[str, Any]:
    response = await client.post("/v1/webhooks", json=BODY | changes, headers=headers)
    assert response.status_code == 201, response.text
    created: dict[str, Any] = response.json()
    return created


async def test_a_webhook_lives_from_create_to_delete(client: httpx.AsyncClient, auth: Headers) -> None:
    created = await create(client, auth)
    secret = created.pop("secret")
    assert secret.startswith("whsec_")
    assert created["enabled"] is True
    path = f"/v1/webhooks/{created['id']}"
    assert (await client.get(path, headers=auth)).json() == created
    assert (await client.get("/v1/webhooks", headers=auth)).json()["data"] == [created]
    changed = await client.patch(path, json={"events": ["balance.low"], "enabled": False}, headers=auth)
    assert (changed.json()["events"], changed.json()["enabled"]) == (["balance.low"], False)
    assert changed.json()["url"] == URL
    revived = await client.patch(path, json={"enabled": True}, headers=auth)
    assert (revived.json()["enabled"], revived.json()["disabled_reason"]) == (True, None)
    assert (await client.delete(path, headers=auth)).status_code == 204
    assert (await client.get(path, headers=auth)).status_code == 404
    assert (await client.delete(path, headers=auth)).status_code == 404


async def test_a_secret_is_sealed_at_rest_and_the_old_one_lives_a_day(
    client: httpx.AsyncClient, auth: Headers, pipeline: Database, settings: dict[str, Any]
) -> None:
    created = await create(client, auth)
    rotated = (await client.post(f"/v1/webhooks/{created['id']}/rotate-secret", headers=auth)).json()
    assert rotated["secret"] != created["secret"]
    row = await pipeline.fetchrow(
        "SELECT secret, old_secret, old_secret_until FROM webhooks.endpoints WHERE id = $1",
        UUID(created["id"]),
    )
    assert row is not None
    assert created["secret"].encode() not in row["old_secret"]
    box = SecretBox(settings["secrets_keys"])
    assert (box.open(row["secret"]), box.open(row["old_secret"])) == (rotated["secret"], created["secret"])
    left = row["old_secret_until"] - datetime.now(UTC)
    assert timedelta(hours=23, minutes=59) < left <= timedelta(hours=24)


WALLED = (
    "http://hooks.example.com",
    "https://user:pw@hooks.example.com",
    "https://hooks.example.com:22",
    "https://localhost",
    "https://127.1",
    "https://0x7f000001",
    "https://2130706433",
    "https://0177.0.0.1",
    "https://[::ffff:169.254.169.254]",
    "https://169.254.169.254",
    "nonsense",
    "",
)


async def test_a_url_inside_somebodys_walls_is_refused(client: httpx.AsyncClient, auth: Headers) -> None:
    existing = await create(client, auth)
    for url in WALLED:
        created = await client.post("/v1/webhooks", json=BODY | {"url": url}, headers=auth)
        assert created.status_code == 422, url
        assert created.json()["errors"][0]["field"] == "url"
        changed = await client.patch(f"/v1/webhooks/{existing['id']}", json={"url": url}, headers=auth)
        assert changed.status_code == 422, url


MISSHAPEN: tuple[tuple[dict[str, Any], str], ...] = (
    ({"url": URL}, "events"),
    ({"url": URL, "events": []}, "events"),
    ({"url": URL, "events": ["message.read"]}, "events.0"),
    ({"url": URL, "events": ["message.sent"], "secret": "mine"}, "secret"),
    ({"url": "https://a.example/\u0000", "events": ["message.sent"]}, "url"),
)


async def test_a_body_of_another_shape_is_refused(client: httpx.AsyncClient, auth: Headers) -> None:
    for body, field in MISSHAPEN:
        response = await client.post("/v1/webhooks", json=body, headers=auth)
        assert response.status_code == 422, body
        assert [error["field"] for error in response.json()["errors"]] == [field]


async def test_an_account_has_a_bounded_number_of_webhooks(client: httpx.AsyncClient, auth: Headers) -> None:
    for _ in range(20):
        await create(client, auth)
    response = await client.post("/v1/webhooks", json=BODY, headers=auth)
    assert (response.status_code, response.json()["code"]) == (409, "too_many_webhooks")


async def test_another_accounts_rows_are_404_everywhere(
    client: httpx.AsyncClient, auth: Headers, open_: Open, owner_rows: "Rows"
) -> None:
    mine = await create(client, auth)
    delivery = await owner_rows(UUID(mine["id"]))
    stranger = {"authorization": f"Bearer {(await open_()).live_key}"}
    calls = [
        ("GET", f"/v1/webhooks/{mine['id']}", None),
        ("PATCH", f"/v1/webhooks/{mine['id']}", {"enabled": False}),
        ("DELETE", f"/v1/webhooks/{mine['id']}", None),
        ("POST", f"/v1/webhooks/{mine['id']}/rotate-secret", None),
        ("POST", f"/v1/webhooks/{mine['id']}/test", None),
        ("GET", f"/v1/webhooks/{mine['id']}/deliveries", None),
        ("GET", f"/v1/webhook-deliveries/{delivery}", None),
        ("POST", f"/v1/webhook-deliveries/{delivery}/redeliver", None),
    ]
    for method, path, body in calls:
        response = await client.request(method, path, json=body, headers=stranger)
        assert (response.status_code, response.json()["code"]) == (404, "not_found"), (method, path)
    assert (await client.get("/v1/webhooks", headers=stranger)).json()["data"] == []
    assert (await client.get(f"/v1/webhooks/{mine['id']}", headers=auth)).json()["enabled"] is True


async def test_a_customer_of_the_same_agent_sees_nothing_of_another(
    client: httpx.AsyncClient, open_: Open
) -> None:
    """Row-level security walls off the agent; within his wall the account is named by every query."""
    agent = await open_(type="agent")
    one, two = [await open_(type="agent_customer", agent=agent.account_id, credit="0") for _ in range(2)]
    headers = [{"authorization": f"Bearer {who.live_key}"} for who in (one, two)]
    created = await create(client, headers[0])
    assert (await client.get(f"/v1/webhooks/{created['id']}", headers=headers[1])).status_code == 404
    assert (await client.get("/v1/webhooks", headers=headers[1])).json()["data"] == []


Rows = Callable[[UUID], Awaitable[UUID]]


@pytest.fixture
async def owner_rows(database: TestDatabase) -> Any:
    """`await owner_rows(webhook_id)`: a failed delivery with two attempts, as webhook-delivery leaves it."""
    import asyncpg

    connection = await asyncpg.connect(database.owner_dsn)

    async def insert(webhook_id: UUID, state: str = "failed", age: int = 0) -> UUID:
        delivery_id = uuid4()
        account_id = await connection.fetchval(
            "SELECT account_id FROM webhooks.endpoints WHERE id = $1", webhook_id
        )
        await connection.execute(
            "INSERT INTO webhooks.deliveries (id, tenant_id, account_id, endpoint_id, target, url, event_id, type,"
            " payload, state, attempts, created_at) VALUES ($1, $2, $2, $3, 't', $4, $5, 'message.failed', '{}', $6, 2,"
            " now() - make_interval(secs => $7))",
            *(delivery_id, account_id, webhook_id, URL, uuid4(), state, float(age)),
        )
        for attempt in (1, 2):
            await connection.execute(
                "INSERT INTO webhooks.webhook_delivery_attempts (delivery_id, attempt, tenant_id, started_at,"
                " duration_ms, status_code, response) VALUES ($1, $2, $3, now(), 12, 500, 'oops')",
                *(delivery_id, attempt, account_id),
            )
        return delivery_id

    yield insert
    await connection.close()


async def test_deliveries_are_listed_newest_first_and_by_status(
    client: httpx.AsyncClient, auth: Headers, owner_rows: Any
) -> None:
    webhook = await create(client, auth)
    ids = [str(await owner_rows(UUID(webhook["id"]), "failed", age)) for age in (30, 20, 10)]
    good = str(await owner_rows(UUID(webhook["id"]), "succeeded", 5))
    path = f"/v1/webhooks/{webhook['id']}/deliveries"
    first = (await client.get(f"{path}?limit=3", headers=auth)).json()
    assert [row["id"] for row in first["data"]] == [good, ids[2], ids[1]]
    second = (await client.get(f"{path}?limit=3&cursor={first['next_cursor']}", headers=auth)).json()
    assert [row["id"] for row in second["data"]] == [ids[0]]
    failed = (await client.get(f"{path}?status=failed", headers=auth)).json()
    assert [row["id"] for row in failed["data"]] == ids[::-1]
    assert (await client.get(f"{path}?status=lost", headers=auth)).status_code == 422


async def test_a_delivery_shows_every_attempt(
    client: httpx.AsyncClient, auth: Headers, owner_rows: Any
) -> None:
    webhook = await create(client, auth)
    delivery = await owner_rows(UUID(webhook["id"]))
    shown = (await client.get(f"/v1/webhook-deliveries/{delivery}", headers=auth)).json()
    assert (shown["status"], shown["attempts"], shown["payload"]) == ("failed", 2, "{}")
    assert [(a["attempt"], a["status_code"], a["response"]) for a in shown["history"]] == [
        (1, 500, "oops"),
        (2, 500, "oops"),
    ]


async def test_a_test_and_a_redelivery_reach_the_queue(
    client: httpx.AsyncClient, auth: Headers, account: Opened, vhost: str, owner_rows: Any
) -> None:
    webhook = await create(client, auth)
    delivery = await owner_rows(UUID(webhook["id"]))
    tested = await client.post(f"/v1/webhooks/{webhook['id']}/test", headers=auth)
    again = await client.post(f"/v1/webhook-deliveries/{delivery}/redeliver", headers=auth)
    assert (tested.status_code, again.status_code) == (202, 202)
    taken: asyncio.Queue[WireMessage] = asyncio.Queue()

    async def take(message: Delivery[Any]) -> None:
        taken.put_nowait(message.message)

    async with (
        Bus.open(vhost, name="test") as bus,
        bus.consume("webhooks.outbound", [Facts, Redeliver], take, prefetch=1),
    ):
        async with asyncio.timeout(10):
            facts, redeliver = await taken.get(), await taken.get()
    assert isinstance(facts, Facts)
    [fact] = facts.facts
    assert str(fact.event_id) == tested.json()["event_id"]
    assert (fact.type, str(fact.endpoint_id)) == ("webhook.test", webhook["id"])
    assert redeliver == Redeliver(delivery_id=delivery, account_id=account.account_id)


async def test_a_disabled_webhook_is_not_tested(client: httpx.AsyncClient, auth: Headers) -> None:
    webhook = await create(client, auth)
    await client.patch(f"/v1/webhooks/{webhook['id']}", json={"enabled": False}, headers=auth)
    response = await client.post(f"/v1/webhooks/{webhook['id']}/test", headers=auth)
    assert (response.status_code, response.json()["code"]) == (409, "webhook_disabled")


async def test_without_a_broker_a_test_is_told_to_come_back(
    client: httpx.AsyncClient, auth: Headers, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def publish(*_: Any, **__: Any) -> None:
        raise BrokerUnavailable("away")

    monkeypatch.setattr(Bus, "publish", publish)
    webhook = await create(client, auth)
    response = await client.post(f"/v1/webhooks/{webhook['id']}/test", headers=auth)
    assert (response.status_code, response.json()["code"]) == (503, "unavailable")
    assert "retry-after" in response.headers


async def test_only_an_owner_reads_the_default_secret(
    client: httpx.AsyncClient, account: Opened, auth: Headers, pipeline: Database
) -> None:
    path = "/v1/webhooks/default-secret"
    assert (await client.get(path, headers=auth)).status_code == 403
    async with pipeline.transaction() as tx:
        await put_owner(tx, account.account_id, "o@example.com", hash_password("long enough"), "test")
    login = await client.post("/v1/auth/login", json={"email": "o@example.com", "password": "long enough"})
    owner = {"authorization": f"Bearer {login.json()['access_token']}"}
    answer = await client.get(path, headers=owner)
    assert answer.json()["secret"].startswith("whsec_")
    assert (await client.get(path, headers=owner)).json() == answer.json()
