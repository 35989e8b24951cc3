"""Sender IDs of every account, countries' rules, protected names."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final, LiteralString
from uuid import UUID

from sema_common.platform.db import Tx
from sema_main_api.admin.senders.rules import LookAlike


@dataclass(frozen=True, slots=True)
class SenderRow:
    id: UUID
    account_id: UUID
    account_name: str
    sender: str
    skeleton: str
    status: str
    countries: list[str]
    purpose: str | None
    reason: str | None
    created_at: datetime
    decided_at: datetime | None
    decided_by: UUID | None

    @property
    def audited(self) -> dict[str, Any]:
        """What staff decide, as the audit log keeps it."""
        return {name: getattr(self, name) for name in ("sender", "status", "countries", "reason")}


SENDER: Final[LiteralString] = """
SELECT s.id, s.account_id, a.name, s.sender, s.skeleton, s.status, s.countries, s.purpose, s.reason, s.created_at,
       s.decided_at, s.decided_by
FROM core.sender_ids s JOIN core.accounts a ON a.id = s.account_id
"""

SQL_SENDERS: Final[LiteralString] = f"""{SENDER}
WHERE ($1::uuid IS NULL OR s.id < $1) AND ($2::text IS NULL OR s.status = $2)
  AND ($3::uuid IS NULL OR s.account_id = $3) AND ($4::text IS NULL OR s.skeleton = $4)
ORDER BY s.id DESC LIMIT $5
"""


async def list_senders(
    tx: Tx, before: UUID | None, status: str | None, account_id: UUID | None, skeleton: str | None, limit: int
) -> list[SenderRow]:
    """Sender IDs of all accounts, the youngest first; with `skeleton` what looks like it."""
    rows = await tx.fetch(SQL_SENDERS, before, status, account_id, skeleton, limit)
    return [SenderRow(*row.values()) for row in rows]


SQL_READ: Final[LiteralString] = f"{SENDER} WHERE s.id = $1"


async def read_sender(tx: Tx, sender_id: UUID) -> SenderRow | None:
    """One sender ID, whosever it is."""
    row = await tx.fetchrow(SQL_READ, sender_id)
    return None if row is None else SenderRow(*row.values())


SQL_LOCK: Final[LiteralString] = f"{SENDER} WHERE s.id = $1 FOR NO KEY UPDATE OF s"
SQL_LOCK_SKELETON: Final[LiteralString] = "SELECT pg_advisory_xact_lock(hashtextextended('sender:' || $1, 0))"


async def lock_sender(tx: Tx, sender_id: UUID) -> SenderRow | None:
    """One sender ID, against others who decide on it or on what looks like it."""
    found = await read_sender(tx, sender_id)
    if found is None:
        return None
    await tx.execute(SQL_LOCK_SKELETON, found.skeleton)
    row = await tx.fetchrow(SQL_LOCK, sender_id)
    return None if row is None else SenderRow(*row.values())


SQL_LOOK_ALIKES: Final[LiteralString] = """
SELECT s.sender, s.account_id, a.name FROM core.sender_ids s JOIN core.accounts a ON a.id = s.account_id
WHERE s.skeleton = $1 AND s.account_id <> $2 AND s.status = 'approved' ORDER BY s.id LIMIT 20
"""


async def approved_like(tx: Tx, sender: SenderRow) -> list[LookAlike]:
    """Approved sender IDs of other accounts that read like this one: the first twenty."""
    rows = await tx.fetch(SQL_LOOK_ALIKES, sender.skeleton, sender.account_id)
    return [LookAlike("approved", row["sender"], str(row["account_id"]), row["name"]) for row in rows]


SQL_APPROVE: Final[LiteralString] = """
UPDATE core.sender_ids SET status = 'approved', reason = $3, decided_by = $4, decided_at = now(),
    countries = COALESCE($2, NULLIF(countries, '{}'),
                         ARRAY(SELECT country FROM core.sender_rules WHERE needs_registration ORDER BY country))
WHERE id = $1
"""


async def approve(
    tx: Tx, sender_id: UUID, countries: Sequence[str] | None, reason: str | None, staff_id: UUID
) -> None:
    """The account may use it from now on; without `countries` where it was wanted, or where one needs to be known."""
    chosen = None if countries is None else sorted(set(countries))
    await tx.execute(SQL_APPROVE, sender_id, chosen, reason, staff_id)


SQL_REJECT: Final[LiteralString] = """
UPDATE core.sender_ids SET status = 'rejected', reason = $2, decided_by = $3, decided_at = now() WHERE id = $1
"""


async def reject(tx: Tx, sender_id: UUID, reason: str, staff_id: UUID) -> None:
    """The account may not use it, or no more."""
    await tx.execute(SQL_REJECT, sender_id, reason, staff_id)


@dataclass(frozen=True, slots=True)
class RuleRow:
    country: str
    needs_registration: bool
    allows_alphanumeric: bool
    allows_numeric: bool
    note: str | None
    changed_at: datetime

    @property
    def audited(self) -> dict[str, Any]:
        fields = asdict(self)
        del fields["changed_at"]
        return fields


RULE: Final[LiteralString] = (
    "country, needs_registration, allows_alphanumeric, allows_numeric, note, changed_at"
)
SQL_RULES: Final[LiteralString] = f"SELECT {RULE} FROM core.sender_rules ORDER BY country"


async def list_rules(tx: Tx) -> list[RuleRow]:
    """All countries that have a rule."""
    return [RuleRow(*row.values()) for row in await tx.fetch(SQL_RULES)]


SQL_LOCK_RULE: Final[LiteralString] = f"SELECT {RULE} FROM core.sender_rules WHERE country = $1 FOR UPDATE"


async def lock_rule(tx: Tx, country: str) -> RuleRow | None:
    """A country's rule, against others who change it."""
    row = await tx.fetchrow(SQL_LOCK_RULE, country)
    return None if row is None else RuleRow(*row.values())


SQL_PUT_RULE: Final[LiteralString] = f"""
INSERT INTO core.sender_rules (country, needs_registration, allows_alphanumeric, allows_numeric, note)
VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (country) DO UPDATE SET needs_registration = EXCLUDED.needs_registration,
    allows_alphanumeric = EXCLUDED.allows_alphanumeric, allows_numeric = EXCLUDED.allows_numeric,
    note = EXCLUDED.note, changed_at = now()
RETURNING {RULE}
"""


async def put_rule(
    tx: Tx, country: str, registration: bool, alphanumeric: bool, numeric: bool, note: str | None
) -> RuleRow:
    """Write a country's rule as it shall be."""
    row = await tx.fetchrow(SQL_PUT_RULE, country, registration, alphanumeric, numeric, note)
    assert row is not None
    return RuleRow(*row.values())


SQL_REMOVE_RULE: Final[LiteralString] = "DELETE FROM core.sender_rules WHERE country = $1"


async def remove_rule(tx: Tx, country: str) -> None:
    """The country takes any sender."""
    await tx.execute(SQL_REMOVE_RULE, country)


@dataclass(frozen=True, slots=True)
class NameRow:
    name: str
    note: str | None
    created_at: datetime


SQL_NAMES: Final[LiteralString] = (
    "SELECT name, note, created_at FROM core.protected_names ORDER BY lower(name)"
)


async def list_names(tx: Tx) -> list[NameRow]:
    """All protected names."""
    return [NameRow(*row.values()) for row in await tx.fetch(SQL_NAMES)]


SQL_ADD_NAME: Final[LiteralString] = """
INSERT INTO core.protected_names (name, note) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING
RETURNING name, note, created_at
"""


async def add_name(tx: Tx, name: str, note: str | None) -> NameRow | None:
    """Protect a name; None when it is already."""
    row = await tx.fetchrow(SQL_ADD_NAME, name, note)
    return None if row is None else NameRow(*row.values())


SQL_REMOVE_NAME: Final[LiteralString] = """
DELETE FROM core.protected_names WHERE name = $1 RETURNING name, note, created_at
"""


async def remove_name(tx: Tx, name: str) -> NameRow | None:
    """Protect it no more; None when it was not."""
    row = await tx.fetchrow(SQL_REMOVE_NAME, name)
    return None if row is None else NameRow(*row.values())
