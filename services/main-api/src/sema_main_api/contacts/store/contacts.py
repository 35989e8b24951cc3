"""`core.contacts`."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, LiteralString
from uuid import UUID

from sema_common.platform.db import Tx
from sema_main_api.contacts.store.jobs import JobRow


@dataclass(frozen=True, slots=True)
class ContactRow:
    id: UUID
    phone: str
    name: str | None
    attributes: dict[str, str]
    validity: str
    msisdn: str | None
    country: str | None
    mno: str | None
    reason: str | None
    suggestion: str | None
    validation_job_id: UUID | None
    created_at: datetime
    validated_at: datetime | None


FIRST: Final = UUID(int=0)
LAST: Final = UUID(int=(1 << 128) - 1)
"""Bounds of every id: with a bound that may be NULL the index would be read from its end for each page."""

_COLUMNS: Final = """id, phone, name, attributes, validity, msisdn, country, mno, reason, suggestion,
    job_id AS validation_job_id, created_at, validated_at"""

# A contact that was there takes the new name and attributes. One that was found invalid, or that no living job ($6)
# will come to, is validated again, with this upload's job.
SQL_PUT: Final[LiteralString] = """
WITH put AS (
    INSERT INTO core.contacts AS c
        (id, tenant_id, account_id, contact_list_id, job_id, phone_key, phone, name, attributes)
    SELECT r.id, $1, $2, $3, $4, r.key, r.phone, r.name, r.attributes
    FROM json_to_recordset($5::text::json) AS r(id uuid, key text, phone text, name text, attributes jsonb)
    ON CONFLICT (contact_list_id, phone_key) DO UPDATE SET
        name = COALESCE(excluded.name, c.name), attributes = c.attributes || excluded.attributes,
        job_id = CASE WHEN c.validity = 'invalid' OR c.validity = 'pending' AND c.job_id <> ALL ($6::uuid[])
                      THEN excluded.job_id ELSE c.job_id END,
        reason = NULL, suggestion = CASE WHEN c.validity = 'valid' THEN c.suggestion END,
        validity = CASE WHEN c.validity = 'invalid' THEN 'pending' ELSE c.validity END
    RETURNING c.xmax = 0 AS added)
SELECT count(*) FILTER (WHERE added) FROM put
"""


async def put_batch(tx: Tx, job: JobRow, tenant_id: UUID, live: Sequence[UUID], batch: str) -> int:
    """Add or merge contacts, each key once in a batch (JSON: id, key, phone, name, attributes); how many are new."""
    added: int = await tx.fetchval(
        SQL_PUT, tenant_id, job.account_id, job.contact_list_id, job.id, batch, [*live, job.id]
    )
    return added


SQL_COUNT_PENDING: Final[LiteralString] = """
SELECT count(*) FROM core.contacts WHERE job_id = $1 AND validity = 'pending'
"""


async def count_pending(tx: Tx, job_id: UUID, timeout: float) -> int:
    """What a job has before it."""
    count: int = await tx.fetchval(SQL_COUNT_PENDING, job_id, timeout=timeout)
    return count


# Each validity in the order of its own index, and the three put together: no sort of a whole list.
SQL_CONTACTS: Final[LiteralString] = f"""
SELECT c.* FROM unnest(ARRAY['valid', 'invalid', 'pending']) AS each(validity), LATERAL (
    SELECT {_COLUMNS} FROM core.contacts
    WHERE contact_list_id = $1 AND validity = each.validity AND id < $2 AND account_id = $3
      AND ($5::text IS NULL OR strpos(phone, $5) > 0 OR strpos(msisdn, $5) > 0 OR strpos(lower(name), lower($5)) > 0)
      AND ($6::text IS NULL OR reason = $6) AND ($7::text IS NULL OR mno = $7)
    ORDER BY id DESC LIMIT $8) AS c
WHERE $4::text IS NULL OR each.validity = $4
ORDER BY c.id DESC LIMIT $8
"""


async def page_of_contacts(
    tx: Tx,
    list_id: UUID,
    account_id: UUID,
    before: UUID,
    filters: tuple[str | None, str | None, str | None, str | None],
    limit: int,
) -> list[ContactRow]:
    """Contacts of a list before an id (`LAST` for the first page), newest first.

    `filters`: validity, a part of number or name, reason, MNO.
    """
    rows = await tx.fetch(SQL_CONTACTS, list_id, before, account_id, *filters, limit)
    return [ContactRow(*row.values()) for row in rows]


SQL_EXPORT: Final[LiteralString] = """
SELECT c.* FROM unnest(ARRAY['valid', 'invalid', 'pending']) AS each(validity), LATERAL (
    SELECT id, phone, name, attributes, msisdn, validity, country, mno, reason, suggestion FROM core.contacts
    WHERE contact_list_id = $1 AND validity = each.validity AND id > $2 AND account_id = $3
    ORDER BY id LIMIT $5) AS c
WHERE $4::text IS NULL OR each.validity = $4
ORDER BY c.id LIMIT $5
"""


@dataclass(frozen=True, slots=True)
class ExportRow:
    id: UUID
    phone: str
    name: str | None
    attributes: dict[str, str]
    verdict: tuple[str | None, ...]


async def page_of_export(
    tx: Tx, list_id: UUID, account_id: UUID, after: UUID, validity: str | None, limit: int
) -> list[ExportRow]:
    """Contacts after an id (`FIRST` for the first page) in the order in which they came.

    `verdict` is in the order of `rules.OWN_COLUMNS`.
    """
    rows = await tx.fetch(SQL_EXPORT, list_id, after, account_id, validity, limit)
    return [
        ExportRow(row["id"], row["phone"], row["name"], row["attributes"], tuple(row.values())[4:])
        for row in rows
    ]


SQL_READ_CONTACT: Final[LiteralString] = f"""
SELECT {_COLUMNS} FROM core.contacts WHERE id = $1 AND contact_list_id = $2 AND account_id = $3
"""


async def read_contact(tx: Tx, contact_id: UUID, list_id: UUID, account_id: UUID) -> ContactRow | None:
    """One contact of a list."""
    row = await tx.fetchrow(SQL_READ_CONTACT, contact_id, list_id, account_id)
    return None if row is None else ContactRow(*row.values())


SQL_LOCK_CONTACT: Final[LiteralString] = f"""
SELECT {_COLUMNS} FROM core.contacts WHERE id = $1 AND contact_list_id = $2 AND account_id = $3 FOR UPDATE
"""


async def lock_contact(tx: Tx, contact_id: UUID, list_id: UUID, account_id: UUID) -> ContactRow | None:
    """One contact of a list, held until the transaction ends. A living job of its own is locked before it."""
    row = await tx.fetchrow(SQL_LOCK_CONTACT, contact_id, list_id, account_id)
    return None if row is None else ContactRow(*row.values())


SQL_DESCRIBE: Final[LiteralString] = f"""
UPDATE core.contacts SET name = $2, attributes = $3 WHERE id = $1 RETURNING {_COLUMNS}
"""


async def describe(tx: Tx, contact_id: UUID, name: str | None, attributes: dict[str, str]) -> ContactRow:
    """Another name and other attributes."""
    row = await tx.fetchrow(SQL_DESCRIBE, contact_id, name, attributes)
    assert row is not None
    return ContactRow(*row.values())


SQL_RENUMBER: Final[LiteralString] = f"""
UPDATE core.contacts SET phone = $2, phone_key = $3, job_id = $4, validity = 'pending', msisdn = NULL, country = NULL,
    mno = NULL, mno_tier = NULL, reason = NULL, suggestion = NULL, validated_at = NULL
WHERE id = $1 RETURNING {_COLUMNS}
"""


async def renumber(tx: Tx, contact_id: UUID, phone: str, key: str, job_id: UUID) -> ContactRow:
    """Another phone, to be validated by this job; UniqueViolation when the list has that number already."""
    row = await tx.fetchrow(SQL_RENUMBER, contact_id, phone, key, job_id)
    assert row is not None
    return ContactRow(*row.values())


SQL_DELETE_CONTACT: Final[LiteralString] = "DELETE FROM core.contacts WHERE id = $1"


async def delete_contact(tx: Tx, contact_id: UUID) -> None:
    """A contact that is locked."""
    await tx.execute(SQL_DELETE_CONTACT, contact_id)


SQL_DISCARD_INVALID: Final[LiteralString] = """
DELETE FROM core.contacts WHERE contact_list_id = $1 AND validity = 'invalid'
"""


async def discard_invalid(tx: Tx, list_id: UUID, timeout: float) -> int:
    """Delete the invalid contacts of a list; how many they were."""
    status = await tx.execute(SQL_DISCARD_INVALID, list_id, timeout=timeout)
    return int(status.split()[-1])


# Of contacts that would become the same number the first stays, and a contact that has the number already stays too.
SQL_DROP_SUGGESTED: Final[LiteralString] = """
DELETE FROM core.contacts c WHERE contact_list_id = $1 AND validity = 'invalid' AND suggestion IS NOT NULL
  AND (EXISTS (SELECT FROM core.contacts o WHERE o.contact_list_id = $1 AND o.phone_key = c.suggestion)
       OR EXISTS (SELECT FROM core.contacts o WHERE o.contact_list_id = $1 AND o.validity = 'invalid'
                  AND o.suggestion = c.suggestion AND o.id < c.id))
"""

SQL_APPLY_SUGGESTIONS: Final[LiteralString] = """
UPDATE core.contacts SET phone = suggestion, phone_key = suggestion, job_id = $2, validity = 'pending', msisdn = NULL,
    country = NULL, mno = NULL, mno_tier = NULL, reason = NULL, suggestion = NULL, validated_at = NULL
WHERE contact_list_id = $1 AND validity = 'invalid' AND suggestion IS NOT NULL
"""


async def apply_suggestions(tx: Tx, list_id: UUID, job_id: UUID, timeout: float) -> tuple[int, int]:
    """Every invalid contact with a suggestion takes it; how many did, and how many were merged away."""
    merged = await tx.execute(SQL_DROP_SUGGESTED, list_id, timeout=timeout)
    corrected = await tx.execute(SQL_APPLY_SUGGESTIONS, list_id, job_id, timeout=timeout)
    return int(corrected.split()[-1]), int(merged.split()[-1])
