"""Composition root: Postgres, the broker, the batches of `dlr.inbound`, the loops."""

from datetime import timedelta
from typing import Final

from sema_common.platform.bus import Bus
from sema_common.platform.cache import Cache
from sema_common.platform.db import Database
from sema_common.platform.dead_letters import drain
from sema_common.platform.runtime import Room
from sema_common.wire.dlr import OverdueMessages, RawDlrs, RematchDlrs
from sema_common.wire.queues import DLR_INBOUND
from sema_dlr_processor.clients import TELL_SECONDS, Deliveries
from sema_dlr_processor.handlers import ReportHandler
from sema_dlr_processor.loops import (
    EXPIRE_SECONDS,
    PURGE_SECONDS,
    REMATCH_SECONDS,
    WATCH_SECONDS,
    Expire,
    Purge,
    Rematch,
)
from sema_dlr_processor.settings import Settings

SCHEMA_REVISION: Final = "0022"


async def open_room(room: Room, settings: Settings) -> None:
    """Closed in reverse: the consumer finishes its batches, then broker and pool go."""
    # One connection for each batch in flight; the loops, dead letters and checks share two more.
    db = await room.open(
        Database.open(settings.database_url, name="dlr-processor", max_size=settings.batches_in_flight + 2)
    )
    bus = await room.open(Bus.open(settings.amqp_url, name="dlr-processor"))
    room.ready_when("postgres", db.check_writable)
    room.ready_when("schema", lambda: db.check_schema(SCHEMA_REVISION))
    room.ready_when("broker", bus.check)
    rematch = Rematch(db, bus, timedelta(hours=settings.abandon_hours))
    await room.every("rematch", REMATCH_SECONDS, rematch.find)
    await room.every("watch", WATCH_SECONDS, rematch.watch)
    no_report = timedelta(hours=settings.no_report_hours)
    await room.every("expire", EXPIRE_SECONDS, Expire(db, bus, no_report).find)
    await room.every("purge", PURGE_SECONDS, Purge(db, settings.reports_kept_days).drop)
    await room.open(drain(bus, db, DLR_INBOUND), "dead letters")
    deliveries = Deliveries(await room.open(Cache.open(settings.redis_url)))
    await room.every("deliveries", TELL_SECONDS, deliveries.tell)
    handler = ReportHandler(db, bus, no_report, deliveries)
    consumer = bus.consume_batches(
        DLR_INBOUND,
        [RawDlrs, RematchDlrs, OverdueMessages],
        handler.handle,
        prefetch=settings.batch_reports * settings.batches_in_flight,
        max_items=settings.batch_reports,
        linger=settings.batch_seconds,
        batches=settings.batches_in_flight,
    )
    await room.open(consumer, f"consumer {DLR_INBOUND}")
