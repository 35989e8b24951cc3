"""Composition root: Postgres, the broker, the handler on its queue. Nothing is decided here."""

from typing import Final

from sema_common.platform import dead_letters
from sema_common.platform.bus import Bus
from sema_common.platform.db import Database
from sema_common.platform.runtime import Room
from sema_common.wire.contacts import ValidateContacts
from sema_common.wire.queues import CONTACTS_VALIDATE
from sema_phone_validator.handlers import Validator
from sema_phone_validator.settings import Settings

SCHEMA_REVISION: Final = "0012"


async def open_room(room: Room, settings: Settings) -> None:
    """Closed in reverse: the consumers finish their turn, then broker and pool go."""
    # One connection for each job in its turn, one each for the registry, the dead letters and the checks.
    db = await room.open(
        Database.open(settings.database_url, name="phone-validator", max_size=settings.prefetch + 3)
    )
    bus = await room.open(Bus.open(settings.amqp_url, name="phone-validator"))
    room.ready_when("postgres", db.check_writable)
    room.ready_when("schema", lambda: db.check_schema(SCHEMA_REVISION))
    room.ready_when("broker", bus.check)
    validator = Validator(db, bus)
    await room.open(dead_letters.drain(bus, db, CONTACTS_VALIDATE), "dead letters")
    await room.open(
        bus.consume(CONTACTS_VALIDATE, [ValidateContacts], validator.handle, prefetch=settings.prefetch),
        f"consumer {CONTACTS_VALIDATE}",
    )
