"""Passwords: Argon2id in a few threads of its own, so that hashing never holds the event loop or all cores."""

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Final, TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from sema_common.values.errors import Overloaded

MAX_LENGTH: Final = 128
"""Characters; a longer one is refused before anything is hashed."""

CONCURRENT: Final = 2
"""26 ms of a core each: half of a small machine at most."""

MAX_WAITING: Final = 40
"""About half a second of hashing; whoever comes then is told to come back."""

# OWASP's recommendation for Argon2id: 19 MiB, two passes, one lane.
_HASHER: Final = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)

T = TypeVar("T")


class Passwords:
    """Hashes and verifies. `verify` takes as long for an unknown user as for a known one."""

    def __init__(self, executor: ThreadPoolExecutor) -> None:
        self._executor = executor
        self._waiting = 0
        self._nobody = hash_password("no password of anybody")

    @classmethod
    @asynccontextmanager
    async def open(cls) -> "AsyncIterator[Passwords]":
        executor = ThreadPoolExecutor(CONCURRENT, thread_name_prefix="argon2")
        try:
            yield cls(executor)
        finally:
            executor.shutdown(wait=True, cancel_futures=True)

    async def verify(self, password_hash: str | None, password: str) -> bool:
        """Whether the password fits; never for an unknown user (None), at the same cost. Overloaded when too many."""
        fits = await self._run(lambda: _fits(password_hash or self._nobody, password))
        return fits and password_hash is not None

    async def rehash(self, password_hash: str, password: str) -> str | None:
        """A new hash, where the old one was made with weaker parameters than today's; else None."""
        if not _HASHER.check_needs_rehash(password_hash):
            return None
        return await self._run(lambda: hash_password(password))

    async def _run(self, work: Callable[[], T]) -> T:
        if self._waiting >= MAX_WAITING:
            raise Overloaded("too many logins at once", after=1.0)
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._executor, work)
        finally:
            self._waiting -= 1


def hash_password(password: str) -> str:
    """The form that is stored, with its parameters and salt in it. Some 26 ms."""
    return _HASHER.hash(password)


def _fits(password_hash: str, password: str) -> bool:
    try:
        return _HASHER.verify(password_hash, password)
    except (VerificationError, InvalidHashError):
        return False
