"""What it costs to know a key again. `python -m tests.bench.keys` needs no stack."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from ipaddress import IPv4Network, ip_network
from typing import Any, Final, cast
from unittest.mock import patch
from uuid import uuid4

from sema_common.platform.db import Database
from sema_common.values.ids import api_key, hash_api_key
from sema_main_api.http import auth
from sema_main_api.http.auth import Authenticator, Caller, Verified, unauthenticated
from sema_main_api.http.rules import is_from
from tests.bench.figures import Figure, show
from tests.bench.stack import BenchStack

KEYS: Final = 5_000
CALLS: Final = 100_000
ROUNDS: Final = 5
MICROSECONDS: Final = 50
NETWORKS: Final = [cast(IPv4Network, ip_network(f"203.0.{number}.0/24")) for number in range(20)]


class Rows:
    """A database that knows these keys; the benchmark is about not asking it."""

    def __init__(self, keys: Sequence[str]) -> None:
        self._rows = {hash_api_key(key): self._row() for key in keys}

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Rows]:
        yield self

    async def fetchrow(self, _: str, key_hash: bytes) -> dict[str, Any] | None:
        return self._rows.get(key_hash)

    @staticmethod
    def _row() -> dict[str, Any]:
        account = uuid4()
        known = {
            "mode": "live",
            "scopes": ["messages:write"],
            "expires_at": None,
            "allowed_networks": NETWORKS,
        }
        owner = dict.fromkeys(("account_id", "tenant_id", "billing_account_id"), account)
        product = {"tier": "growth", "currency": "KES", "status": "active", "type": "direct"}
        rates = dict.fromkeys(("key_per_second", "rate_per_second", "rate_burst", "priority_per_second"))
        guards = dict.fromkeys(("recipient_per_10_minutes", "prefix_per_10_minutes", "spend_per_hour"))
        return {"id": uuid4(), **known, **owner, **product, **rates, **guards}


def microseconds(call: Callable[[bytes], object], headers: Sequence[bytes]) -> float:
    """CPU of this thread a call, the headers in turn; the best of some rounds."""
    best = float("inf")
    for _ in range(ROUNDS):
        started = time.thread_time()
        for number in range(CALLS):
            call(headers[number % len(headers)])
        best = min(best, time.thread_time() - started)
    return best / CALLS * 1e6


async def known(stack: BenchStack | None = None) -> AsyncIterator[Figure]:
    """A cached key, and one with networks; beside the SHA-256 of the header, which nothing can be cheaper than."""

    def no_token(_: str) -> Verified:
        raise unauthenticated()

    async def never_open(*_: object) -> bool:
        return False

    keys = [api_key("live").text for _ in range(KEYS)]
    headers = [f"Bearer {key}".encode() for key in keys]
    authenticator = Authenticator(cast(Database, Rows(keys)), no_token, never_open)
    digests = {hashlib.sha256(header).digest(): header for header in headers}
    baseline = microseconds(lambda header: digests.get(hashlib.sha256(header).digest()), headers)

    async def learn() -> None:
        for header in headers:
            await authenticator.find(header)

    def bound(header: bytes) -> bool:
        return is_from("203.0.19.7", cast(Caller, authenticator.known(header)).networks)

    with patch.object(auth, "POSITIVE_SECONDS", 3600.0):  # measuring takes longer than a key stays known
        await learn()
    plain = microseconds(authenticator.known, headers)
    placed = microseconds(bound, headers)
    beside = ("SHA-256 and a dict", baseline)
    note = f"of {KEYS:,} keys in memory"
    yield Figure("authentication of a cached key", plain, "µs", MICROSECONDS, True, *beside, note)
    yield Figure("  bound to 20 networks, the last fits", placed, "µs", MICROSECONDS, True, *beside, note)


async def _alone() -> None:
    show([figure async for figure in known()])


if __name__ == "__main__":
    asyncio.run(_alone())
