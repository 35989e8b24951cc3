"""Endpoints and their deliveries: the statements of `webhooks` that this module owns."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, LiteralString
from uuid import UUID

from sema_common.platform.db import Tx


@dataclass(frozen=True, slots=True)
class EndpointRow:
    """An endpoint that is not deleted, without its secrets."""

    id: UUID
    url: str
    events: list[str]
    created_at: datetime
    failing_since: datetime | None
    disabled_at: datetime | None
    disabled_reason: str | None

    @property
    def enabled(self) -> bool:
        return self.disabled_at is None


SQL_COUNT: Final[LiteralString] = """
SELECT count(*) FROM webhooks.endpoints WHERE account_id = $1 AND deleted_at IS NULL
"""


async def count_endpoints(tx: Tx, account_id: UUID) -> int:
    """Endpoints that an account has."""
    found: int = await tx.fetchval(SQL_COUNT, account_id)
    return found


SQL_INSERT: Final[LiteralString] = """
INSERT INTO webhooks.endpoints (id, tenant_id, account_id, url, events, secret) VALUES ($1, $2, $3, $4, $5, $6)
RETURNING id, url, events, created_at, failing_since, disabled_at, disabled_reason
"""


async def insert_endpoint(
    tx: Tx,
    endpoint_id: UUID,
    tenant_id: UUID,
    account_id: UUID,
    url: str,
    events: Sequence[str],
    secret: bytes,
) -> EndpointRow:
    """A new endpoint; the secret is sealed already."""
    row = await tx.fetchrow(SQL_INSERT, endpoint_id, tenant_id, account_id, url, events, secret)
    assert row is not None
    return EndpointRow(*row.values())


SQL_READ: Final[LiteralString] = """
SELECT id, url, events, created_at, failing_since, disabled_at, disabled_reason
FROM webhooks.endpoints WHERE id = $1 AND account_id = $2 AND deleted_at IS NULL
"""


async def read_endpoint(tx: Tx, endpoint_id: UUID, account_id: UUID) -> EndpointRow | None:
    """One endpoint of an account."""
    row = await tx.fetchrow(SQL_READ, endpoint_id, account_id)
    return None if row is None else EndpointRow(*row.values())


SQL_LIST: Final[LiteralString] = """
SELECT id, url, events, created_at, failing_since, disabled_at, disabled_reason
FROM webhooks.endpoints
WHERE account_id = $1 AND deleted_at IS NULL AND ($2::uuid IS NULL OR id < $2)
ORDER BY id DESC LIMIT $3
"""


async def list_endpoints(tx: Tx, account_id: UUID, before: UUID | None, limit: int) -> list[EndpointRow]:
    """Endpoints of an account, the youngest first."""
    return [EndpointRow(*row.values()) for row in await tx.fetch(SQL_LIST, account_id, before, limit)]


SQL_LOCK: Final[LiteralString] = """
SELECT id, url, events, created_at, failing_since, disabled_at, disabled_reason
FROM webhooks.endpoints WHERE id = $1 AND account_id = $2 AND deleted_at IS NULL FOR UPDATE
"""


async def lock_endpoint(tx: Tx, endpoint_id: UUID, account_id: UUID) -> EndpointRow | None:
    """One endpoint of an account, held until the transaction ends."""
    row = await tx.fetchrow(SQL_LOCK, endpoint_id, account_id)
    return None if row is None else EndpointRow(*row.values())


SQL_CHANGE: Final[LiteralString] = """
UPDATE webhooks.endpoints
SET url = $2, events = $3, disabled_at = $4, disabled_reason = $5,
    failing_since = CASE WHEN $6 THEN NULL ELSE failing_since END
WHERE id = $1
RETURNING id, url, events, created_at, failing_since, disabled_at, disabled_reason
"""


async def change_endpoint(
    tx: Tx,
    endpoint_id: UUID,
    url: str,
    events: Sequence[str],
    disabled_at: datetime | None,
    disabled_reason: str | None,
    revived: bool,
) -> EndpointRow:
    """Write a locked endpoint's new state; `revived` forgets its failures."""
    row = await tx.fetchrow(SQL_CHANGE, endpoint_id, url, events, disabled_at, disabled_reason, revived)
    assert row is not None
    return EndpointRow(*row.values())


SQL_DELETE: Final[LiteralString] = """
UPDATE webhooks.endpoints SET deleted_at = now() WHERE id = $1 AND account_id = $2 AND deleted_at IS NULL
RETURNING id
"""


async def delete_endpoint(tx: Tx, endpoint_id: UUID, account_id: UUID) -> bool:
    """Delete an endpoint; its deliveries stay readable. False when there is none."""
    return await tx.fetchval(SQL_DELETE, endpoint_id, account_id) is not None


SQL_ROTATE: Final[LiteralString] = """
UPDATE webhooks.endpoints SET old_secret = secret, old_secret_until = $4, secret = $3
WHERE id = $1 AND account_id = $2 AND deleted_at IS NULL
RETURNING id
"""


async def rotate_secret(
    tx: Tx, endpoint_id: UUID, account_id: UUID, secret: bytes, old_until: datetime
) -> bool:
    """A new (sealed) secret; the one before it signs as well until `old_until`. False when there is no endpoint."""
    return await tx.fetchval(SQL_ROTATE, endpoint_id, account_id, secret, old_until) is not None


SQL_SIGNING: Final[LiteralString] = "SELECT webhook_secret FROM core.accounts WHERE id = $1"


async def read_default_secret(tx: Tx, account_id: UUID) -> bytes | None:
    """The account's own secret, sealed."""
    secret: bytes | None = await tx.fetchval(SQL_SIGNING, account_id)
    return secret


@dataclass(frozen=True, slots=True)
class DeliveryRow:
    id: UUID
    webhook_id: UUID | None
    event_id: UUID
    type: str
    message_id: UUID | None
    url: str
    status: str
    attempts: int
    next_attempt_at: datetime | None
    created_at: datetime
    completed_at: datetime | None


SQL_LIST_DELIVERIES: Final[LiteralString] = """
SELECT id, endpoint_id, event_id, type, message_id, url, state, attempts, next_attempt_at, created_at, completed_at
FROM webhooks.deliveries
WHERE account_id = $1 AND endpoint_id = $2 AND ($3::text IS NULL OR state = $3)
  AND ($4::timestamptz IS NULL OR (created_at, id) < ($4, $5::uuid))
ORDER BY created_at DESC, id DESC LIMIT $6
"""


async def list_deliveries(
    tx: Tx,
    account_id: UUID,
    endpoint_id: UUID,
    state: str | None,
    before: tuple[datetime, UUID] | None,
    limit: int,
) -> list[DeliveryRow]:
    """Deliveries to one endpoint, newest first. Their ids say nothing about time, so the page goes by both."""
    at, delivery_id = before or (None, None)
    rows = await tx.fetch(SQL_LIST_DELIVERIES, account_id, endpoint_id, state, at, delivery_id, limit)
    return [DeliveryRow(*row.values()) for row in rows]


SQL_READ_DELIVERY: Final[LiteralString] = """
SELECT id, endpoint_id, event_id, type, message_id, url, state, attempts, next_attempt_at, created_at, completed_at
FROM webhooks.deliveries WHERE id = $1 AND account_id = $2
"""


async def read_delivery(tx: Tx, delivery_id: UUID, account_id: UUID) -> DeliveryRow | None:
    """One delivery of an account."""
    row = await tx.fetchrow(SQL_READ_DELIVERY, delivery_id, account_id)
    return None if row is None else DeliveryRow(*row.values())


SQL_READ_PAYLOAD: Final[LiteralString] = """
SELECT payload FROM webhooks.deliveries WHERE id = $1 AND account_id = $2
"""


async def read_payload(tx: Tx, delivery_id: UUID, account_id: UUID) -> str:
    """What a delivery that exists sends."""
    payload: str = await tx.fetchval(SQL_READ_PAYLOAD, delivery_id, account_id)
    return payload


@dataclass(frozen=True, slots=True)
class AttemptRow:
    attempt: int
    started_at: datetime
    duration_ms: int
    status_code: int | None
    error: str | None
    response: str | None


SQL_LIST_ATTEMPTS: Final[LiteralString] = """
SELECT attempt, started_at, duration_ms, status_code, error, response
FROM webhooks.webhook_delivery_attempts WHERE delivery_id = $1 ORDER BY attempt
"""


async def list_attempts(tx: Tx, delivery_id: UUID) -> list[AttemptRow]:
    """Every attempt of a delivery that the caller may see, oldest first."""
    return [AttemptRow(*row.values()) for row in await tx.fetch(SQL_LIST_ATTEMPTS, delivery_id)]


@dataclass(frozen=True, slots=True)
class Untold:
    """An endpoint that was disabled for failing, and whom to tell: owners and developers of its account."""

    id: UUID
    account_id: UUID
    url: str
    reason: str
    recipients: list[str]


SQL_CLAIM_UNTOLD: Final[LiteralString] = """
UPDATE webhooks.endpoints e SET disabled_told_at = now()
WHERE id IN (
    SELECT id FROM webhooks.endpoints
    WHERE deleted_at IS NULL AND disabled_at IS NOT NULL
      AND (disabled_told_at IS NULL OR disabled_told_at < disabled_at) AND disabled_reason IS DISTINCT FROM $2
    ORDER BY disabled_at LIMIT $1 FOR UPDATE SKIP LOCKED)
RETURNING id, account_id, url, COALESCE(disabled_reason, 'it kept failing') AS reason, ARRAY(
    SELECT u.email FROM core.users u
    WHERE u.account_id = e.account_id AND u.role IN ('owner', 'developer') AND u.disabled_at IS NULL) AS recipients
"""


async def claim_untold(tx: Tx, limit: int, by_customer: str) -> list[Untold]:
    """Endpoints whose disabling nobody was told of, but for the customer's own; marked as told."""
    return [Untold(*row.values()) for row in await tx.fetch(SQL_CLAIM_UNTOLD, limit, by_customer)]
