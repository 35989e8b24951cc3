"""Composition root: stores and broker, the ways to the aggregators, one consumer per lane, the sweep."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from sema_aggregators import Celcom, Credentials, TestMode
from sema_common.platform import dead_letters
from sema_common.platform.bus import Bus
from sema_common.platform.db import Database
from sema_common.platform.http import Http, Timeouts
from sema_common.platform.runtime import Room
from sema_common.wire.queues import SMS_NORMAL, SMS_PRIORITY
from sema_common.wire.sms import MAX_JOBS, Lane, SettleAttempts, SmsJobs
from sema_sms_worker.clients import Gate, HttpWay, TestWay, Way
from sema_sms_worker.handlers.gathering import Gathering
from sema_sms_worker.handlers.hands import Hands
from sema_sms_worker.handlers.lanes import LaneHandler, Message
from sema_sms_worker.handlers.reports import TestReports
from sema_sms_worker.handlers.settle import Settle
from sema_sms_worker.handlers.submit import SubmitJobs
from sema_sms_worker.loops import Sweep
from sema_sms_worker.rules.breaker import Breaker, Rest
from sema_sms_worker.rules.outcomes import RetryPolicy
from sema_sms_worker.settings import Settings

SCHEMA_REVISION: Final = "0007"


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
    gathering = await room.open(Gathering.open(db, bus, lease), "gathering")
    ways = await _open_ways(room, settings)
    hands = await room.open(Hands.open(), "hands")
    settle = Settle(db, bus, gathering, hands, policy, lease)
    reports = TestReports(bus)

    def lane(name: Lane) -> LaneHandler:
        return LaneHandler(SubmitJobs(name, ways, db, gathering, reports, hands, policy), settle)

    types: Sequence[type[Message]] = (SmsJobs, SettleAttempts)
    for queue in (SMS_PRIORITY, SMS_NORMAL):
        await room.open(dead_letters.drain(bus, db, queue), f"dead letters of {queue}")
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


async def _open_ways(room: Room, settings: Settings) -> dict[str, Way]:
    """The aggregators by name; Celcom with connections of its own for each lane."""
    timeouts = Timeouts(
        connect=settings.celcom_connect_seconds,
        read=settings.celcom_total_seconds,
        total=settings.celcom_total_seconds,
    )
    senders: dict[Lane, int] = {"priority": settings.priority_senders, "normal": settings.normal_senders}
    clients = {
        lane: await room.open(
            Http.open(settings.celcom_base_url, timeouts=timeouts, max_connections=number), f"celcom {lane}"
        )
        for lane, number in senders.items()
    }
    celcom = Celcom(ucs2=settings.celcom_ucs2, countries=settings.celcom_countries)
    credentials = Credentials(settings.celcom_partner_id, settings.celcom_api_key.get_secret_value())
    test = TestMode()
    return {
        celcom.name: HttpWay(celcom, credentials, clients, _gate(celcom.name, settings)),
        test.name: TestWay(test, _gate(test.name, settings)),
    }


def _gate(name: str, settings: Settings) -> Gate:
    rest = Rest(settings.breaker_first_seconds, settings.breaker_longest_seconds)
    pause = Rest(settings.pause_first_seconds, settings.pause_longest_seconds)
    breaker = Breaker(settings.breaker_threshold, rest, settings.celcom_total_seconds)
    return Gate(name, breaker, pause, rest)
