"""How the routes do, as the workers have it in Redis."""

import json
import time

from sema_common.messages.routes import GATES_KEY, WINDOW, WINDOW_SECONDS
from sema_common.platform.cache import Cache
from sema_common.platform.rolling import Rolling
from sema_common.values.errors import CacheUnavailable
from sema_main_api.admin.routing.rules import Health


async def read_health(cache: Cache) -> Health | None:
    """None while Redis is away: then each worker goes by itself, and nobody here knows how."""
    window = Rolling(cache, WINDOW, WINDOW_SECONDS)
    now = time.time()
    try:
        await window.read(now)
        board = await cache.call(lambda r: r.hgetall(GATES_KEY))
    except CacheUnavailable:
        return None
    return Health(window.total(now), {str(key): json.loads(gate) for key, gate in board.items()})
