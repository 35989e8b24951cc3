"""Composition root: Postgres, the broker, the handler on its queue. Nothing is decided here."""

from sema_common.platform import dead_letters
from sema_common.platform.bus import Bus
from sema_common.platform.db import Database
from sema_common.platform.runtime import Room
from sema_common.wire.contacts import ValidateContacts
from sema_phone_validator import store
from sema_phone_validator.handlers import Validator
from sema_phone_validator.settings import Settings

QUEUE = "contacts.validate"


async def open_room(room: Room, settings: Settings) -> None:
    """Closed in reverse: the consumers finish their turn, then broker and pool go."""
    # One connection for each job in its turn, one each for the registry, the dead letters and the checks.
    db = await room.open(
        Database.open(settings.database_url, name="pipeline", max_size=settings.prefetch + 3)
    )
    bus = await room.open(Bus.open(settings.amqp_url, name="phone-validator"))
    room.ready_when("postgres", db.check_writable)
    room.ready_when("schema", lambda: db.check_schema(store.SCHEMA_REVISION))
    room.ready_when("broker", bus.check)
    validator = Validator(db, bus)
    await room.open(dead_letters.drain(bus, db, QUEUE), "dead letters")
    await room.open(
        bus.consume(QUEUE, [ValidateContacts], validator.validate, prefetch=settings.prefetch),
        f"consumer {QUEUE}",
    )
