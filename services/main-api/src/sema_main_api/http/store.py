"""The floor's statements: who a key or user is, tenants, idempotency's lock, who has opted out, the audit log."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, LiteralString
from uuid import UUID

from sema_common.platform.db import Row, Tx
from sema_main_api.http.callers import Caller, Principal, Staff


@dataclass(frozen=True, slots=True)
class FoundKey:
    """A key that is not revoked, and when it ends by itself."""

    caller: Caller
    expires_at: datetime | None


# Whom staff have suspended starts nothing, nor does whoever he pays for: "suspended" is the greater word.
ACCOUNT: Final[LiteralString] = """
       a.id AS account_id, a.tenant_id, a.billing_account_id, a.tier, a.currency, a.type,
       greatest(a.status, p.status) AS status, a.rate_per_second, a.rate_burst, a.priority_per_second,
       a.recipient_per_10_minutes, a.prefix_per_10_minutes, a.spend_per_hour"""

SQL_FIND_KEY: Final[LiteralString] = f"""
SELECT k.id, k.mode, k.scopes, k.expires_at, k.allowed_networks, k.rate_per_second AS key_per_second, {ACCOUNT}
FROM core.api_keys k JOIN core.accounts a ON a.id = k.account_id JOIN core.accounts p ON p.id = a.billing_account_id
WHERE k.hash = $1 AND k.revoked_at IS NULL
"""


async def find_key(tx: Tx, key_hash: bytes) -> FoundKey | None:
    """The holder of a key by its SHA-256; None when it is unknown or revoked."""
    row = await tx.fetchrow(SQL_FIND_KEY, key_hash)
    if row is None:
        return None
    caller = _caller(
        row,
        kind="key",
        key_id=row["id"],
        mode=row["mode"],
        scopes=frozenset(row["scopes"]),
        networks=tuple(row["allowed_networks"]),
        key_per_second=row["key_per_second"],
    )
    return FoundKey(caller, row["expires_at"])


SQL_FIND_USER: Final[LiteralString] = f"""
SELECT u.id, u.role, {ACCOUNT}
FROM core.users u LEFT JOIN core.accounts a ON a.id = u.account_id
    LEFT JOIN core.accounts p ON p.id = a.billing_account_id
WHERE u.id = $1 AND u.disabled_at IS NULL
"""


async def find_user(tx: Tx, user_id: UUID) -> Principal | None:
    """A user or member of staff; None when unknown or disabled."""
    row = await tx.fetchrow(SQL_FIND_USER, user_id)
    if row is None:
        return None
    if row["account_id"] is None:
        return Staff(row["id"], row["role"])
    return _caller(row, kind="user", user_id=row["id"], role=row["role"])


def _caller(row: Row, **own: Any) -> Caller:
    return Caller(
        account_id=row["account_id"],
        tenant_id=row["tenant_id"],
        billing_account_id=row["billing_account_id"],
        tier=row["tier"],
        currency=row["currency"],
        account_status=row["status"],
        account_type=row["type"],
        rate_per_second=row["rate_per_second"],
        rate_burst=row["rate_burst"],
        priority_per_second=row["priority_per_second"],
        recipient_per_10_minutes=row["recipient_per_10_minutes"],
        prefix_per_10_minutes=row["prefix_per_10_minutes"],
        spend_per_hour=row["spend_per_hour"],
        **own,
    )


SQL_TOUCH_KEYS: Final[LiteralString] = """
UPDATE core.api_keys k SET last_used_at = used.at
FROM unnest($1::uuid[], $2::timestamptz[]) AS used(id, at)
WHERE k.id = used.id AND (k.last_used_at IS NULL OR k.last_used_at < used.at)
"""


async def touch_keys(tx: Tx, used: Mapping[UUID, datetime]) -> None:
    """Write when keys were last used, in the order of their ids; a later time that is there already stays."""
    ordered = sorted(used.items())
    await tx.execute(SQL_TOUCH_KEYS, [key_id for key_id, _ in ordered], [at for _, at in ordered])


SQL_SET_TENANT: Final[LiteralString] = "SELECT set_config('app.tenant_id', $1, true)"


async def set_tenant(tx: Tx, tenant_id: UUID) -> None:
    """Say for which tenant this transaction reads: row-level security shows it nothing else."""
    await tx.execute(SQL_SET_TENANT, str(tenant_id))


SQL_LOCK_KEY: Final[LiteralString] = "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))"
SQL_LOCK_TIMEOUT: Final[LiteralString] = """
WITH former AS MATERIALIZED (SELECT current_setting('lock_timeout') AS value)
SELECT value, set_config('lock_timeout', $1, true) FROM former
"""


async def lock_idempotency_key(tx: Tx, key_hash: str, wait_ms: int) -> None:
    """Let one call with this key go on at a time; LockBusy when another has not finished within `wait_ms`.

    What the transaction locks afterwards is waited for as long as before.
    """
    former = await tx.fetchval(SQL_LOCK_TIMEOUT, str(wait_ms))
    await tx.execute(SQL_LOCK_KEY, key_hash)
    await tx.execute(SQL_LOCK_TIMEOUT, former)


# Asked in the transaction that charges: an opt-out holds from its commit on, everywhere, for one statement a batch.
SQL_FIND_SUPPRESSED: Final[LiteralString] = """
SELECT s.account_id, s.msisdn, s.scope FROM unnest($1::uuid[], $2::text[]) AS wanted(account_id, msisdn)
JOIN core.suppressions s ON s.account_id = wanted.account_id AND s.msisdn = wanted.msisdn
"""


async def find_suppressed(tx: Tx, wanted: Sequence[tuple[UUID, str]]) -> dict[tuple[UUID, str], str]:
    """The scope (`promotional`, `all`) of each opt-out among these pairs of account and recipient."""
    rows = await tx.fetch(SQL_FIND_SUPPRESSED, [a for a, _ in wanted], [to for _, to in wanted])
    return {(row["account_id"], row["msisdn"]): row["scope"] for row in rows}


SQL_OWNERS: Final[LiteralString] = """
SELECT account_id, email FROM core.users
WHERE account_id = ANY($1::uuid[]) AND role = 'owner' AND disabled_at IS NULL ORDER BY account_id, email
"""


async def find_owners(tx: Tx, accounts: Sequence[UUID]) -> dict[UUID, list[str]]:
    """The addresses of each account's owners: whom mails about money go to."""
    found: dict[UUID, list[str]] = {}
    for row in await tx.fetch(SQL_OWNERS, accounts):
        found.setdefault(row["account_id"], []).append(row["email"])
    return found


SQL_AUDIT: Final[LiteralString] = """
INSERT INTO core.audit_log (actor, actor_id, action, subject_type, subject_id, account_id, before, after, reason,
    request_id)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
"""


@dataclass(frozen=True, slots=True)
class Audit:
    """One line of the audit log: who did what to whom. `before` and `after` never hold a secret."""

    actor: str
    actor_id: UUID | None
    action: str
    subject_type: str
    subject_id: str
    account_id: UUID | None = None
    before: Mapping[str, Any] | None = None
    after: Mapping[str, Any] | None = None
    reason: str | None = None
    request_id: str | None = None

    @classmethod
    def by(
        cls,
        caller: Caller,
        request_id: str,
        action: str,
        subject: tuple[str, UUID],
        *,
        before: Mapping[str, Any] | None = None,
        after: Mapping[str, Any] | None = None,
    ) -> "Audit":
        """What a caller did within his own account; `subject` is its type and id."""
        kind, subject_id = subject
        return cls(
            actor=caller.kind,
            actor_id=caller.id,
            action=action,
            subject_type=kind,
            subject_id=str(subject_id),
            account_id=caller.account_id,
            before=before,
            after=after,
            request_id=request_id,
        )

    @classmethod
    def by_staff(
        cls,
        staff: Staff,
        request_id: str,
        action: str,
        subject: tuple[str, object],
        *,
        account_id: UUID | None = None,
        before: Mapping[str, Any] | None = None,
        after: Mapping[str, Any] | None = None,
        reason: str | None = None,
    ) -> "Audit":
        """What a member of staff did; `subject` is its type and id, `account_id` whose it is, if anybody's."""
        kind, subject_id = subject
        return cls(
            actor="staff",
            actor_id=staff.user_id,
            action=action,
            subject_type=kind,
            subject_id=str(subject_id),
            account_id=account_id,
            before=before,
            after=after,
            reason=reason,
            request_id=request_id,
        )


async def write_audit(tx: Tx, audit: Audit) -> None:
    """Append to the audit log, in the transaction of what it tells of."""
    await tx.execute(
        SQL_AUDIT,
        audit.actor,
        audit.actor_id,
        audit.action,
        audit.subject_type,
        audit.subject_id,
        audit.account_id,
        audit.before,
        audit.after,
        audit.reason,
        audit.request_id,
    )
