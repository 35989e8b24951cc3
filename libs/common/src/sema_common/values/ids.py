"""Identifiers and secrets: what we call things, and what others prove themselves with.

Message ids are UUIDv7 (RFC 9562): ordered by time, and their millisecond is the row's `enqueued_at`, so a
statement finds the partition from the id alone. A secret made here is returned once and never logged.
"""

import base64
import hashlib
import re
import secrets
from datetime import UTC, datetime, timedelta
from os import urandom
from time import time_ns
from typing import Final, Literal, NamedTuple, cast
from uuid import UUID, uuid5
from zlib import crc32

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)
_VERSION_7: Final = 7 << 76
_VARIANT: Final = 0b10 << 62
_LOW_62: Final = (1 << 62) - 1

# The last id's millisecond and its 74 random bits. The top bit starts at 0, so a millisecond has room for
# 2^41 steps of at most 2^32: it cannot overflow.
_last: tuple[int, int] = (-1, 0)


def new_id(at: datetime | None = None) -> UUID:
    """A UUIDv7 of the millisecond `at` (aware; now when absent).

    Within one process, ids of one millisecond made in a row grow strictly (RFC 9562 §6.2, method 2); the step
    is random, so an id does not give its neighbour away and forked processes part ways at once.
    """
    global _last
    ms = time_ns() // 1_000_000 if at is None else (at - _EPOCH) // _MILLISECOND
    if not 0 <= ms < 1 << 48:
        raise ValueError("a UUIDv7 holds a millisecond since 1970")
    last_ms, last_bits = _last
    bits = last_bits + 1 + int.from_bytes(urandom(4)) if ms == last_ms else int.from_bytes(urandom(10)) >> 7
    _last = (ms, bits)
    return UUID(int=ms << 80 | _VERSION_7 | (bits >> 62) << 64 | _VARIANT | bits & _LOW_62)


def first_id(at: datetime) -> UUID:
    """The lowest UUIDv7 of the millisecond `at`: every id made before it is less. No id is older than 1970."""
    return UUID(int=max(0, (at - _EPOCH) // _MILLISECOND) << 80 | _VERSION_7 | _VARIANT)


def id_time(id_: UUID) -> datetime:
    """The millisecond inside a UUIDv7, UTC; ValueError for any other kind of UUID."""
    if id_.version != 7:
        raise ValueError("not a UUIDv7")
    try:
        return _EPOCH + (id_.int >> 80) * _MILLISECOND
    except OverflowError:
        raise ValueError("a UUIDv7 beyond the year 9999") from None


_MESSAGE_ID: Final = re.compile(r"(?:msg_)?([0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12})")


def parse_message_id(text: str) -> UUID:
    """`msg_<uuid>`, as logs show it, or the bare UUID; ValueError for whatever cannot be an id of ours."""
    match = _MESSAGE_ID.fullmatch(text)
    if match is None:
        raise ValueError("not a message id")
    id_ = UUID(match[1])
    id_time(id_)
    return id_


_EVENTS: Final = UUID("6f1f4a52-4b1c-5d0e-9c53-7a0d5e3b8c11")  # our own namespace for UUIDv5


def event_id(*parts: object) -> UUID:
    """The same parts give the same id (UUIDv5), on every machine: whoever hears a fact twice can tell.

    Parts are taken by their `str`; lengths are part of the name, so ("ab", "c") is not ("a", "bc").
    """
    return uuid5(_EVENTS, "".join(f"{len(text)}:{text}" for text in map(str, parts)))


_BASE62: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_RANDOM_LENGTH: Final = 30  # 178 bits

KeyMode = Literal["live", "test"]


class ApiKey(NamedTuple):
    """A new API key: `text` is shown to its owner once, `prefix` and `last4` are what may be shown later."""

    text: str
    prefix: str
    last4: str


def _base62(number: int, width: int) -> str:
    digits = []
    for _ in range(width):
        number, digit = divmod(number, 62)
        digits.append(_BASE62[digit])
    return "".join(reversed(digits))


def key_checksum(random_part: str) -> str:
    """CRC-32 in six base62 digits, as GitHub's tokens have it. It catches typos and proves nothing."""
    return _base62(crc32(random_part.encode()), 6)


def _random_base62(length: int) -> str:
    return "".join(secrets.choice(_BASE62) for _ in range(length))


def api_key(mode: KeyMode) -> ApiKey:
    """A new key: `sema_live_` or `sema_test_`, 30 random base62 characters, 6 of checksum."""
    random_part = _random_base62(_RANDOM_LENGTH)
    prefix = f"sema_{mode}_"
    text = f"{prefix}{random_part}{key_checksum(random_part)}"
    return ApiKey(text, prefix + random_part[:4], text[-4:])


_API_KEY: Final = re.compile(r"sema_(live|test)_([0-9A-Za-z]{30})([0-9A-Za-z]{6})")


def parse_api_key(text: str) -> KeyMode | None:
    """The key's mode, or None for what cannot be a key of ours: no look-up is worth making for it."""
    match = _API_KEY.fullmatch(text)
    if match is None or key_checksum(match[2]) != match[3]:
        return None
    return cast(KeyMode, match[1])


def hash_api_key(text: str) -> bytes:
    """SHA-256, the only form that is stored: 178 random bits need no slow hash."""
    return hashlib.sha256(text.encode()).digest()


def webhook_secret() -> str:
    """A signing secret as Standard Webhooks wants it: `whsec_` and 32 random bytes in base64."""
    return "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()


def new_secret(prefix: str) -> str:
    """Any other secret (path tokens of dlr-webhook, reset links): the prefix and 43 base62 characters, 256 bits."""
    return prefix + _random_base62(43)
