"""Binds every subject's operations to what the subject needs, and starts its loops. Nothing is decided here."""

from typing import Final

from sema_common.platform.bus import Bus
from sema_common.platform.cache import Cache
from sema_common.platform.db import Database
from sema_common.platform.runtime import Room
from sema_main_api.admin.accounting import endpoints as accounting
from sema_main_api.admin.accounts import endpoints as accounts
from sema_main_api.admin.audit import endpoints as audit
from sema_main_api.admin.content_rules import endpoints as content_rules
from sema_main_api.admin.credit import endpoints as credit
from sema_main_api.admin.dead_letters import endpoints as dead_letters
from sema_main_api.admin.dead_letters import loops as dead_letter_loops
from sema_main_api.admin.dead_letters.telling import Telling
from sema_main_api.admin.invoices import endpoints as invoices
from sema_main_api.admin.networks import endpoints as networks
from sema_main_api.admin.payments import endpoints as payments
from sema_main_api.admin.pricing import endpoints as pricing
from sema_main_api.admin.quarantine import endpoints as quarantine
from sema_main_api.admin.quarantine import loops as quarantine_loops
from sema_main_api.admin.quarantine.telling import Telling as Rereading
from sema_main_api.admin.routing import endpoints as routing
from sema_main_api.admin.senders import endpoints as senders
from sema_main_api.http.auth import Authenticator
from sema_main_api.http.routing import Operation, Route, bind

# In the order in which the documentation shows them.
OPERATIONS: Final[tuple[Operation, ...]] = (
    *accounts.OPERATIONS,
    *credit.OPERATIONS,
    *pricing.OPERATIONS,
    *senders.OPERATIONS,
    *content_rules.OPERATIONS,
    *networks.OPERATIONS,
    *dead_letters.OPERATIONS,
    *quarantine.OPERATIONS,
    *routing.OPERATIONS,
    *invoices.OPERATIONS,
    *payments.OPERATIONS,
    *accounting.OPERATIONS,
    *audit.OPERATIONS,
)


async def open_admin(
    room: Room,
    pipeline: Database,
    bus: Bus,
    cache: Cache,
    authenticator: Authenticator,
    render: invoices.Render,
) -> list[Route]:
    """All routes of staff. They see every tenant, so they read and write through the pipeline pool."""
    return [
        *bind(accounts.OPERATIONS, accounts.Deps(pipeline, authenticator)),
        *bind(credit.OPERATIONS, credit.Deps(pipeline)),
        *bind(pricing.OPERATIONS, pricing.Deps(pipeline)),
        *bind(senders.OPERATIONS, senders.Deps(pipeline)),
        *bind(content_rules.OPERATIONS, content_rules.Deps(pipeline)),
        *bind(routing.OPERATIONS, routing.Deps(pipeline, cache)),
        *bind(payments.OPERATIONS, payments.Deps(pipeline)),
        *bind(accounting.OPERATIONS, accounting.Deps(pipeline)),
        *bind(networks.OPERATIONS, networks.Deps(pipeline)),
        *bind(dead_letters.OPERATIONS, await _open_dead_letters(room, pipeline, bus)),
        *bind(quarantine.OPERATIONS, await _open_quarantine(room, pipeline, bus)),
        *bind(invoices.OPERATIONS, invoices.Deps(pipeline, render)),
        *bind(audit.OPERATIONS, audit.Deps(pipeline)),
    ]


async def _open_dead_letters(room: Room, pipeline: Database, bus: Bus) -> dead_letters.Deps:
    telling = Telling(pipeline, bus)
    loops = dead_letter_loops.Loops(pipeline, telling)
    await room.every("dead_letters_tell", dead_letter_loops.TELL_SECONDS, loops.tell)
    await room.every("dead_letters_watch", dead_letter_loops.WATCH_SECONDS, loops.watch)
    await room.every("dead_letters_purge", dead_letter_loops.PURGE_SECONDS, loops.purge)
    return dead_letters.Deps(pipeline, telling)


async def _open_quarantine(room: Room, pipeline: Database, bus: Bus) -> quarantine.Deps:
    rereading = Rereading(pipeline, bus)
    loops = quarantine_loops.Loops(pipeline, rereading)
    await room.every("quarantine_watch", quarantine_loops.WATCH_SECONDS, loops.watch)
    await room.every("quarantine_purge", quarantine_loops.PURGE_SECONDS, loops.purge)
    return quarantine.Deps(pipeline, rereading)
