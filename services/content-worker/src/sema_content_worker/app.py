"""Composition root: Postgres, the broker, Redis, the handler on its queue. Nothing is decided here."""

from typing import Final

from sema_common.platform import dead_letters
from sema_common.platform.bus import Bus
from sema_common.platform.cache import Cache
from sema_common.platform.db import Database
from sema_common.platform.runtime import Room
from sema_common.wire.content import ScreenCampaign
from sema_common.wire.queues import SMS_CONTENT
from sema_content_worker.clients import Verdicts
from sema_content_worker.handlers import Screener
from sema_content_worker.settings import Settings

SCHEMA_REVISION: Final = "0015"


async def open_room(room: Room, settings: Settings) -> None:
    """Closed in reverse: the consumers finish what they have, then broker and pool go."""
    # One connection for each campaign, one each for the dead letters and the checks.
    db = await room.open(
        Database.open(settings.database_url, name="content-worker", max_size=settings.prefetch + 2)
    )
    bus = await room.open(Bus.open(settings.amqp_url, name="content-worker"))
    cache = await room.open(Cache.open(settings.redis_url))
    room.ready_when("postgres", db.check_writable)
    room.ready_when("schema", lambda: db.check_schema(SCHEMA_REVISION))
    room.ready_when("broker", bus.check)
    room.ready_when("redis", cache.check, required=False)
    screener = Screener(db, bus, Verdicts(cache))
    await room.open(dead_letters.drain(bus, db, SMS_CONTENT), "dead letters")
    await room.open(
        bus.consume(SMS_CONTENT, [ScreenCampaign], screener.handle, prefetch=settings.prefetch),
        f"consumer {SMS_CONTENT}",
    )
