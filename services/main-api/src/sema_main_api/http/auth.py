"""Who is calling: a bearer token becomes a `Caller` (an account's key or user) or a member of `Staff`.

Answers are kept in this process for a few seconds, counted from the moment of the question, so that the hot path
asks a dict and nobody else. A revoked key and a disabled user are therefore out within POSITIVE_SECONDS everywhere,
and at once in the process that revoked them.

What must never happen here: a token in a log line, a query for a token that cannot be one.
"""

import asyncio
import hashlib
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final
from uuid import UUID

from sema_common.platform.db import Database
from sema_common.platform.logs import get_logger
from sema_common.values.clock import now
from sema_common.values.errors import Refused, RetryLater, SemaError
from sema_common.values.ids import parse_api_key
from sema_main_api import metrics
from sema_main_api.http import store
from sema_main_api.http.callers import Caller, Principal, Staff

__all__ = ["Authenticator", "Caller", "Principal", "Staff", "Verified", "VerifyToken", "unauthenticated"]

POSITIVE_SECONDS: Final = 5.0
NEGATIVE_SECONDS: Final = 1.0
MAX_KNOWN: Final = 10_000
MAX_TOKEN_LENGTH: Final = 4096

log = get_logger()


@dataclass(frozen=True, slots=True)
class Verified:
    """What an access token says: whose it is, and to which session it belongs."""

    user_id: UUID
    session_id: str


VerifyToken = Callable[[str], Verified]
"""Reads an access token, or Refused(401). Bound to the signing keys by the composition root."""

IsOpen = Callable[[UUID, str], Awaitable[bool]]
"""Whether this session of this user has not ended."""


def unauthenticated() -> Refused:
    """One answer for every token that does not work: nothing tells why."""
    return Refused(
        "unauthenticated", "A valid API key or access token is needed in the Authorization header.", 401
    )


@dataclass(slots=True)
class _Known:
    principal: Principal | None
    until: float
    ends: datetime | None = None


class Authenticator:
    """Turns `Authorization` headers into principals. One per process."""

    def __init__(self, db: Database, verify_token: VerifyToken, is_open: IsOpen) -> None:
        self._db = db
        self._verify_token = verify_token
        self._is_open = is_open
        self._known: dict[bytes, _Known] = {}
        self._asking: dict[bytes, asyncio.Task[_Known]] = {}
        self._used: dict[UUID, datetime] = {}

    def known(self, header: bytes | None) -> Principal | None:
        """The principal of a header seen a moment ago, without waiting; None: ask `find`."""
        if header is None:
            raise unauthenticated()
        entry = self._known.get(hashlib.sha256(header).digest())
        if entry is None or entry.until < time.monotonic():
            return None
        return _principal(entry)

    async def find(self, header: bytes) -> Principal:
        """The principal of a header, from the store; Refused(401), or RetryLater when the store is away.

        Callers with the same token share one query.
        """
        token = _bearer(header)
        digest = hashlib.sha256(header).digest()
        asking = self._asking.get(digest)
        if asking is None:
            asking = asyncio.create_task(self._ask(token))
            self._asking[digest] = asking
            asking.add_done_callback(lambda task: self._learn(digest, task))
        return _principal(await asyncio.shield(asking))

    def forget(self, changed_id: UUID) -> None:
        """Drop what is kept about a key, a user or a whole account: it was changed here just now."""
        for digest, entry in list(self._known.items()):
            who = entry.principal
            if who is not None and changed_id in (who.user_id, *_of_account(who)):
                del self._known[digest]

    async def write_last_used(self) -> None:
        """Write down when keys were last seen; a loop calls this, and what fails is written the next time."""
        used, self._used = self._used, {}
        if not used:
            return
        try:
            async with self._db.transaction() as tx:
                await store.touch_keys(tx, used)
        except RetryLater:
            self._used = used | self._used
            raise

    async def _ask(self, token: str) -> _Known:
        asked = time.monotonic()
        if token.startswith("sema_"):
            return await self._ask_key(token, asked)
        try:
            verified = self._verify_token(token)
        except Refused:
            return _kept(None, asked)
        if not await self._is_open(verified.user_id, verified.session_id):
            return _kept(None, asked)
        async with self._db.transaction() as tx:
            found = await store.find_user(tx, verified.user_id)
        if found is not None:
            found = replace(found, session_id=verified.session_id)
        metrics.AUTH_LOOKUPS.labels("user", "found" if found else "unknown").inc()
        return _kept(found, asked)

    async def _ask_key(self, token: str, asked: float) -> _Known:
        async with self._db.transaction() as tx:
            key = await store.find_key(tx, hashlib.sha256(token.encode()).digest())
        metrics.AUTH_LOOKUPS.labels("key", "found" if key else "unknown").inc()
        if key is None:
            return _kept(None, asked)
        assert key.caller.key_id is not None
        self._used[key.caller.key_id] = now()
        return _kept(key.caller, asked, key.expires_at)

    def _learn(self, digest: bytes, task: "asyncio.Task[_Known]") -> None:
        del self._asking[digest]
        if task.cancelled() or (failure := task.exception()) is not None:
            if not task.cancelled() and not isinstance(failure, SemaError):
                log.error("authentication_failed", exc_info=failure)
            return
        if len(self._known) >= MAX_KNOWN:
            self._make_room()
        self._known[digest] = task.result()

    def _make_room(self) -> None:
        """Drop what is stale, and if nothing is, the oldest tenth: a flood of bad keys must not grow us."""
        moment = time.monotonic()
        for digest in [digest for digest, entry in self._known.items() if entry.until < moment]:
            del self._known[digest]
        if len(self._known) >= MAX_KNOWN:
            for digest in list(self._known)[: MAX_KNOWN // 10]:
                del self._known[digest]


def _of_account(who: Principal) -> tuple[UUID | None, ...]:
    """What a caller stands on besides himself: his key, his account, who pays for it."""
    return (who.key_id, who.account_id, who.billing_account_id) if isinstance(who, Caller) else ()


def _kept(principal: Principal | None, asked: float, ends: datetime | None = None) -> _Known:
    """An answer to a question of that moment: what changed after it, the answer may not know."""
    seconds = POSITIVE_SECONDS if principal is not None else NEGATIVE_SECONDS
    return _Known(principal, asked + seconds, ends)


def _principal(entry: _Known) -> Principal:
    if entry.principal is None or (entry.ends is not None and entry.ends <= now()):
        raise unauthenticated()
    return entry.principal


def _bearer(header: bytes) -> str:
    """The token of a header; one that cannot be ours is refused before anybody is asked."""
    scheme, _, rest = header.partition(b" ")
    token = rest.strip()
    if scheme.lower() != b"bearer" or not token or len(token) > MAX_TOKEN_LENGTH or not token.isascii():
        raise unauthenticated()
    text = token.decode("ascii")
    if text.startswith("sema_"):
        if parse_api_key(text) is None:
            raise unauthenticated()
    elif text.count(".") != 2:
        raise unauthenticated()
    return text
