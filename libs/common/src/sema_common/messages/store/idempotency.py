"""Idempotency keys: the row in Postgres decides, whatever Redis remembers.

Only successes are kept, for 48 hours; a refused call writes nothing and so frees its key.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, LiteralString
from uuid import UUID

from sema_common.platform.db import Tx

KEPT_FOR: Final = timedelta(hours=48)


def key_hash(account_id: UUID, key: str) -> str:
    """sha256(accountId ':' key) in hex: the lookup key, scoped so that no account can meet another's."""
    return hashlib.sha256(f"{account_id}:{key}".encode()).hexdigest()


def fingerprint(method: str, path: str, body: bytes) -> bytes:
    """What makes two calls the same call."""
    digest = hashlib.sha256(f"{method} {path}\n".encode())
    digest.update(body)
    return digest.digest()


@dataclass(frozen=True, slots=True)
class KeptResponse:
    """The first response under a key."""

    hash: str
    tenant_id: UUID
    account_id: UUID
    resource_type: str
    resource_id: UUID | None
    fingerprint: bytes
    http_status: int
    response_body: dict[str, Any]
    expires_at: datetime

    @property
    def message_id(self) -> UUID | None:
        """The spec's column of that name: the resource, where it is a message."""
        return self.resource_id if self.resource_type == "message" else None


# Equality on the key alone: with a predicate on expires_at a table without statistics is scanned by that index.
SQL_FIND: Final[LiteralString] = """
SELECT k.hash, k.tenant_id, k.account_id, k.resource_type, k.resource_id, k.fingerprint, k.http_status,
       k.response_body, k.expires_at
FROM unnest($1::text[]) AS wanted(hash) JOIN orch.idempotency_keys k ON k.hash = wanted.hash
"""


async def find_kept(tx: Tx, hashes: Iterable[str], now: datetime) -> dict[str, KeptResponse]:
    """The responses kept under these hashes that have not expired at `now`."""
    rows = [KeptResponse(*row.values()) for row in await tx.fetch(SQL_FIND, sorted(hashes))]
    return {row.hash: row for row in rows if row.expires_at > now}


SQL_KEEP: Final[LiteralString] = """
INSERT INTO orch.idempotency_keys AS kept (hash, tenant_id, account_id, message_id, resource_type, resource_id,
    fingerprint, http_status, response_body, expires_at)
SELECT * FROM unnest($1::text[], $2::uuid[], $3::uuid[], $4::uuid[], $5::text[], $6::uuid[], $7::bytea[],
    $8::smallint[], $9::jsonb[], $10::timestamptz[])
ON CONFLICT (hash) DO UPDATE SET
    message_id = excluded.message_id, resource_type = excluded.resource_type, resource_id = excluded.resource_id,
    fingerprint = excluded.fingerprint, http_status = excluded.http_status,
    response_body = excluded.response_body, created_at = now(), expires_at = excluded.expires_at
WHERE kept.expires_at <= $11
RETURNING hash
"""


async def keep(tx: Tx, responses: Sequence[KeptResponse], now: datetime) -> set[str]:
    """Keep these responses; a hash missing from the answer is held by another call that came first.

    `now` is the moment that `find_kept` was asked with: one clock decides what has expired.
    """
    ordered = sorted(responses, key=lambda response: response.hash)
    rows = await tx.fetch(
        SQL_KEEP,
        [r.hash for r in ordered],
        [r.tenant_id for r in ordered],
        [r.account_id for r in ordered],
        [r.message_id for r in ordered],
        [r.resource_type for r in ordered],
        [r.resource_id for r in ordered],
        [r.fingerprint for r in ordered],
        [r.http_status for r in ordered],
        [r.response_body for r in ordered],
        [r.expires_at for r in ordered],
        now,
    )
    return {row["hash"] for row in rows}


SQL_PURGE: Final[LiteralString] = """
DELETE FROM orch.idempotency_keys WHERE hash IN (
    SELECT hash FROM orch.idempotency_keys WHERE expires_at < now() ORDER BY expires_at LIMIT $1)
"""


async def purge_expired(tx: Tx, at_most: int = 10_000) -> int:
    """Delete expired keys, a bounded number at a time; answers how many went."""
    status = await tx.execute(SQL_PURGE, at_most)
    return int(status.split()[-1])
