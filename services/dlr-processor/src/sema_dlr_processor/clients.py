"""What networks report, counted for whoever chooses routes: told through Redis, and no loss when it is away."""

import contextlib
import time
from collections import Counter
from collections.abc import Iterable
from typing import Final

from sema_common.messages.routes import WINDOW, WINDOW_SECONDS
from sema_common.messages.store.rows import MessageRow
from sema_common.platform.cache import Cache
from sema_common.platform.rolling import Rolling
from sema_common.values.errors import CacheUnavailable
from sema_dlr_processor.rules import delivery_counts

TELL_SECONDS: Final = 0.5


class Deliveries:
    """Counts in memory after each commit; a loop tells them, so that no batch waits for Redis."""

    def __init__(self, cache: Cache) -> None:
        self._window = Rolling(cache, WINDOW, WINDOW_SECONDS)
        self._counts: Counter[str] = Counter()

    def note(self, moved: Iterable[MessageRow]) -> None:
        """Count messages that a report has just brought to their end."""
        for row in moved:
            self._counts.update(delivery_counts(row))

    async def tell(self) -> None:
        """Add what was counted to the shared window."""
        counts, self._counts = self._counts, Counter()
        with contextlib.suppress(CacheUnavailable):
            await self._window.add(counts, time.time())
