"""What a delivery is, who gets one, how it is signed, what an answer means and when to try again.

Pure: no await, no clock, no I/O. Sources: Standard Webhooks 1.0.0 for headers, signature and the meaning of
answers; the product's rule of one try and five retries over 24 hours.
"""

import base64
import binascii
import enum
import hmac
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Final, Literal
from urllib.parse import urlsplit
from uuid import UUID

from pydantic_core import to_json

from sema_common.values.clock import wire_time
from sema_common.values.ids import event_id
from sema_common.wire.webhook import Fact

State = Literal["pending", "succeeded", "failed", "cancelled"]

CONNECT_SECONDS: Final = 3.0
TOTAL_SECONDS: Final = 10.0
"""One attempt, from the look-up of the name to the last byte of the answer that we care for."""

WAITS: Final = (60.0, 600.0, 3_600.0, 21_600.0)
"""Seconds before retry 1 to 4; the fifth and last retry takes the rest of the lifetime."""

MAX_ATTEMPTS: Final = len(WAITS) + 2
LIFETIME: Final = timedelta(hours=24)
JITTER: Final = 0.2
RETRY_AFTER_MAX: Final = 21_600.0
"""Seconds: a customer may slow us down as far as our longest wait but one, not push everything to the end."""

FAILING_DAYS: Final = timedelta(days=5)
KEEP: Final = timedelta(days=30)

LEASE: Final = timedelta(seconds=30)
"""How far a claim pushes a delivery's next attempt: should this process die, another takes over after it.
At most a third of it is spent waiting for a turn (MAX_WAIT), a third on the request (TOTAL_SECONDS), and the
last third is for writing the outcome down. So nobody else can claim what is still in our hands."""

MAX_WAIT: Final = LEASE.total_seconds() - TOTAL_SECONDS - 10.0

# --- who gets it


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An endpoint of a customer. `keys` are the HMAC keys that sign for it now: one, or two during a rotation."""

    id: UUID
    url: str
    events: frozenset[str]
    keys: tuple[bytes, ...]
    enabled: bool


@dataclass(frozen=True, slots=True)
class Subscriber:
    """An account as this room sees it. `keys` sign what goes to a message's own `callback_url`."""

    account_id: UUID
    tenant_id: UUID
    keys: tuple[bytes, ...]
    endpoints: tuple[Endpoint, ...]

    def endpoint(self, id_: UUID) -> Endpoint | None:
        return next((endpoint for endpoint in self.endpoints if endpoint.id == id_), None)


@dataclass(frozen=True, slots=True)
class Owed:
    """One fact owed to one address; `id` is derived from both. `payload` is what is signed and sent, exactly."""

    id: UUID
    tenant_id: UUID
    account_id: UUID
    endpoint_id: UUID | None
    target: str
    url: str
    event_id: UUID
    type: str
    message_id: UUID | None
    payload: str
    created_at: datetime
    traceparent: str | None = None
    attempts: int = 0


def fan_out(fact: Fact, subscriber: Subscriber, now: datetime) -> Iterator[Owed]:
    """Every delivery that follows from a fact: one for each enabled endpoint that subscribed, and the callback.

    A fact with an `endpoint_id` (a test ping) goes to that endpoint whatever it subscribed to, and nowhere else.
    """
    body = payload(fact)

    def owed(target: str, url: str, endpoint_id: UUID | None) -> Owed:
        return Owed(
            id=event_id(fact.event_id, target),
            tenant_id=subscriber.tenant_id,
            account_id=fact.account_id,
            endpoint_id=endpoint_id,
            target=target,
            url=url,
            event_id=fact.event_id,
            type=fact.type,
            message_id=fact.message_id,
            payload=body,
            created_at=now,
            traceparent=fact.traceparent,
        )

    for endpoint in subscriber.endpoints:
        wanted = fact.type in endpoint.events if fact.endpoint_id is None else fact.endpoint_id == endpoint.id
        if endpoint.enabled and wanted:
            yield owed(str(endpoint.id), endpoint.url, endpoint.id)
    if fact.callback_url is not None and fact.endpoint_id is None:
        yield owed(callback_target(fact.account_id, fact.callback_url), fact.callback_url, None)


def callback_target(account_id: UUID, url: str) -> str:
    """What callbacks are isolated by: the account and the host, since each message may name another path."""
    return f"{account_id}:{urlsplit(url).netloc.lower()}"


def address(owed: Owed, subscriber: Subscriber) -> tuple[str, tuple[bytes, ...]] | None:
    """Where a delivery goes today and what signs it; None when its endpoint is disabled or gone.

    An endpoint's URL and secret are the present ones, so that a corrected URL heals what is still pending.
    """
    if owed.endpoint_id is None:
        return owed.url, subscriber.keys
    endpoint = subscriber.endpoint(owed.endpoint_id)
    return (endpoint.url, endpoint.keys) if endpoint is not None and endpoint.enabled else None


# --- what is sent


def payload(fact: Fact) -> str:
    """The body; its timestamp is the event's, the same on every attempt."""
    body = {"type": fact.type, "timestamp": wire_time(fact.occurred_at), "data": fact.data}
    return to_json(body).decode()


def signing_key(secret: str) -> bytes:
    """The HMAC key inside a `whsec_…` text: the decoded bytes, not the text. ValueError if it is none."""
    prefix, found, encoded = secret.partition("_")
    if not found or prefix != "whsec":
        raise ValueError("a signing secret begins with whsec_")
    try:
        return base64.b64decode(encoded, validate=True)
    except binascii.Error:
        raise ValueError("a signing secret is base64") from None


def headers(owed: Owed, keys: Sequence[bytes], at: datetime) -> dict[str, str]:
    """Of one attempt. The id is the event's, constant over all attempts and endpoints; the time is now."""
    id_, timestamp = str(owed.event_id), int(at.timestamp())
    return {
        "content-type": "application/json",
        "user-agent": "SemaLink-Webhooks/1",
        "webhook-id": id_,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": signature(keys, id_, timestamp, owed.payload.encode()),
    }


def signature(keys: Iterable[bytes], id_: str, timestamp: int, body: bytes) -> str:
    """`v1,<base64>` for each key, separated by spaces, over `id.timestamp.body`."""
    signed = f"{id_}.{timestamp}.".encode() + body
    return " ".join("v1," + base64.b64encode(hmac.digest(key, signed, "sha256")).decode() for key in keys)


# --- what an answer means


class Verdict(enum.StrEnum):
    DELIVERED = "delivered"
    FAILED = "failed"
    THROTTLED = "throttled"  # failed, and the whole target is given a rest
    GONE = "gone"  # 410: never again


def judge(status: int | None) -> Verdict:
    """2xx alone is success, a redirect is a failure like any other; None: there was no answer."""
    if status is not None and 200 <= status < 300:
        return Verdict.DELIVERED
    if status == 410:
        return Verdict.GONE
    return Verdict.THROTTLED if status in (429, 502, 504) else Verdict.FAILED


def retry_after(header: str | None, now: datetime) -> float | None:
    """Seconds out of a Retry-After header (RFC 9110 §10.2.3: a number or a date), 0 to RETRY_AFTER_MAX."""
    if header is None:
        return None
    if header.strip().isdecimal() and header.isascii():
        return min(float(header.strip()[:9]), RETRY_AFTER_MAX)
    try:
        at = parsedate_to_datetime(header)
    except (ValueError, TypeError, IndexError, OverflowError):  # all that it raises for what is no date
        return None
    if at.tzinfo is None:
        at = at.replace(tzinfo=UTC)
    return min(max((at - now).total_seconds(), 0.0), RETRY_AFTER_MAX)


# --- when to try again


def retry_at(
    attempt: int,
    created_at: datetime,
    now: datetime,
    factor: float,
    asked: float | None = None,
    scale: float = 1.0,
) -> datetime | None:
    """When to try again after failed attempt number `attempt` (from 1); None: that was the last one.

    `factor` is the jitter, 1 ± JITTER; `asked` a Retry-After in seconds. Nothing is scheduled beyond the
    lifetime: 24 hours are a promise, so jitter and Retry-After may only bring the last retry forward.
    """
    deadline = created_at + LIFETIME * scale
    if attempt >= MAX_ATTEMPTS or now >= deadline:
        return None
    rest = (deadline - now).total_seconds()
    wait = WAITS[attempt - 1] * scale * factor if attempt <= len(WAITS) else rest * factor
    return now + timedelta(seconds=min(max(wait, asked or 0.0), rest))


def deferred_until(until: datetime, created_at: datetime, scale: float = 1.0) -> datetime | None:
    """A delivery waits for its target without using an attempt, but not beyond its lifetime: then None."""
    return until if until <= created_at + LIFETIME * scale else None


# --- what is written down


@dataclass(frozen=True, slots=True)
class Attempt:
    """One request. `error` is a stable word, set when there was no answer; `response` the answer's beginning."""

    number: int
    started_at: datetime
    duration_ms: int
    status_code: int | None
    error: str | None
    response: str | None
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Outcome:
    """What becomes of a delivery: after an attempt, or without one when it is deferred or cancelled."""

    owed: Owed
    state: State
    at: datetime
    next_attempt_at: datetime | None = None
    attempt: Attempt | None = None


def outcome(
    owed: Owed, attempt: Attempt, now: datetime, factor: float, asked: float | None, scale: float
) -> Outcome:
    """After an attempt: done, to be tried again, or given up."""
    if attempt.verdict is Verdict.DELIVERED:
        return Outcome(owed, "succeeded", now, attempt=attempt)
    again = None
    if attempt.verdict is not Verdict.GONE:
        again = retry_at(attempt.number, owed.created_at, now, factor, asked, scale)
    return Outcome(owed, "failed" if again is None else "pending", now, again, attempt)


@dataclass(frozen=True, slots=True)
class Health:
    """What a batch of outcomes says about endpoints: each id is in one of the sets at most."""

    well: tuple[UUID, ...]
    failing: tuple[UUID, ...]
    gone: tuple[UUID, ...]


def health(outcomes: Iterable[Outcome]) -> Health:
    """One success outweighs any failure beside it; a 410 outweighs both, whoever sends it means it."""
    seen: dict[UUID, set[Verdict]] = {}
    for each in outcomes:
        if each.attempt is not None and each.owed.endpoint_id is not None:
            seen.setdefault(each.owed.endpoint_id, set()).add(each.attempt.verdict)
    gone = sorted(id_ for id_, verdicts in seen.items() if Verdict.GONE in verdicts)
    well = sorted(
        id_
        for id_, verdicts in seen.items()
        if Verdict.DELIVERED in verdicts and Verdict.GONE not in verdicts
    )
    failing = sorted(seen.keys() - set(gone) - set(well))
    return Health(tuple(well), tuple(failing), tuple(gone))


GONE_REASON: Final = "gone"
FAILING_REASON: Final = "failing"


def to_disable(health: Health, now: datetime) -> Iterator[tuple[tuple[UUID, ...], str, datetime]]:
    """Which endpoints to disable, why, and since when they must have been failing for it.

    A 410 counts at once; anything else after FAILING_DAYS in which nothing was delivered.
    """
    if health.gone:
        yield health.gone, GONE_REASON, now
    if health.failing:
        yield health.failing, FAILING_REASON, now - FAILING_DAYS
