"""Composition root: pools, broker, Redis, the modules on the HTTP floor, the server. Nothing is decided here."""

from collections.abc import Callable
from datetime import timedelta
from importlib import metadata
from typing import Final
from uuid import UUID

from sema_aggregators import AfricasTalking, Celcom, TestMode
from sema_common.platform.bus import Bus
from sema_common.platform.cache import Cache
from sema_common.platform.db import Database, Listener, Tx
from sema_common.platform.mail import Postman
from sema_common.platform.runtime import Room
from sema_common.platform.secrets import SecretBox, signing_keys
from sema_main_api import money
from sema_main_api.accounts import endpoints as accounts
from sema_main_api.accounts import opening
from sema_main_api.admin import app as admin
from sema_main_api.agents import endpoints as agents
from sema_main_api.agents import loops as agents_loops
from sema_main_api.auth import endpoints as auth
from sema_main_api.auth.sessions import Sessions
from sema_main_api.auth.tokens import Tokens
from sema_main_api.billing import alarms, statements
from sema_main_api.billing import endpoints as billing
from sema_main_api.billing.schemas import BalanceEvent
from sema_main_api.campaigns import endpoints as campaigns
from sema_main_api.campaigns.schemas import CampaignEvent
from sema_main_api.contacts import endpoints as contacts
from sema_main_api.contacts import telling
from sema_main_api.contacts.uploading import Uploads
from sema_main_api.http import public
from sema_main_api.http.attempts import Attempts
from sema_main_api.http.auth import Authenticator
from sema_main_api.http.limits import Limits
from sema_main_api.http.middleware import Edge
from sema_main_api.http.openapi import Webhooks
from sema_main_api.http.passwords import Passwords
from sema_main_api.http.routing import Operation, bind
from sema_main_api.http.tenants import TenantReads
from sema_main_api.invoices import endpoints as invoices
from sema_main_api.messaging import endpoints as messaging
from sema_main_api.messaging import loops
from sema_main_api.messaging.accepting import Accepting
from sema_main_api.messaging.guarding import Guards
from sema_main_api.messaging.reference import CONTENT_SECONDS, REFRESH_SECONDS, ReferenceData
from sema_main_api.messaging.relay import Relay
from sema_main_api.messaging.rules.refusals import Refusals
from sema_main_api.messaging.schemas import MessageEvent
from sema_main_api.payments import app as payments
from sema_main_api.scheduler import loops as scheduling
from sema_main_api.scheduler.feeding import Feeder
from sema_main_api.settings import Settings
from sema_main_api.suppressions import endpoints as suppressions
from sema_main_api.suppressions.importing import Imports
from sema_main_api.users import endpoints as users
from sema_main_api.users import inviting
from sema_main_api.users import loops as users_loops
from sema_main_api.users.endpoints.deps import MAIL_BOUNDS
from sema_main_api.users.endpoints.deps import SLOW_DOWN as FEWER_MAILS
from sema_main_api.webhooks import deliveries, disabled
from sema_main_api.webhooks import endpoints as webhooks

SCHEMA_REVISION: Final = "0028"

MAIL_SECONDS: Final = 2.0
"""How soon a mail is on its way after the request that caused it."""

LAST_USED_SECONDS: Final = 15.0
"""How often the times at which keys were last used are written down."""

# Every route of the API, in the order in which the documentation shows them.
OPERATIONS: Final[tuple[Operation, ...]] = (
    *auth.OPERATIONS,
    *users.OPERATIONS,
    *messaging.OPERATIONS,
    *contacts.OPERATIONS,
    *campaigns.OPERATIONS,
    *suppressions.OPERATIONS,
    *billing.OPERATIONS,
    *alarms.OPERATIONS,
    *agents.OPERATIONS,
    *statements.OPERATIONS,
    *invoices.OPERATIONS,
    *payments.OPERATIONS,
    *accounts.OPERATIONS,
    *webhooks.OPERATIONS,
    *deliveries.OPERATIONS,
    *admin.OPERATIONS,
)

# What customers' endpoints get today, for the documentation; who subscribes names them in `webhooks.schemas.Event`.
WEBHOOKS: Final[Webhooks] = {
    **dict.fromkeys(("message.sent", "message.delivered", "message.failed", "message.expired"), MessageEvent),
    **dict.fromkeys(("campaign.completed", "campaign.rejected"), CampaignEvent),
    "balance.low": BalanceEvent,
}


def version() -> str:
    """The version of this package, as the OpenAPI document names it."""
    return metadata.version("sema-main-api")


async def open_room(room: Room, settings: Settings) -> None:
    """Closed in reverse: the server finishes its requests first, the pools go last."""
    await room.serve_http(await open_edge(room, settings), settings.http_host, settings.http_port)


async def open_edge(room: Room, settings: Settings) -> Edge:
    """Everything but the server: the ASGI application, ready to be called."""
    pipeline = await room.open(
        Database.open(settings.pipeline_database_url, name="pipeline", max_size=settings.pipeline_pool_size),
        "pipeline pool",
    )
    tenant = TenantReads(
        await room.open(
            Database.open(settings.database_url, name="tenant", max_size=settings.tenant_pool_size),
            "tenant pool",
        )
    )
    cache = await room.open(Cache.open(settings.redis_url))
    bus = await room.open(Bus.open(settings.amqp_url, name="main-api"))
    room.ready_when("postgres", pipeline.check_writable)
    room.ready_when("schema", lambda: pipeline.check_schema(SCHEMA_REVISION))
    room.ready_when("broker", bus.check, required=False)
    room.ready_when("redis", cache.check, required=False)

    life = timedelta(seconds=settings.access_token_seconds)
    tokens = Tokens(signing_keys(settings.jwt_private_key), settings.jwt_issuer, settings.jwt_audience, life)
    sessions = Sessions(cache)
    authenticator = Authenticator(pipeline, tokens.verify, sessions.is_open)
    passwords = await room.open(Passwords.open())
    limits = await room.open(Limits.open(cache))
    box = SecretBox(settings.secrets_keys)
    await room.every("last_used", LAST_USED_SECONDS, authenticator.write_last_used)

    reference = await open_reference(room, settings, pipeline)
    relay = await room.open(Relay(pipeline, bus))
    refusals = Refusals()
    accepting = await open_messaging(room, pipeline, relay, refusals)
    messaging_deps = messaging.Messaging(
        accepting,
        reference,
        limits,
        await room.open(Guards.open(cache)),
        pipeline,
        tenant,
        settings.webhooks_allow_loopback,
        refusals,
    )
    wake_scheduler = await open_scheduler(room, settings, pipeline, bus, relay, reference)

    webhooks_deps = webhooks.Deps(tenant, pipeline, bus, box, settings.webhooks_allow_loopback)
    auth_deps = auth.Deps(
        pipeline,
        passwords,
        tokens,
        sessions,
        authenticator,
        box,
        Attempts(cache, "login", auth.LOGIN_BOUNDS, auth.SLOW_DOWN),
        settings.trusted_proxies,
    )

    async def open_account(tx: Tx, name: str) -> tuple[UUID, UUID]:
        return await opening.open_registered(tx, box, name)

    async def end_sessions(user_id: UUID, but: str | None) -> int:
        return await sessions.end_all(user_id, but=but)

    users_deps = users.Deps(
        tenant,
        pipeline,
        passwords,
        authenticator,
        Attempts(cache, "mail", MAIL_BOUNDS, FEWER_MAILS),
        box,
        open_account,
        end_sessions,
        settings.web_app_url.rstrip("/"),
        settings.trusted_proxies,
    )
    await room.every("mail", MAIL_SECONDS, Postman(pipeline, box, settings.smtp))
    web = settings.web_app_url.rstrip("/")
    await room.every("webhooks_disabled", disabled.TELL_SECONDS, disabled.Disabled(pipeline, box, web))
    await room.every("links", users_loops.PURGE_SECONDS, users_loops.Purge(pipeline))
    renderer = await money.open_invoices(room, settings, pipeline, box)
    routes = [
        *bind(public.OPERATIONS, public.Deps(room.report, OPERATIONS, version(), WEBHOOKS)),
        *bind(auth.OPERATIONS, auth_deps),
        *bind(users.OPERATIONS, users_deps),
        *await money.open_billing(room, pipeline, tenant, bus, box, web),
        *await payments.open_payments(
            room, settings.daraja, tenant, pipeline, cache, box, settings.trusted_proxies
        ),
        *bind(accounts.OPERATIONS, accounts.Deps(tenant, pipeline, authenticator)),
        *bind(webhooks.OPERATIONS, webhooks_deps),
        *bind(deliveries.OPERATIONS, webhooks_deps),
        *bind(agents.OPERATIONS, await open_agents(room, pipeline, tenant, authenticator, box, users_deps)),
        *bind(messaging.OPERATIONS, messaging_deps),
        *bind(contacts.OPERATIONS, await open_contacts(room, settings, pipeline, tenant, bus)),
        *bind(campaigns.OPERATIONS, campaigns.Deps(tenant, pipeline, reference, wake_scheduler)),
        *bind(invoices.OPERATIONS, invoices.Deps(tenant, pipeline, renderer)),
        *await admin.open_admin(room, pipeline, bus, cache, authenticator, renderer.render),
        *bind(suppressions.OPERATIONS, suppressions.Deps(tenant, pipeline, Imports())),
    ]
    return Edge(routes, authenticator, settings.origins, settings.trusted_proxies)


async def open_agents(
    room: Room,
    pipeline: Database,
    tenant: TenantReads,
    authenticator: Authenticator,
    box: SecretBox,
    users_deps: users.Deps,
) -> agents.Deps:
    """What agents need of the other modules, and the loop that pays their commissions."""

    async def open_customer(tx: Tx, name: str, agent_id: UUID) -> UUID:
        return await opening.open_customer(tx, box, name, agent_id)

    async def invite_owner(tx: Tx, account_id: UUID, tenant_id: UUID, email: str, brand: str) -> None:
        await inviting.invite_owner(tx, users_deps, account_id, tenant_id, email, brand)

    await room.every("commissions", agents_loops.PAY_SECONDS, agents_loops.Loops(pipeline).pay)
    return agents.Deps(tenant, pipeline, authenticator, open_customer, invite_owner)


async def open_contacts(
    room: Room, settings: Settings, pipeline: Database, tenant: TenantReads, bus: Bus
) -> contacts.Deps:
    """Uploads, and the loop that tells phone-validator of what it has not heard."""
    telling_ = telling.Telling(pipeline, bus)
    await room.every("untold jobs", telling.SWEEP_SECONDS, telling_.sweep)
    await room.every("watch jobs", telling.WATCH_SECONDS, telling_.watch)
    return contacts.Deps(tenant, pipeline, telling_, Uploads(settings.upload_spool_bytes))


async def open_reference(room: Room, settings: Settings, pipeline: Database) -> ReferenceData:
    """What messages and campaigns are decided by; nothing is served before it was read once."""
    live = [Celcom(ucs2=settings.celcom_ucs2, countries=settings.live_countries).capabilities]
    if settings.second_countries:
        live.append(AfricasTalking(countries=settings.second_countries).capabilities)
    reference = ReferenceData(pipeline, live, [TestMode().capabilities])
    await reference.refresh()
    await room.every("reference", REFRESH_SECONDS, reference.refresh)
    await room.every("content_rules", CONTENT_SECONDS, reference.refresh_content)
    room.ready_when("reference", reference.check)
    return reference


async def open_messaging(room: Room, pipeline: Database, relay: Relay, refusals: Refusals) -> Accepting:
    """The relay outlives the group commit that feeds it: what was committed last is still published."""
    accepting = await room.open(Accepting(pipeline, relay))
    periodic = loops.Loops(pipeline, relay, refusals)
    await room.every("sweep", loops.SWEEP_SECONDS, relay.sweep)
    await room.every("watch", loops.WATCH_SECONDS, periodic.watch)
    await room.every("purge", loops.PURGE_SECONDS, periodic.purge)
    await room.every("refusals", loops.REFUSALS_SECONDS, periodic.keep_refusals)
    await room.every("refusals_purge", loops.PURGE_SECONDS, periodic.purge_refusals)
    await room.every("partitions", loops.PARTITION_SECONDS, periodic.partitions)
    await room.every("drift", loops.DRIFT_SECONDS, periodic.drift)
    return accepting


async def open_scheduler(
    room: Room,
    settings: Settings,
    pipeline: Database,
    bus: Bus,
    relay: Relay,
    reference: ReferenceData,
) -> Callable[[], None]:
    """The feeder and what moves campaigns to it and on from it; answers what wakes it all."""
    feeder = await room.open(Feeder(pipeline, bus, relay, reference))
    feeding = await room.every("feed", scheduling.FEED_SECONDS, feeder.run)

    def feed() -> None:
        feeder.wake()
        feeding.wake()

    alarm = scheduling.Alarm()
    scheduler = scheduling.Scheduler(pipeline, bus, feed, alarm.set)
    starting = await room.every("start", scheduling.START_SECONDS, scheduler.start)
    alarm.wakes(starting.wake)

    def wake() -> None:
        starting.wake()
        feed()

    await room.open(Listener(settings.pipeline_database_url, "campaigns", wake), "listener campaigns")
    await room.every("finish", scheduling.FINISH_SECONDS, scheduler.finish)
    await room.every("settle", scheduling.SETTLE_SECONDS, scheduler.settle)
    await room.every("purge_recipients", scheduling.PURGE_SECONDS, scheduler.purge)
    await room.every("watch_campaigns", scheduling.WATCH_SECONDS, scheduler.watch)
    return wake
