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

MIN_LENGTH: Final = 10

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
        """Whether the password fits; never without one (an unknown user, an invited one), at the same cost.

        Overloaded when too many.
        """
        fits = await self._run(lambda: _fits(password_hash or self._nobody, password))
        return fits and bool(password_hash)

    async def hash(self, password: str) -> str:
        """The form that is stored. Overloaded when too many."""
        return await self._run(lambda: hash_password(password))

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


MIN_DISTINCT: Final = 5
_RUNS: Final = (
    "0123456789" * 3,
    "abcdefghijklmnopqrstuvwxyz",
    "qwertyuiopasdfghjklzxcvbnm",
    "1qaz2wsx3edc4rfv5tgb6yhn",
    "qazwsxedcrfvtgbyhn",
    "1q2w3e4r5t6y7u8i9o0p",
)
_LEET: Final = str.maketrans("013457@$!", "oleastasi")
_WORDS: Final = """
password passwort passw motdepasse nenosiri contrasena senha welcome karibu letmein iloveyou nakupenda qwerty azerty
admin administrator changeme default secret sunshine princess football baseball basketball superman batman starwars
dragon monkey master shadow michael jennifer jordan computer internet samsung google facebook safaricom semalink mpesa
kenya nairobi africa jesus godisgood blessed liverpool arsenal chelsea manchester barcelona trustno unknown mypassword
whatever
"""
_FIRST_GUESSES: Final = frozenset(_WORDS.split())


def is_common(password: str) -> bool:
    """Whether this is among the first guesses: hardly any different characters, a run of keys, or one word that
    everybody takes, spelt with digits or followed by some.
    """
    text = password.casefold()
    if len(set(text)) < MIN_DISTINCT:
        return True
    half = text[: len(text) // 2]
    if len(half) * 2 == len(text) and text == half * 2:
        text = half
    if any(text in run or text in run[::-1] for run in _RUNS):
        return True
    word = text.strip("0123456789!@#$%&*.-_ ")
    return word.translate(_LEET) in _FIRST_GUESSES or len(word) < 3 or word in "qwertyuiop"


def hash_password(password: str) -> str:
    """The form that is stored, with its parameters and salt in it. Some 26 ms."""
    return _HASHER.hash(password)


def _fits(password_hash: str, password: str) -> bool:
    try:
        return _HASHER.verify(password_hash, password)
    except (VerificationError, InvalidHashError):
        return False
