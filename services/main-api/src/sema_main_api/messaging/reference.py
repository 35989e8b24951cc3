"""What the rules decide by, kept fresh in memory: nothing on the hot path asks Postgres for it.

A change of prices or networks, or of a monthly volume that a price depends on, is seen within `REFRESH_SECONDS`, of
content rules within `CONTENT_SECONDS`, of a sender ID within `SENDER_SECONDS`. When Postgres is away the last known
state stays in force: accepting would fail anyway.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Final, TypeVar
from uuid import UUID

from sema_aggregators.port import Capabilities
from sema_common.billing.rates import load_prices, rates_version
from sema_common.platform.db import Database
from sema_common.platform.logs import get_logger
from sema_common.values.errors import StoreUnavailable
from sema_common.values.networks import MnoTable
from sema_content_checker import Judge, Rule, RuleSet
from sema_main_api.http.senders import Approved
from sema_main_api.messaging import metrics, store
from sema_main_api.messaging.rules.admission import Reference

log = get_logger()

T = TypeVar("T")

REFRESH_SECONDS: Final = 5.0
CONTENT_SECONDS: Final = 1.0
SENDER_SECONDS: Final = 10.0
"""A revoked sender works at most this much longer; the contract allows 30 s."""

UNKNOWN_SENDER_SECONDS: Final = 1.0
"""A sender that is not known is looked up again at most once a second: it may have been approved just now."""

MAX_ACCOUNTS: Final = 10_000


def _judge(version: int, rules: list[Rule]) -> Judge:
    return Judge(RuleSet(str(version), rules))


class ReferenceData:
    """Holds the current `Reference`; `refresh` is run by a loop."""

    def __init__(
        self, db: Database, live_routes: Sequence[Capabilities], test_routes: Sequence[Capabilities]
    ) -> None:
        self._db = db
        self._live_routes = live_routes
        self._test_routes = test_routes
        self._version: object = None
        self._content_version: int | None = None
        self._content: Judge | None = None
        self._current: Reference | None = None
        self._senders: dict[UUID, tuple[float, Approved]] = {}

    @property
    def current(self) -> Reference:
        """What is in force; StoreUnavailable before it was first read."""
        if self._current is None:
            raise StoreUnavailable("prices and rules have not been read yet")
        return self._current

    async def check(self) -> None:
        """For readiness: nothing can be accepted before prices and rules were read."""
        _ = self.current

    async def refresh(self) -> None:
        """Read again what changed; building the tables takes some ms, so it happens off the event loop.

        A registry or a rule that cannot be built leaves the last good one in force, and says so: prices must
        not freeze because of a bad rule. Without a last good one nothing is accepted.
        """
        async with self._db.transaction() as tx:
            senders = await store.sender_rules(tx)
            version = await rates_version(tx), await store.networks_version(tx), senders
            if version == self._version:
                return
            prices = await load_prices(tx)
            rows = await store.networks(tx)
        last = self._current
        networks = await self._build("networks", last.networks if last else None, partial(MnoTable, rows))
        if self._content is None:
            await self.refresh_content()
        assert self._content is not None
        self._current = Reference(
            prices, networks, self._content, self._live_routes, self._test_routes, senders
        )
        self._version = version
        log.info("reference_refreshed", networks=len(rows))

    async def refresh_content(self) -> None:
        """Read the content rules again if they changed: one row says so."""
        async with self._db.transaction() as tx:
            if await store.content_version(tx) == self._content_version:
                return
            version, rules = await store.content_rules(tx)
        self._content = await self._build("content", self._content, partial(_judge, version, rules))
        self._content_version = version
        metrics.CONTENT_VERSION.set(int(self._content.ruleset.version))
        if self._current is not None:
            self._current = replace(self._current, content=self._content)
        log.info("content_rules_refreshed", version=version, rules=len(rules))

    @staticmethod
    async def _build(what: str, last_good: T | None, build: Callable[[], T]) -> T:
        try:
            built = await asyncio.to_thread(build)
        except ValueError as exc:
            metrics.REFERENCE_BROKEN.labels(what).set(1)
            log.error("reference_broken", what=what, detail=str(exc))
            if last_good is None:
                raise StoreUnavailable(f"the {what} cannot be read") from exc
            return last_good
        metrics.REFERENCE_BROKEN.labels(what).set(0)
        return built

    async def senders(self, account_id: UUID, wanted: str) -> Approved:
        """The approved sender IDs of an account with their countries, at most `SENDER_SECONDS` old."""
        known = self._senders.get(account_id)
        if known is not None:
            age = time.monotonic() - known[0]
            if age < (SENDER_SECONDS if wanted in known[1] else UNKNOWN_SENDER_SECONDS):
                return known[1]
        async with self._db.transaction() as tx:
            senders = await store.approved_senders(tx, account_id)
        if len(self._senders) >= MAX_ACCOUNTS:
            self._senders.clear()
        self._senders[account_id] = (time.monotonic(), senders)
        return senders
