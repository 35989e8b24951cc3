"""Redis: verdicts on templates that were judged within the last day. Losing it costs a judgement, nothing else."""

import json
from hashlib import sha256
from importlib.metadata import version
from typing import Final

from sema_common.platform.cache import Cache
from sema_common.values.errors import CacheUnavailable
from sema_content_checker import Reason, Verdict
from sema_content_worker import metrics

KEPT_SECONDS: Final = 86_400.0

_CHECKER: Final = version("sema-content-checker")


def cache_key(rules_version: str, template: str) -> str:
    """`content:{hash}` of the text and of all that its verdict depends on: the rules' version and the checker's."""
    told = f"{_CHECKER}\n{rules_version}\n{template}".encode(errors="surrogatepass")
    return f"content:{sha256(told).hexdigest()}"


class Verdicts:
    """Verdicts by text and version of the rules; without Redis it knows none."""

    def __init__(self, cache: Cache) -> None:
        self._cache = cache

    async def find(self, key: str) -> Verdict | None:
        """The verdict kept under the key; None also for what is not one."""
        try:
            kept = await self._cache.get(key)
        except CacheUnavailable:
            metrics.CACHE.labels("unavailable").inc()
            return None
        if kept is None:
            metrics.CACHE.labels("miss").inc()
            return None
        metrics.CACHE.labels("hit").inc()
        reasons = tuple(Reason(check, detail) for check, detail in json.loads(kept))
        return Verdict(not reasons, reasons)

    async def keep(self, key: str, verdict: Verdict) -> None:
        """Remember a verdict for a day."""
        told = json.dumps([[reason.check, reason.detail] for reason in verdict.reasons])
        try:
            await self._cache.set(key, told, KEPT_SECONDS)
        except CacheUnavailable:
            metrics.CACHE.labels("unavailable").inc()
