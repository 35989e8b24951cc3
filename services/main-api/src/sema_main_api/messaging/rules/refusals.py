"""Texts that the content rules refused lately, each once, until they are written down."""

from dataclasses import dataclass, replace
from datetime import datetime
from hashlib import sha256
from typing import Any, Final
from uuid import UUID

MOST_HELD: Final = 1_000
"""Different texts held at one time; of a flood, these are enough to see what is going on."""


@dataclass(frozen=True, slots=True)
class RefusedText:
    """`hash` is of account and text: the row that it is written to."""

    hash: bytes
    account_id: UUID
    body: str
    reasons: list[dict[str, Any]]
    count: int
    last_at: datetime


class Refusals:
    """Bounded: a text too many is not kept, for it is only a sample for staff."""

    def __init__(self) -> None:
        self._held: dict[bytes, RefusedText] = {}

    def note(self, account_id: UUID, body: str, reasons: list[dict[str, Any]], at: datetime) -> None:
        """A text was refused."""
        if "\x00" in body:
            return  # Postgres takes no NUL, and no rule is needed to refuse one
        hash_ = sha256(account_id.bytes + body.encode(errors="replace")).digest()
        known = self._held.get(hash_)
        if known is not None:
            self._held[hash_] = replace(known, reasons=reasons, count=known.count + 1, last_at=at)
        elif len(self._held) < MOST_HELD:
            body = body.encode(errors="replace").decode()
            self._held[hash_] = RefusedText(hash_, account_id, body, reasons, 1, at)

    def take(self) -> list[RefusedText]:
        """All that is held, and hold nothing any more."""
        taken, self._held = list(self._held.values()), {}
        return taken
