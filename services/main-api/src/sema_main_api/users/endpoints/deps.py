"""What the people's endpoints need."""

import contextlib
import hashlib
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Final
from uuid import UUID

from sema_common.platform.db import Database, Tx
from sema_common.platform.mail import Mail, enqueue
from sema_common.platform.secrets import SecretBox
from sema_common.values.clock import now
from sema_common.values.errors import CacheUnavailable, Refused
from sema_main_api.http.attempts import Attempts, Bounds
from sema_main_api.http.auth import Authenticator
from sema_main_api.http.passwords import Passwords
from sema_main_api.http.tenants import TenantReads
from sema_main_api.users import store
from sema_main_api.users.store import Purpose

MAIL_BOUNDS: Final = Bounds(pair=5, pair_seconds=3600, address=30, address_seconds=3600, anywhere=True)
"""Mails that strangers may cause in an hour: to one mailbox, and one of them altogether."""

SLOW_DOWN: Final = "Too many requests about this address: wait, then try again."

CONFIRM_WITHIN: Final = timedelta(days=1)
RESET_WITHIN: Final = timedelta(hours=1)
JOIN_WITHIN: Final = timedelta(days=7)

OpenAccount = Callable[[Tx, str], Awaitable[tuple[UUID, UUID]]]
"""Opens an account of this name for somebody who registered; its id and its tenant's."""

EndSessions = Callable[[UUID, str | None], Awaitable[int]]
"""Ends a user's sessions, all but the one named."""


@dataclass(frozen=True, slots=True)
class Deps:
    """`web`: where the links in mails lead, without a slash at its end."""

    tenant: TenantReads
    pipeline: Database
    passwords: Passwords
    authenticator: Authenticator
    attempts: Attempts
    box: SecretBox
    open_account: OpenAccount
    end_sessions: EndSessions
    web: str
    trusted_proxies: int

    async def owe(self, tx: Tx, mail: Mail) -> None:
        """Write a mail down, in the transaction of what it tells."""
        await enqueue(tx, self.box, mail)

    async def hash_for(self, hashed: bytes, purpose: Purpose, password: str) -> str:
        """The new password's hash for whoever shows a link; Refused before it is made for a link that does not work."""
        async with self.pipeline.transaction() as tx:
            if not await store.link_works(tx, hashed, purpose, now()):
                raise stale()
        return await self.passwords.hash(password)

    async def end_late_sessions(self, user_id: UUID, but: str | None) -> None:
        """After a new password was committed: end what a log-in with the old one has opened meanwhile."""
        with contextlib.suppress(CacheUnavailable):
            await self.end_sessions(user_id, but)
        self.authenticator.forget(user_id)


def new_token() -> tuple[str, bytes]:
    """A link's token, 256 random bits, and the hash that is kept of it."""
    token = secrets.token_urlsafe(32)
    return token, token_hash(token)


def token_hash(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def stale() -> Refused:
    """One answer for every link that does not work."""
    return Refused(
        "invalid_token", "This link is not valid, was used, or is too old: ask for a new one.", 422
    )
