"""Daraja over HTTP: its token, shared by all processes, and the three calls that need it.

A new token ends the one before, so processes share one through Redis; where Redis is away each has its own for a
while, and a call that is told that its token has ended gets one new try with a new one.
"""

import asyncio
import contextlib
import time
from collections.abc import Mapping
from typing import Any, Final

from pydantic_core import from_json, to_json

from sema_common.platform.cache import Cache
from sema_common.platform.http import Answer, Http, Sent, TransportError
from sema_common.platform.secrets import SecretBox
from sema_common.values.errors import CacheUnavailable, RetryLater
from sema_main_api.payments import metrics
from sema_main_api.payments.rules.daraja import EXPIRED_TOKEN

KEY: Final = "daraja:token"
LOCK: Final = "daraja:token:lock"

EARLY_SECONDS: Final = 60.0
"""A token is replaced before it ends."""

TOKEN_SECONDS: Final = 5.0
"""Longest wait for a token."""

LOCK_SECONDS: Final = TOKEN_SECONDS + 1
"""Whoever fetches a token is alone with it for so long at most."""

REST_SECONDS: Final = 1.0
"""After a failure nobody of this process asks for one for so long: those who wait fail together, not in turn."""

LOOK_SECONDS: Final = 0.1

READ_SECONDS: Final = 10.0
"""Longest wait for an answer that changes nothing; a push may take as long as the client does."""

PUSH: Final = "/mpesa/stkpush/v1/processrequest"
QUERY: Final = "/mpesa/stkpushquery/v1/query"
LIST: Final = "/pulltransactions/v1/query"


class Unreachable(RetryLater):
    """Daraja gave no usable answer. `sent`: it may have acted on the call all the same."""

    def __init__(self, detail: str, sent: bool) -> None:
        super().__init__(detail)
        self.sent = sent


class Tokens:
    """One OAuth token for all processes: in memory, in Redis (sealed), or fetched by one of them."""

    def __init__(self, http: Http, cache: Cache, box: SecretBox, authorization: str) -> None:
        self._http = http
        self._cache = cache
        self._box = box
        self._authorization = authorization
        self._token, self._until = "", 0.0
        self._rest_until = 0.0
        self._turn = asyncio.Lock()

    async def get(self, refused: str = "") -> str:
        """A token that is good for a while; `refused` is one that Daraja takes no more. Unreachable without one."""
        async with self._turn:
            if self._token and self._token != refused and time.time() < self._until:
                return self._token
            if time.monotonic() < self._rest_until:
                raise Unreachable("Daraja gave no token a moment ago", sent=False)
            deadline = time.monotonic() + LOCK_SECONDS
            while True:
                shared = await self._shared()
                if shared is not None and shared[0] != refused:
                    self._token, self._until = shared
                    return self._token
                if await self._is_mine() or time.monotonic() >= deadline:
                    return await self._fetch()
                await asyncio.sleep(LOOK_SECONDS)

    async def _shared(self) -> tuple[str, float] | None:
        with contextlib.suppress(CacheUnavailable, ValueError, TypeError, KeyError):
            sealed = await self._cache.get(KEY)
            if sealed is not None:
                kept = from_json(self._box.open(sealed.encode()))
                if time.time() < kept["until"]:
                    return str(kept["token"]), float(kept["until"])
        return None

    async def _is_mine(self) -> bool:
        """Whether this process is to fetch: it took the lock, or nobody can hold one."""
        try:
            return bool(
                await self._cache.call(lambda r: r.set(LOCK, "1", nx=True, px=int(LOCK_SECONDS * 1000)))
            )
        except CacheUnavailable:
            return True

    async def _fetch(self) -> str:
        try:
            return await self._fetch_one()
        except Unreachable:
            self._rest_until = time.monotonic() + REST_SECONDS
            raise
        finally:
            with contextlib.suppress(CacheUnavailable):
                await self._cache.delete(LOCK)

    async def _fetch_one(self) -> str:
        path = "/oauth/v1/generate?grant_type=client_credentials"
        try:
            headers = {"authorization": self._authorization}
            answer = await self._http.request("GET", path, headers=headers, total=TOKEN_SECONDS)
            body = answer.json() if answer.status == 200 else {}
            token, seconds = str(body["access_token"]), float(body["expires_in"])
        except TransportError as exc:
            metrics.CALLS.labels("token", exc.failure.value).inc()
            raise Unreachable(f"Daraja's token: {exc}", sent=False) from exc
        except (ValueError, TypeError, KeyError) as exc:
            metrics.CALLS.labels("token", f"http_{answer.status}").inc()
            raise Unreachable(f"Daraja gives no token: HTTP {answer.status}", sent=False) from exc
        metrics.CALLS.labels("token", "http_200").inc()
        life = max(seconds - EARLY_SECONDS, seconds / 2)
        self._token, self._until = token, time.time() + life
        with contextlib.suppress(CacheUnavailable):
            kept = self._box.seal(to_json({"token": token, "until": self._until}).decode()).decode()
            await self._cache.set(KEY, kept, max(life, 1.0))
        return token


class Daraja:
    """The calls; each answers status and body, or raises Unreachable."""

    def __init__(self, http: Http, tokens: Tokens) -> None:
        self._http = http
        self._tokens = tokens

    async def push(self, body: Mapping[str, Any]) -> Answer:
        """STK push. It has no idempotency: a call that may have arrived must not be repeated."""
        return await self._call("push", PUSH, body)

    async def query(self, body: Mapping[str, Any]) -> Answer:
        """What became of an STK push."""
        return await self._call("query", QUERY, body, READ_SECONDS)

    async def list(self, body: Mapping[str, Any]) -> Answer:
        """A page of the list of transactions (Pull Transactions)."""
        return await self._call("list", LIST, body, READ_SECONDS)

    async def _call(
        self, name: str, path: str, body: Mapping[str, Any], total: float | None = None
    ) -> Answer:
        """With one more try where the token was refused: that call was not looked at."""
        token = await self._tokens.get()
        answer = await self._once(name, path, body, token, total)
        if answer.status in (400, 401, 404) and _code(answer) in EXPIRED_TOKEN:
            answer = await self._once(name, path, body, await self._tokens.get(refused=token), total)
        return answer

    async def _once(
        self, name: str, path: str, body: Mapping[str, Any], token: str, total: float | None
    ) -> Answer:
        try:
            headers = {"authorization": f"Bearer {token}"}
            answer = await self._http.request("POST", path, json=dict(body), headers=headers, total=total)
        except TransportError as exc:
            metrics.CALLS.labels(name, exc.failure.value).inc()
            raise Unreachable(f"Daraja {name}: {exc}", exc.sent is Sent.MAYBE_SENT) from exc
        metrics.CALLS.labels(name, f"http_{answer.status}").inc()
        return answer


def _code(answer: Answer) -> str:
    try:
        found = answer.json()
    except ValueError:
        return ""
    return str(found.get("errorCode") or "") if isinstance(found, dict) else ""
