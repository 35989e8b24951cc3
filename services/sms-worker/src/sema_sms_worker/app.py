"""Composition root: stores and broker, the ways to the aggregators, one consumer per lane, the sweep."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from sema_aggregators import AfricasTalking, Aggregator, Celcom, Credentials, TestMode
from sema_common.platform import dead_letters
from sema_common.platform.bus import Bus
from sema_common.platform.cache import Cache
from sema_common.platform.db import Database
from sema_common.platform.http import Http, Timeouts
from sema_common.platform.runtime import Room
from sema_common.values.ids import new_id
from sema_common.wire.queues import SMS_NORMAL, SMS_PRIORITY
from sema_common.wire.sms import MAX_JOBS, Lane, SettleAttempts, SmsJobs
from sema_sms_worker.clients.enquiry import Enquiry
from sema_sms_worker.clients.health import Health, Policy
from sema_sms_worker.clients.pacing import Pace
from sema_sms_worker.clients.ways import HttpWay, TestWay, Way
from sema_sms_worker.handlers.attempts import Attempts
from sema_sms_worker.handlers.gathering import Gathering
from sema_sms_worker.handlers.hands import Hands
from sema_sms_worker.handlers.lanes import LaneHandler, Message
from sema_sms_worker.handlers.reports import TestReports
from sema_sms_worker.handlers.routing import REFRESH_SECONDS, Router
from sema_sms_worker.handlers.settle import Settle
from sema_sms_worker.handlers.submit import SubmitJobs
from sema_sms_worker.loops import POLL_TIMEOUT, POLLS_AT_A_TIME, Polling, Purge, Sweep
from sema_sms_worker.rules.gates import Rest
from sema_sms_worker.rules.health import Limits
from sema_sms_worker.rules.outcomes import RetryPolicy
from sema_sms_worker.settings import Settings

POLL_SECONDS: Final = 5.0
PURGE_SECONDS: Final = 3600.0

SCHEMA_REVISION: Final = "0022"


async def open_room(room: Room, settings: Settings) -> None:
    """Closed in reverse: what waits is given back, the lanes finish, outcomes are written, the stores go last."""
    db = await room.open(
        Database.open(
            settings.database_url, name="sms-worker", min_size=2, max_size=settings.database_pool_size
        )
    )
    room.ready_when("postgres", db.check_writable)
    room.ready_when("schema", lambda: db.check_schema(SCHEMA_REVISION))
    bus = await room.open(Bus.open(settings.amqp_url, name="sms-worker"))
    room.ready_when("broker", bus.check)

    lease = timedelta(seconds=settings.claim_lease_seconds)
    policy = RetryPolicy(
        settings.max_retries,
        timedelta(seconds=settings.retry_first_seconds),
        timedelta(seconds=settings.in_doubt_hold_seconds),
    )
    cache = await room.open(Cache.open(settings.redis_url))
    room.ready_when("redis", cache.check, required=False)
    gathering = await room.open(Gathering.open(db, bus, lease), "gathering")
    router = await _open_router(room, settings, db, cache)
    hands = await room.open(Hands.open(), "hands")
    settle = Settle(db, bus, gathering, hands, policy, lease)
    reports = TestReports(bus)

    def lane(name: Lane) -> LaneHandler:
        attempts = Attempts(name, router, db, gathering, reports, hands, policy)
        submit = SubmitJobs(name, router, TestWay(TestMode()), attempts, gathering, hands)
        return LaneHandler(submit, settle)

    types: Sequence[type[Message]] = (SmsJobs, SettleAttempts)
    for queue in (SMS_PRIORITY, SMS_NORMAL):
        await room.open(dead_letters.drain(bus, db, queue), f"dead letters of {queue}")
    await room.every("purge", PURGE_SECONDS, Purge(db, timedelta(days=settings.attempts_kept_days)))
    for enquiry in await _open_enquiries(room, settings):
        asking = Polling(
            db,
            bus,
            enquiry,
            settings.poll_first_seconds,
            settings.no_report_hours * 3600,
            settings.poll_per_second,
        )
        await room.every(f"poll {enquiry.name}", POLL_SECONDS, asking)
    await room.every("sweep", settings.sweep_seconds, Sweep(db, bus))
    await room.open(
        bus.consume_batches(
            SMS_PRIORITY,
            types,
            lane("priority").handle,
            prefetch=settings.priority_senders,
            max_items=1,
            batches=settings.priority_senders,
        ),
        f"consumer {SMS_PRIORITY}",
    )
    await room.open(
        bus.consume_batches(
            SMS_NORMAL,
            types,
            lane("normal").handle,
            prefetch=settings.normal_prefetch,
            max_items=MAX_JOBS,
            linger=settings.normal_linger_ms / 1000,
            batches=settings.normal_senders,
        ),
        f"consumer {SMS_NORMAL}",
    )
    await room.open(hands.letting_go(), "letting go")


async def _open_router(room: Room, settings: Settings, db: Database, cache: Cache) -> Router:
    """The aggregators that we have an account at, and what is known of them."""
    ways = await _open_ways(room, settings)
    health = Health(cache, policy_of(settings))
    paces = {name: Pace(cache, name, str(new_id())) for name in ways}
    router = Router(db, ways, health, paces)
    await router.refresh()
    await room.every("routes", REFRESH_SECONDS, router.refresh)
    loop = await room.every("health", settings.route_exchange_seconds, health.exchange)
    health.wake = loop.wake
    return router


async def _open_ways(room: Room, settings: Settings) -> dict[str, Way]:
    """The aggregators by name, each with connections of its own for each lane."""
    senders: dict[Lane, int] = {"priority": settings.priority_senders, "normal": settings.normal_senders}
    celcom = Celcom(ucs2=settings.celcom_ucs2, countries=settings.celcom_countries)
    account = Credentials(settings.celcom_partner_id, settings.celcom_api_key.get_secret_value())
    ways: dict[str, Way] = {
        celcom.name: await _open_way(room, settings, celcom, account, settings.celcom_base_url, senders)
    }
    if key := settings.africastalking_api_key.get_secret_value():
        talking = AfricasTalking(
            countries=settings.africastalking_countries, bulk=settings.africastalking_bulk
        )
        account = Credentials(settings.africastalking_username, key)
        lines = senders | {"normal": settings.africastalking_connections}
        ways[talking.name] = await _open_way(
            room, settings, talking, account, settings.africastalking_base_url, lines
        )
    return ways


async def _open_enquiries(room: Room, settings: Settings) -> list[Enquiry]:
    """The aggregators that answer questions about a report; Africa's Talking has no such call."""
    celcom = Celcom()
    credentials = Credentials(settings.celcom_partner_id, settings.celcom_api_key.get_secret_value())
    timeouts = Timeouts(connect=settings.submit_connect_seconds, read=POLL_TIMEOUT, total=POLL_TIMEOUT)
    http = Http.open(settings.celcom_base_url, timeouts=timeouts, max_connections=POLLS_AT_A_TIME)
    return [Enquiry(celcom, credentials, await room.open(http, "celcom reports"))]


async def _open_way(
    room: Room,
    settings: Settings,
    adapter: Aggregator,
    credentials: Credentials,
    base_url: str,
    connections: dict[Lane, int],
) -> HttpWay:
    timeouts = Timeouts(
        connect=settings.submit_connect_seconds,
        read=settings.submit_total_seconds,
        total=settings.submit_total_seconds,
    )
    clients = {
        lane: await room.open(
            Http.open(base_url, timeouts=timeouts, max_connections=number), f"{adapter.name} {lane}"
        )
        for lane, number in connections.items()
    }
    return HttpWay(adapter, credentials, clients, connections)


def policy_of(settings: Settings) -> Policy:
    """When a route is shut, and for how long."""
    return Policy(
        limits=Limits(
            share=settings.route_error_share,
            calls=settings.route_error_calls,
            row=settings.route_error_row,
            reports=settings.route_reports,
            delivered=settings.route_delivered_share,
            slow=settings.route_slow_seconds,
            stalled=settings.route_stalled_seconds,
        ),
        failing=Rest(settings.route_rest_first_seconds, settings.route_rest_longest_seconds),
        account=Rest(settings.pause_first_seconds, settings.pause_longest_seconds),
        network=Rest(settings.route_rest_longest_seconds, 2 * settings.route_rest_longest_seconds),
        trials=settings.route_trials,
        trial_seconds=settings.submit_total_seconds + 5.0,
    )
