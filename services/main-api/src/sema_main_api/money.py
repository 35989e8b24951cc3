"""Composition of what keeps the books: balances, statements, alarms, invoices."""

from sema_common.platform.bus import Bus
from sema_common.platform.db import Database
from sema_common.platform.runtime import Room
from sema_common.platform.secrets import SecretBox
from sema_main_api.billing import alarms, loops, statements
from sema_main_api.billing import endpoints as billing
from sema_main_api.http.routing import Route, bind
from sema_main_api.http.tenants import TenantReads
from sema_main_api.invoices import loops as invoice_loops
from sema_main_api.invoices.dunning import Reminders
from sema_main_api.invoices.rendering import Renderer
from sema_main_api.invoices.running import Runs
from sema_main_api.settings import Settings


async def open_billing(
    room: Room, pipeline: Database, tenant: TenantReads, bus: Bus, box: SecretBox, web: str
) -> list[Route]:
    """The ledger, the loops that add it up, and the alarm of low balances."""
    periodic = loops.Loops(pipeline)
    await room.every("accounting", loops.ADD_UP_SECONDS, periodic.add_up)
    await room.every("accounting_check", loops.CHECK_SECONDS, periodic.check)
    await room.every("balance_low", alarms.LOW_SECONDS, alarms.Alarms(pipeline, bus, box, web))
    operations = (*billing.OPERATIONS, *alarms.OPERATIONS, *statements.OPERATIONS)
    return bind(operations, billing.Deps(tenant, pipeline))


async def open_invoices(room: Room, settings: Settings, pipeline: Database, box: SecretBox) -> Renderer:
    """The monthly run, reminders, and what prints invoices."""
    terms, web = settings.invoice_terms, settings.web_app_url.rstrip("/")
    monthly = invoice_loops.MonthlyRun(pipeline, Runs(pipeline, box, terms, web))
    reminders = Reminders(pipeline, box, terms.dunning, web)
    await room.every("invoices", invoice_loops.RUN_SECONDS, monthly)
    await room.every("dunning", invoice_loops.DUNNING_SECONDS, reminders.advance)
    await room.every("watch_invoices", invoice_loops.WATCH_SECONDS, reminders.watch)
    return await room.open(Renderer.open())
