"""The whole of main-api on real stores, called in process."""

import base64
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from decimal import Decimal
from typing import Any
from uuid import uuid4

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from deploy.sandbox.app import DARAJA, Sandbox
from deploy.sandbox.daraja import Daraja
from sema_common.platform.bus import Bus
from sema_common.platform.db import Database
from sema_common.platform.ops import Readiness
from sema_common.platform.runtime import Room
from sema_common.platform.secrets import SecretBox
from sema_common.wire.content import ScreenCampaign
from sema_common.wire.contents import CONTENTS
from sema_common.wire.sms import SmsJobs
from sema_common.wire.webhook import Facts
from sema_main_api.accounts.opening import Opened, Opening, open_account
from sema_main_api.app import open_edge
from sema_main_api.http.passwords import hash_password
from sema_main_api.settings import Settings
from sema_main_api.users.people import put_staff
from tests.kit.campaigns import Campaigns, Consumed
from tests.kit.fixtures import TestDatabase
from tests.kit.letters import Office, Queue
from tests.kit.payments import TOKEN, UNIT, Desk
from tests.kit.serving import serving

SECRETS_KEY = SecretBox.new_key()
JWT_KEY = base64.b64encode(
    Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
).decode()

Serve = Callable[..., AbstractAsyncContextManager[httpx.AsyncClient]]
Open = Callable[..., Awaitable[Opened]]
NewList = Callable[..., Awaitable[str]]
Headers = dict[str, str]
StaffLogIn = Callable[..., Awaitable[Headers]]
OpenDesk = Callable[..., AbstractAsyncContextManager[Desk]]
Listen = Callable[[str], AbstractAsyncContextManager[Queue]]


@pytest.fixture
def settings(database: TestDatabase, vhost: str, redis_url: str) -> dict[str, Any]:
    """What Settings are made of."""
    return {
        "environment": "test",
        "database_url": database.dsn("main_api"),
        "pipeline_database_url": database.dsn("main_api_pipeline"),
        "amqp_url": vhost,
        "redis_url": redis_url,
        "secrets_keys": SECRETS_KEY,
        "jwt_private_key": JWT_KEY,
    }


@pytest.fixture
def serve(settings: dict[str, Any]) -> Serve:
    """`async with serve(redis_url=…) as client`: the service with these settings changed."""

    @asynccontextmanager
    async def serving(**changes: Any) -> AsyncIterator[httpx.AsyncClient]:
        chosen = Settings(**(settings | changes))
        readiness = Readiness()
        room = Room("main-api", chosen, readiness)
        try:
            transport = httpx.ASGITransport(await open_edge(room, chosen), raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url="http://api", timeout=30) as client:
                yield client
        finally:
            hung = await room.close(time.monotonic() + 10)
            readiness.clear()
        assert hung == []

    return serving


@pytest.fixture
async def client(serve: Serve) -> AsyncIterator[httpx.AsyncClient]:
    async with serve() as client:
        yield client


@pytest.fixture
async def pipeline(database: TestDatabase) -> AsyncIterator[Database]:
    async with Database.open(database.dsn("main_api_pipeline"), name="test", max_size=4) as db:
        yield db


@pytest.fixture
def box() -> SecretBox:
    """What the service seals with."""
    return SecretBox(SECRETS_KEY)


@pytest.fixture
def open_(pipeline: Database) -> Open:
    """`await open_(tier="growth", credit="5")`: a new account, as the operators' CLI makes it."""

    async def opening(
        name: str = "Test",
        type: str = "direct",
        tier: str = "starter",
        credit: str = "100",
        agent: Any = None,
    ) -> Opened:
        wanted = Opening(name, type, tier, Decimal(credit), "SEMALINK", agent)
        async with pipeline.transaction() as tx:
            return await open_account(tx, SecretBox(SECRETS_KEY), wanted, "test")

    return opening


@pytest.fixture
async def account(open_: Open) -> Opened:
    return await open_()


@pytest.fixture
def auth(account: Opened) -> dict[str, str]:
    """The headers of the account's live key."""
    return {"authorization": f"Bearer {account.live_key}"}


@pytest.fixture
def staff(client: httpx.AsyncClient, pipeline: Database) -> StaffLogIn:
    """`await staff("staff_support")`: the headers of a member of staff who has logged in."""

    async def logging_in(role: str = "staff_admin") -> Headers:
        email, password = f"{uuid4().hex}@example.com", "correct horse battery"
        async with pipeline.transaction() as tx:
            await put_staff(tx, email, hash_password(password), role, "test")
        response = await client.post("/v1/auth/login", json={"email": email, "password": password})
        return {"authorization": f"Bearer {response.json()['access_token']}"}

    return logging_in


@pytest.fixture
async def office(database: TestDatabase) -> AsyncIterator[Office]:
    """Dead letters, and what they are about."""
    async with Database.open(database.owner_dsn, name="owner") as owner:
        yield Office(owner)


@pytest.fixture
async def bus(vhost: str) -> AsyncIterator[Bus]:
    async with Bus.open(vhost, name="test") as bus:
        yield bus


@pytest.fixture
def listen(bus: Bus) -> Listen:
    """`async with listen("sms.normal") as queue`, then `queue.messages`: what arrives on it."""

    @asynccontextmanager
    async def listening(queue: str) -> AsyncIterator[Queue]:
        heard = Queue()
        async with bus.consume(queue, CONTENTS[queue], heard.hear, prefetch=10):
            yield heard

    return listening


@pytest.fixture
def new_list(client: httpx.AsyncClient, auth: dict[str, str]) -> NewList:
    """`await new_list(default_country="KE")`: the path of a list of the account."""

    async def create(**body: Any) -> str:
        answer = await client.post("/v1/contact-lists", json={"name": "L"} | body, headers=auth)
        assert answer.status_code == 201, answer.text
        return f"/v1/contact-lists/{answer.json()['id']}"

    return create


@pytest.fixture
async def owner(database: TestDatabase) -> AsyncIterator[Database]:
    """The superuser, whom no policy hides a row from."""
    async with Database.open(database.owner_dsn, name="owner", max_size=3) as db:
        yield db


@pytest.fixture
def campaigns(client: httpx.AsyncClient, auth: dict[str, str], account: Opened, owner: Database) -> Campaigns:
    """One account's campaigns, from all sides."""
    return Campaigns(client, auth, account.account_id, account.test_key, owner)


@pytest.fixture
async def consumed(vhost: str) -> AsyncIterator[Consumed]:
    """What reaches the lane, the content check and the webhooks."""
    consumed = Consumed()
    async with (
        Bus.open(vhost, name="test") as bus,
        bus.consume("sms.normal", [SmsJobs], consumed.handle, prefetch=10),
        bus.consume("sms.content", [ScreenCampaign], consumed.handle, prefetch=10),
        bus.consume("webhooks.outbound", [Facts], consumed.handle, prefetch=10),
    ):
        yield consumed


@pytest.fixture
def daraja_settings() -> dict[str, Any]:
    return {
        "daraja_consumer_key": DARAJA.key,
        "daraja_consumer_secret": DARAJA.secret,
        "daraja_short_code": DARAJA.short_code,
        "daraja_pass_key": DARAJA.pass_key,
        "payments_public_url": "http://api",
        "payments_callback_tokens": TOKEN,
        "payments_query_seconds": UNIT,
        "payments_list_seconds": UNIT,
    }


@pytest.fixture
def open_desk(
    serve: Serve, account: Opened, auth: dict[str, str], owner: Database, daraja_settings: dict[str, Any]
) -> OpenDesk:
    """`async with open_desk(**settings) as desk`."""

    @asynccontextmanager
    async def opening(**changes: Any) -> AsyncIterator[Desk]:
        async with AsyncExitStack() as opened:
            sandbox = Sandbox(payments_url=f"http://api/v1/callbacks/payments/{TOKEN}")
            url = await opened.enter_async_context(serving(sandbox))
            settings = daraja_settings | {"daraja_base_url": url} | changes
            client = await opened.enter_async_context(serve(**settings))
            daraja = sandbox.simulated["daraja"]
            assert isinstance(daraja, Daraja)
            daraja.calls_through(client)
            daraja.script = daraja.script.changed({"answer_ms": 30})
            yield Desk(client, auth, account, daraja, owner, sandbox, url)
            await daraja.end_errands()

    return opening


@pytest.fixture
async def desk(open_desk: OpenDesk) -> AsyncIterator[Desk]:
    async with open_desk() as desk:
        yield desk
