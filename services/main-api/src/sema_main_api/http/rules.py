"""The floor's decisions, pure: how fast a caller may go, which request id is sane, what a key in a URL looks like."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import Final

SANE_REQUEST_ID: Final = re.compile(rb"[A-Za-z0-9._-]{1,128}", re.ASCII)
CREDENTIAL: Final = re.compile(r"(sema_(?:live|test)_[0-9A-Za-z]{4})[0-9A-Za-z]{8,}", re.ASCII)
PRINTABLE: Final = re.compile(r"[\x20-\x7e]{1,255}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Rate:
    """A sustained rate and how much may come at once. The window of a policy is the time to refill the burst."""

    per_second: float
    burst: int

    @property
    def window(self) -> int:
        return max(1, math.ceil(self.burst / self.per_second))


# Product tiers: messages a second and at once, per key and per account. Enterprise: none until staff set one.
TIERS: Final[dict[str, Rate | None]] = {
    "starter": Rate(10, 50),
    "growth": Rate(100, 500),
    "enterprise": None,
}
BURST_SECONDS: Final = 5
"""Where only a sustained rate is set, the burst is what five seconds allow, as in the tiers."""


def rate_for(
    lane: str, tier: str, per_second: int | None, burst: int | None, priority_per_second: int | None
) -> Rate | None:
    """The rate of one account on one lane; None: without limit.

    The account's own numbers come before its tier's. The priority lane has a rate of its own: what staff set
    for it, else the sustained rate of the account.
    """
    by_tier = TIERS[tier]
    if per_second is not None:
        normal: Rate | None = Rate(per_second, burst or per_second * BURST_SECONDS)
    else:
        normal = Rate(by_tier.per_second, burst or by_tier.burst) if by_tier else None
    if lane != "priority":
        return normal
    if priority_per_second is not None:
        return Rate(priority_per_second, priority_per_second * BURST_SECONDS)
    return normal and Rate(normal.per_second, max(1, int(normal.per_second * BURST_SECONDS)))


def key_rate(per_second: int | None, rate: Rate | None) -> Rate | None:
    """The rate of one key on one lane: what its account gave it, never more than the account itself has."""
    if per_second is None or (rate is not None and per_second >= rate.per_second):
        return rate
    burst = per_second * BURST_SECONDS
    return Rate(per_second, min(burst, rate.burst) if rate else burst)


@dataclass(frozen=True, slots=True)
class Bounds:
    """An account's guards: messages to one recipient and to one range of numbers in ten minutes, money in an hour.

    None: no guard. How they are counted is messaging's.
    """

    recipient: int | None
    prefix: int | None
    spend: Decimal | None


NO_BOUNDS: Final = Bounds(None, None, None)

# Ten texts in ten minutes are more than anybody who mistypes his code needs. A range of ten thousand numbers that gets
# more than its share, and an hour that costs several days' use, are not how customers of these tiers send.
GUARDS: Final[dict[str, Bounds]] = {
    "starter": Bounds(10, 100, Decimal(5_000)),
    "growth": Bounds(10, 1_000, Decimal(50_000)),
    "enterprise": NO_BOUNDS,
}


def bounds_for(tier: str, recipient: int | None, prefix: int | None, spend: Decimal | None) -> Bounds:
    """The guards of one account: its own numbers come before its tier's."""
    common = GUARDS[tier]
    return Bounds(recipient or common.recipient, prefix or common.prefix, spend or common.spend)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the limiter found: `remaining` of the burst, seconds until one more (`reset`) and until this call fits."""

    allowed: bool
    remaining: int
    reset: float
    retry_after: float = 0.0


def gcra(tat: float, now: float, rate: Rate, n: int) -> tuple[float, Verdict]:
    """One step of the generic cell rate algorithm, seconds throughout: the new state and the verdict.

    `tat` is the moment at which everything taken so far has been earned back (0: nothing taken). A call of `n`
    passes when, with it, that moment lies no further ahead than the burst takes; a refused call takes nothing.
    """
    base = max(tat, now)
    wanted = base + n / rate.per_second
    # Moments are huge beside intervals: without slack for the float's last digits a full burst would not fit.
    allowed = wanted - now <= rate.burst / rate.per_second + 1e-6
    tat = wanted if allowed else base
    return tat, verdict(allowed, tat - now, rate, n)


def verdict(allowed: bool, ahead: float, rate: Rate, n: int) -> Verdict:
    """Put a state into words: `ahead` is how far, in seconds, it lies before us, with `n` in it when they passed."""
    left = (rate.burst / rate.per_second - ahead) * rate.per_second
    remaining = max(0, math.floor(left + 1e-3))
    reset = 0.0 if remaining >= rate.burst else (remaining + 1 - left) / rate.per_second
    wait = 0.0 if allowed else max(0.0, (n - left) / rate.per_second)
    return Verdict(allowed, remaining, max(0.0, reset), wait)


def is_from(address: str, networks: Sequence[IPv4Network | IPv6Network]) -> bool:
    """Whether an address, as a connection or a proxy names it, lies in one of these networks.

    An IPv4 address may come in its IPv6 form. What is no address lies nowhere.
    """
    try:
        found = ip_address(address)
    except ValueError:
        return False
    found = getattr(found, "ipv4_mapped", None) or found
    return any(found in network for network in networks)


def is_sane_request_id(value: bytes) -> bool:
    """1–128 of letters, digits, dot, underscore, hyphen."""
    return SANE_REQUEST_ID.fullmatch(value) is not None


def credential_in(text: str) -> str | None:
    """The harmless beginning of an API key that stands in a URL, for the log; None if there is none."""
    match = CREDENTIAL.search(text)
    return match[1] if match else None


def idempotency_key(header: str) -> str | None:
    """The key as sent, or inside the quotes of a structured-field string; None unless 1–255 printable characters."""
    if len(header) >= 2 and header[0] == header[-1] == '"':
        header = header[1:-1]
    return header if PRINTABLE.fullmatch(header) else None
