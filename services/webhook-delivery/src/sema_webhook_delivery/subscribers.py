"""Who subscribed: accounts with their endpoints and opened secrets, remembered for five seconds.

What must never happen here: a secret written anywhere, or a change of a customer's waiting longer than that.
"""

import time
from collections import OrderedDict
from collections.abc import Iterable
from datetime import datetime
from typing import Final
from uuid import UUID

from sema_common.platform.db import Database
from sema_common.platform.logs import get_logger
from sema_common.platform.secrets import SecretBox
from sema_common.values.clock import now
from sema_webhook_delivery import store
from sema_webhook_delivery.rules import Endpoint, Subscriber, signing_key

log = get_logger()

FRESH_SECONDS: Final = 5.0
REMEMBERED: Final = 5_000
"""Accounts, of 20 endpoints each at most."""


class Subscribers:
    """A cache in front of one set-based query."""

    def __init__(self, db: Database, secrets: SecretBox) -> None:
        self._db = db
        self._secrets = secrets
        self._known: OrderedDict[UUID, tuple[float, Subscriber]] = OrderedDict()

    def __len__(self) -> int:
        """Accounts in memory."""
        return len(self._known)

    async def of(self, account_ids: Iterable[UUID]) -> dict[UUID, Subscriber]:
        """The accounts that exist; all that are not fresh are read by one query."""
        wanted = set(account_ids)
        self._drop_stale(oldest := time.monotonic() - FRESH_SECONDS)
        found = {id_: kept[1] for id_ in wanted if (kept := self._known.get(id_)) and kept[0] > oldest}
        if missing := wanted - found.keys():
            asked_at = time.monotonic()
            for row in await store.read_subscribers(self._db, missing):
                found[row.account_id] = subscriber = self._opened(row, now())
                self._known[row.account_id] = (asked_at, subscriber)
                self._known.move_to_end(row.account_id)
            while len(self._known) > REMEMBERED:
                self._known.popitem(last=False)
        return found

    def _drop_stale(self, oldest: float) -> None:
        """Secrets stay no longer than they are of use. Kept in the order in which they were asked for."""
        while self._known and next(iter(self._known.values()))[0] <= oldest:
            self._known.popitem(last=False)

    def forget(self, account_id: UUID) -> None:
        """Something about this account has just changed."""
        self._known.pop(account_id, None)

    def _opened(self, row: store.SubscriberRow, at: datetime) -> Subscriber:
        return Subscriber(
            row.account_id,
            row.tenant_id,
            self._keys(row.account_id, row.secret),
            tuple(
                Endpoint(
                    each.id,
                    each.url,
                    frozenset(each.events),
                    self._keys(row.account_id, each.secret)
                    + (
                        self._keys(row.account_id, each.old_secret)
                        if each.old_secret is not None
                        and each.old_secret_until
                        and each.old_secret_until > at
                        else ()
                    ),
                    each.disabled_at is None,
                )
                for each in row.endpoints
            ),
        )

    def _keys(self, account_id: UUID, sealed: bytes) -> tuple[bytes, ...]:
        """One key, or none when the secret does not open: our fault, so its deliveries wait for us to mend it."""
        try:
            return (signing_key(self._secrets.open(sealed)),)
        except ValueError:
            log.error("signing_secret_unreadable", account_id=str(account_id))
            return ()
