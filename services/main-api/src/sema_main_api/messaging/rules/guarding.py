"""How many messages one recipient and one range of numbers may get from an account, and what it may spend an hour.

A rate limit bounds how fast an account goes. It does not see that all of it goes to one victim, or to a range of
numbers whose owner is paid for what they receive (OTP pumping), or that a stolen key empties the balance.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from hashlib import blake2b
from math import ceil
from typing import Final, Literal, Protocol
from uuid import UUID

from sema_common.messages.store.accepting import NewMessage
from sema_common.values.errors import Refused
from sema_main_api.http.rules import NO_BOUNDS, Bounds, bounds_for

Guard = Literal["recipient", "prefix", "spend"]

SLOTS: Final = 10
KEPT: Final = SLOTS + 1
"""A window is cut into so many slots, and what was taken counts until its whole slot is out: never more than the limit
in any window, and nothing counts for more than a tenth of it longer."""

WINDOW: Final[dict[Guard, int]] = {"recipient": 600, "prefix": 600, "spend": 3600}
"""Seconds."""

LINE_DIGITS: Final = 4
"""Numbers that differ in these last digits only are one range: operators give ranges out in ten thousands."""

UNITS: Final = 10_000
"""Money is counted in the smallest unit that there is, four places."""


class Guarded(Protocol):
    """What the guards need to know of a caller."""

    @property
    def account_id(self) -> UUID: ...
    @property
    def mode(self) -> str: ...
    @property
    def tier(self) -> str: ...
    @property
    def recipient_per_10_minutes(self) -> int | None: ...
    @property
    def prefix_per_10_minutes(self) -> int | None: ...
    @property
    def spend_per_hour(self) -> Decimal | None: ...


@dataclass(frozen=True, slots=True)
class Want:
    """So much of one guard's window: messages, or money in its smallest unit."""

    guard: Guard
    key: str
    limit: int
    n: int

    @property
    def slot_seconds(self) -> int:
        return WINDOW[self.guard] // SLOTS


Ask = tuple[Want, ...]
"""What one message needs: all of it or nothing."""


def bounds_of(account: Guarded) -> Bounds:
    """The account's own numbers before its tier's; a test key is not guarded, for nobody gets or pays its messages."""
    if account.mode == "test":
        return NO_BOUNDS
    return bounds_for(
        account.tier, account.recipient_per_10_minutes, account.prefix_per_10_minutes, account.spend_per_hour
    )


def wants(account: Guarded, bounds: Bounds, message: NewMessage) -> Iterator[Want]:
    """What this message takes. A number is nowhere written down: its key is a hash."""
    begin = f"guard:{account.account_id}"
    if bounds.recipient is not None:
        digest = blake2b(message.to.encode(), digest_size=12).hexdigest()
        yield Want("recipient", f"{begin}:to:{digest}", bounds.recipient, 1)
    if bounds.prefix is not None:
        yield Want("prefix", f"{begin}:prefix:{message.to[:-LINE_DIGITS]}", bounds.prefix, 1)
    if bounds.spend is not None:
        yield Want("spend", f"{begin}:spend", int(bounds.spend * UNITS), int(message.cost * UNITS))


@dataclass(frozen=True, slots=True)
class Held:
    """Why a message may not go now, and in how many seconds it may."""

    guard: Guard
    limit: int
    wait: int


class Windows:
    """The law itself, for one process: what was taken, by key and slot. Redis keeps it by the same law for all."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._taken: dict[str, dict[int, int]] = {}

    def __len__(self) -> int:
        return len(self._taken)

    def judge(self, ask: Ask, now: float) -> Held | None:
        """Take what is asked, or say what stands against it and take nothing. A negative `n` gives back."""
        for want in ask:
            slots = self._fresh(want, now)
            over = sum(slots.values()) + want.n - want.limit
            if want.n > 0 and over > 0:
                return Held(want.guard, want.limit, _wait(slots, over, want, now))
        for want in ask:
            self._take(want, now)
        while len(self._taken) > self._most:
            del self._taken[next(iter(self._taken))]
        return None

    def _fresh(self, want: Want, now: float) -> dict[int, int]:
        oldest = int(now // want.slot_seconds) - KEPT
        return {slot: n for slot, n in self._taken.get(want.key, {}).items() if slot > oldest}

    def _take(self, want: Want, now: float) -> None:
        slots = self._fresh(want, now)
        self._taken.pop(want.key, None)
        current = int(now // want.slot_seconds)
        if want.n > 0:
            slots[current] = slots.get(current, 0) + want.n
        left = -want.n
        for slot in sorted(slots, reverse=True):
            back = min(slots[slot], max(0, left))
            slots[slot], left = slots[slot] - back, left - back
        self._taken[want.key] = slots


def _wait(slots: dict[int, int], over: int, want: Want, now: float) -> int:
    """Seconds until so much has left the window; a whole window for what never fits."""
    for slot in sorted(slots):
        over -= slots[slot]
        if over <= 0:
            return max(1, ceil((slot + KEPT) * want.slot_seconds - now))
    return WINDOW[want.guard]


_WHAT: Final[dict[Guard, str]] = {
    "recipient": "More than {} messages to this recipient in ten minutes.",
    "prefix": "More than {} messages in ten minutes to numbers that begin like this one.",
    "spend": "This account spends at most {} in an hour.",
}


def refusal(held: Held, currency: str) -> Refused:
    """429, telling which guard and when to come back; an item of a batch has no headers, so it is in the body too."""
    limit = f"{Decimal(held.limit) / UNITS:.4f} {currency}" if held.guard == "spend" else str(held.limit)
    return Refused(
        "recipient_rate_limited",
        _WHAT[held.guard].format(limit),
        429,
        headers={"retry-after": str(held.wait)},
        extra={"guard": held.guard, "retry_after": held.wait},
    )


def given_back(ask: Iterable[Want]) -> Ask:
    """The same, to be put back."""
    return tuple(Want(want.guard, want.key, want.limit, -want.n) for want in ask)
