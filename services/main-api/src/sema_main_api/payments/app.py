"""Binds payments to Daraja and starts their loops. Without Daraja's settings top-ups are read, and none are made."""

import base64
from datetime import timedelta
from typing import Final

from sema_common.platform.cache import Cache
from sema_common.platform.db import Database
from sema_common.platform.http import Http, Timeouts
from sema_common.platform.runtime import Room
from sema_common.platform.secrets import SecretBox
from sema_main_api.http.routing import Operation, Route, bind
from sema_main_api.http.tenants import TenantReads
from sema_main_api.payments import callbacks, endpoints, loops
from sema_main_api.payments.clients import Daraja, Tokens
from sema_main_api.payments.pushing import Pace, Pushing
from sema_main_api.payments.rules import top_ups as rules
from sema_main_api.payments.rules.daraja import Business
from sema_main_api.settings import DarajaSettings

TIMEOUTS: Final = Timeouts(connect=3.0, read=20.0, total=25.0)
"""Daraja takes its time; a push that is given up is in doubt, so it is given up late."""

MAX_BODY: Final = 2 << 20
"""Of a page of the list."""

OPERATIONS: Final[tuple[Operation, ...]] = (*endpoints.OPERATIONS, *callbacks.OPERATIONS)


async def open_payments(
    room: Room,
    settings: DarajaSettings | None,
    tenant: TenantReads,
    pipeline: Database,
    cache: Cache,
    box: SecretBox,
    trusted_proxies: int,
) -> list[Route]:
    """All routes of payments."""
    if settings is None:
        return [
            *bind(endpoints.OPERATIONS, endpoints.Deps(tenant, pipeline)),
            *bind(callbacks.OPERATIONS, callbacks.Deps(pipeline)),
        ]
    http = await room.open(Http.open(settings.base_url, timeouts=TIMEOUTS, max_body=MAX_BODY))
    credentials = f"{settings.consumer_key}:{settings.consumer_secret}".encode()
    authorization = "Basic " + base64.b64encode(credentials).decode()
    business = Business(settings.short_code, settings.pass_key)

    def callback_url(token: str) -> str:
        return f"{settings.public_url}/v1/callbacks/payments/{token}"

    pace = Pace(timedelta(seconds=settings.query_seconds), timedelta(seconds=settings.list_seconds))
    daraja = Daraja(http, Tokens(http, cache, box, authorization))
    pushes = Pushing(pipeline, daraja, business, callback_url, pace)
    await room.open(pushes.running(), "pushes")
    periodic = loops.Loops(pipeline, daraja, business, pace)
    look = settings.query_seconds / rules.PUSH_RETRIES
    push = await room.every("payments_push", look, pushes.run)
    ask = await room.every("payments_ask", look, periodic.ask)
    read = await room.every("payments_list", settings.list_seconds / 2, periodic.read_list)
    await room.every("payments_reconcile", settings.list_seconds, periodic.reconcile)
    await room.every("payments_watch", loops.WATCH_SECONDS, periodic.watch)
    await room.every("payments_purge", loops.PURGE_SECONDS, periodic.purge)
    door = callbacks.Door(business, settings.tokens, settings.networks, trusted_proxies, ask.wake, read.wake)
    return [
        *bind(endpoints.OPERATIONS, endpoints.Deps(tenant, pipeline, settings.short_code, push.wake)),
        *bind(callbacks.OPERATIONS, callbacks.Deps(pipeline, door)),
    ]
