"""The composition root: what the room opens, in which order; it closes in reverse."""

from typing import Final

from sema_common.platform import dead_letters
from sema_common.platform.bus import Bus
from sema_common.platform.db import Database
from sema_common.platform.runtime import Room
from sema_common.platform.secrets import SecretBox
from sema_common.wire.queues import WEBHOOKS_OUTBOUND
from sema_webhook_delivery.clients import WebhookClient
from sema_webhook_delivery.dispatch import Dispatcher, Task
from sema_webhook_delivery.handlers import MESSAGES, Outbound
from sema_webhook_delivery.loops import CLAIM_EVERY, MEASURE_EVERY, PURGE_EVERY, Loops
from sema_webhook_delivery.settings import Settings
from sema_webhook_delivery.subscribers import Subscribers
from sema_webhook_delivery.turns import Turns

SCHEMA_REVISION: Final = "0007"


async def open_room(room: Room, settings: Settings) -> None:
    """Stores, then the hands, then the doors: whatever comes in finds everything open."""
    db = await room.open(
        Database.open(settings.database_url, name="webhook-delivery", max_size=settings.database_pool_size)
    )
    bus = await room.open(Bus.open(settings.amqp_url, name="webhook-delivery"))
    room.ready_when("postgres", db.check_writable)
    room.ready_when("schema", lambda: db.check_schema(SCHEMA_REVISION))
    room.ready_when("broker", bus.check)
    client = await room.open(WebhookClient.open(allow_loopback=settings.webhooks_allow_loopback))
    subscribers = Subscribers(db, SecretBox(settings.secrets_keys))
    turns: Turns[Task] = Turns(
        slots=settings.max_in_flight,
        window=settings.max_in_flight_per_target,
        max_waiting=settings.max_waiting,
        scale=settings.retry_scale,
    )
    dispatcher = await room.open(Dispatcher(db, client, subscribers, turns, scale=settings.retry_scale))

    loops = Loops(db, subscribers, dispatcher)
    await room.every("claim_due", CLAIM_EVERY, loops.claim_due)
    await room.every("purge", PURGE_EVERY, loops.purge)
    await room.every("measure", MEASURE_EVERY, loops.measure)
    await room.open(dead_letters.drain(bus, db, WEBHOOKS_OUTBOUND), "dead letters")
    await room.open(
        bus.consume_batches(
            WEBHOOKS_OUTBOUND,
            MESSAGES,
            Outbound(db, subscribers, dispatcher).handle,
            prefetch=settings.prefetch,
            max_items=settings.batch_facts,
            batches=settings.batches,
        )
    )
