"""Accounts, keys and sender IDs: the statements of `core` that this module owns."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, LiteralString
from uuid import UUID

from sema_common.platform.db import Tx
from sema_common.values.ids import KeyMode, new_id
from sema_content_checker import skeleton


@dataclass(frozen=True, slots=True)
class AccountRow:
    id: UUID
    tenant_id: UUID
    name: str
    type: str
    tier: str
    status: str
    currency: str
    created_at: datetime


SQL_READ_ACCOUNT: Final[LiteralString] = """
SELECT id, tenant_id, name, type, tier, status, currency, created_at FROM core.accounts WHERE id = $1
"""


async def read_account(tx: Tx, account_id: UUID) -> AccountRow | None:
    """One account."""
    row = await tx.fetchrow(SQL_READ_ACCOUNT, account_id)
    return None if row is None else AccountRow(*row.values())


@dataclass(frozen=True, slots=True)
class NewAccount:
    """An account that is about to be made; `webhook_secret` is sealed already."""

    id: UUID
    tenant_id: UUID
    billing_account_id: UUID
    name: str
    type: str
    tier: str
    currency: str
    webhook_secret: bytes


SQL_INSERT_ACCOUNT: Final[LiteralString] = """
INSERT INTO core.accounts (id, tenant_id, billing_account_id, name, type, tier, currency, webhook_secret)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
"""


async def insert_account(tx: Tx, account: NewAccount) -> None:
    """A new, active account."""
    await tx.execute(
        SQL_INSERT_ACCOUNT,
        account.id,
        account.tenant_id,
        account.billing_account_id,
        account.name,
        account.type,
        account.tier,
        account.currency,
        account.webhook_secret,
    )


@dataclass(frozen=True, slots=True)
class UserRow:
    id: UUID
    account_id: UUID | None
    email: str
    name: str
    role: str
    created_at: datetime


SQL_READ_USER: Final[LiteralString] = """
SELECT id, account_id, email, name, role, created_at FROM core.users WHERE id = $1 AND account_id = $2
"""


async def read_user(tx: Tx, user_id: UUID, account_id: UUID) -> UserRow | None:
    """One user of an account."""
    row = await tx.fetchrow(SQL_READ_USER, user_id, account_id)
    return None if row is None else UserRow(*row.values())


KEY: Final[LiteralString] = """
id, name, mode, prefix, last4, scopes, allowed_networks::text[], rate_per_second, created_at, last_used_at, expires_at,
revoked_at"""


@dataclass(frozen=True, slots=True)
class KeyRow:
    id: UUID
    name: str
    mode: KeyMode
    prefix: str
    last4: str
    scopes: list[str]
    allowed_networks: list[str]
    rate_per_second: int | None
    created_at: datetime
    last_used_at: datetime | None
    expires_at: datetime | None
    revoked_at: datetime | None


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key that is about to be made: its hash, never itself."""

    id: UUID
    tenant_id: UUID
    account_id: UUID
    name: str
    mode: str
    prefix: str
    last4: str
    hash: bytes
    scopes: list[str]
    expires_at: datetime | None = None
    allowed_networks: Sequence[str] = ()
    rate_per_second: int | None = None


SQL_INSERT_KEY: Final[LiteralString] = f"""
INSERT INTO core.api_keys (id, tenant_id, account_id, name, mode, prefix, last4, hash, scopes, expires_at,
    allowed_networks, rate_per_second)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11::text[]::cidr[], $12)
RETURNING {KEY}
"""


async def insert_key(tx: Tx, key: NewKey) -> KeyRow:
    """A new key."""
    row = await tx.fetchrow(
        SQL_INSERT_KEY,
        key.id,
        key.tenant_id,
        key.account_id,
        key.name,
        key.mode,
        key.prefix,
        key.last4,
        key.hash,
        key.scopes,
        key.expires_at,
        list(key.allowed_networks),
        key.rate_per_second,
    )
    assert row is not None
    return KeyRow(*row.values())


SQL_COUNT_KEYS: Final[LiteralString] = """
SELECT count(*) FROM core.api_keys
WHERE account_id = $1 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > $2)
"""


async def count_live_keys(tx: Tx, account_id: UUID, at: datetime) -> int:
    """Keys of an account that work at this time."""
    found: int = await tx.fetchval(SQL_COUNT_KEYS, account_id, at)
    return found


SQL_READ_KEY: Final[LiteralString] = f"""
SELECT {KEY} FROM core.api_keys WHERE id = $1 AND account_id = $2
"""


async def read_key(tx: Tx, key_id: UUID, account_id: UUID) -> KeyRow | None:
    """One key of an account."""
    row = await tx.fetchrow(SQL_READ_KEY, key_id, account_id)
    return None if row is None else KeyRow(*row.values())


SQL_LIST_KEYS: Final[LiteralString] = f"""
SELECT {KEY} FROM core.api_keys WHERE account_id = $1 AND ($2::uuid IS NULL OR id < $2)
ORDER BY id DESC LIMIT $3
"""


async def list_keys(tx: Tx, account_id: UUID, before: UUID | None, limit: int) -> list[KeyRow]:
    """Keys of an account, the youngest first, revoked ones too."""
    return [KeyRow(*row.values()) for row in await tx.fetch(SQL_LIST_KEYS, account_id, before, limit)]


SQL_LOCK_KEY: Final[LiteralString] = f"""
SELECT {KEY} FROM core.api_keys WHERE id = $1 AND account_id = $2 FOR NO KEY UPDATE
"""


async def lock_key(tx: Tx, key_id: UUID, account_id: UUID) -> KeyRow | None:
    """One key of an account, against others who change it."""
    row = await tx.fetchrow(SQL_LOCK_KEY, key_id, account_id)
    return None if row is None else KeyRow(*row.values())


SQL_CHANGE_KEY: Final[LiteralString] = f"""
UPDATE core.api_keys SET name = $2, allowed_networks = $3::text[]::cidr[], rate_per_second = $4, expires_at = $5
WHERE id = $1 RETURNING {KEY}
"""


async def change_key(tx: Tx, wanted: KeyRow) -> KeyRow:
    """Write what of a key may change: its name, its bounds and its end."""
    row = await tx.fetchrow(
        SQL_CHANGE_KEY,
        wanted.id,
        wanted.name,
        wanted.allowed_networks,
        wanted.rate_per_second,
        wanted.expires_at,
    )
    assert row is not None
    return KeyRow(*row.values())


SQL_REVOKE_KEY: Final[LiteralString] = f"""
UPDATE core.api_keys SET revoked_at = COALESCE(revoked_at, $3) WHERE id = $1 AND account_id = $2
RETURNING {KEY}
"""


async def revoke_key(tx: Tx, key_id: UUID, account_id: UUID, at: datetime) -> KeyRow | None:
    """End a key; one that was ended before keeps its time. None when the account has no such key."""
    row = await tx.fetchrow(SQL_REVOKE_KEY, key_id, account_id, at)
    return None if row is None else KeyRow(*row.values())


@dataclass(frozen=True, slots=True)
class SenderRow:
    id: UUID
    sender: str
    status: str
    countries: list[str]
    purpose: str | None
    reason: str | None
    created_at: datetime
    decided_at: datetime | None


SENDER: Final[LiteralString] = "id, sender, status, countries, purpose, reason, created_at, decided_at"

# One that was rejected may be asked for again, with better reasons.
SQL_REQUEST_SENDER: Final[LiteralString] = f"""
INSERT INTO core.sender_ids AS kept (id, tenant_id, account_id, sender, skeleton, countries, purpose)
VALUES ($1, $2, $3, $4, $5, $6, $7)
ON CONFLICT (account_id, sender) DO UPDATE SET status = 'pending', countries = EXCLUDED.countries,
    purpose = EXCLUDED.purpose, reason = NULL, decided_at = NULL, decided_by = NULL
WHERE kept.status = 'rejected'
RETURNING {SENDER}
"""


async def request_sender(
    tx: Tx, tenant_id: UUID, account_id: UUID, sender: str, countries: Sequence[str], purpose: str | None
) -> SenderRow | None:
    """A sender ID that staff are to decide on; None when the account has it, or has asked for it, already."""
    row = await tx.fetchrow(
        SQL_REQUEST_SENDER,
        new_id(),
        tenant_id,
        account_id,
        sender,
        skeleton(sender),
        sorted(set(countries)),
        purpose,
    )
    return None if row is None else SenderRow(*row.values())


SQL_GRANT_SENDER: Final[LiteralString] = """
INSERT INTO core.sender_ids (id, tenant_id, account_id, sender, skeleton, status, countries, decided_at)
VALUES ($1, $2, $3, $4, $5, 'approved', ARRAY(SELECT country FROM core.sender_rules WHERE needs_registration), now())
"""


async def grant_sender(tx: Tx, tenant_id: UUID, account_id: UUID, sender: str) -> None:
    """A sender ID that an operator vouches for, in every country that needs a registration today."""
    await tx.execute(SQL_GRANT_SENDER, new_id(), tenant_id, account_id, sender, skeleton(sender))


SQL_LIST_SENDERS: Final[LiteralString] = f"""
SELECT {SENDER} FROM core.sender_ids
WHERE account_id = $1 AND ($2::uuid IS NULL OR id < $2) AND ($3::text IS NULL OR status = $3)
ORDER BY id DESC LIMIT $4
"""


async def list_senders(
    tx: Tx, account_id: UUID, before: UUID | None, status: str | None, limit: int
) -> list[SenderRow]:
    """Sender IDs of an account, the youngest first."""
    rows = await tx.fetch(SQL_LIST_SENDERS, account_id, before, status, limit)
    return [SenderRow(*row.values()) for row in rows]


SQL_SET_REFUND_POLICY: Final[LiteralString] = """
UPDATE core.accounts a SET refund_undelivered = $2 FROM core.accounts before WHERE a.id = $1 AND before.id = a.id
RETURNING before.refund_undelivered
"""


async def set_refund_policy(tx: Tx, account_id: UUID, refund_undelivered: bool) -> bool | None:
    """Say whether undelivered messages are refunded; answers what held before, None without such an account."""
    before: bool | None = await tx.fetchval(SQL_SET_REFUND_POLICY, account_id, refund_undelivered)
    return before
