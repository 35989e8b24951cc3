"""The blocklist, its version, and the texts that a change is tried on."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, LiteralString
from uuid import UUID

from sema_common.platform.db import Tx
from sema_common.values.ids import first_id
from sema_main_api.admin.content_rules.rules import StoredRule, Text
from sema_main_api.admin.content_rules.schemas import NewRule

SQL_VERSION: Final[LiteralString] = "SELECT version, changed_at FROM core.content_rules_version"


async def read_version(tx: Tx) -> tuple[int, datetime]:
    """The version in force and since when."""
    row = await tx.fetchrow(SQL_VERSION)
    assert row is not None
    return row["version"], row["changed_at"]


SQL_LOCK_VERSION: Final[LiteralString] = "SELECT version FROM core.content_rules_version FOR NO KEY UPDATE"


async def lock_version(tx: Tx) -> int:
    """One change at a time: the version before it."""
    version: int = await tx.fetchval(SQL_LOCK_VERSION)
    return version


SQL_ALL: Final[LiteralString] = """
SELECT id, kind, value, language, whole_word, note, created_at, updated_at FROM core.content_blocklist ORDER BY id
"""


async def read_all(tx: Tx) -> list[StoredRule]:
    """Every rule."""
    return [StoredRule(*row.values()) for row in await tx.fetch(SQL_ALL)]


SQL_PAGE: Final[LiteralString] = """
SELECT id, kind, value, language, whole_word, note, created_at, updated_at FROM core.content_blocklist
WHERE ($1::bigint IS NULL OR id < $1) AND ($2::text IS NULL OR kind = $2) AND ($3::text IS NULL OR language = $3)
  AND ($4::text IS NULL OR strpos(lower(value), lower($4)) > 0)
ORDER BY id DESC LIMIT $5
"""


async def read_page(
    tx: Tx, before: int | None, kind: str | None, language: str | None, search: str | None, limit: int
) -> list[StoredRule]:
    """Rules older than `before`, newest first."""
    rows = await tx.fetch(SQL_PAGE, before, kind, language, search, limit)
    return [StoredRule(*row.values()) for row in rows]


SQL_ONE: Final[LiteralString] = """
SELECT id, kind, value, language, whole_word, note, created_at, updated_at FROM core.content_blocklist WHERE id = $1
"""


async def read_one(tx: Tx, rule_id: int) -> StoredRule | None:
    """One rule, or None."""
    row = await tx.fetchrow(SQL_ONE, rule_id)
    return None if row is None else StoredRule(*row.values())


SQL_ADD: Final[LiteralString] = """
INSERT INTO core.content_blocklist (kind, value, language, whole_word, note)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::boolean[], $5::text[])
RETURNING id, kind, value, language, whole_word, note, created_at, updated_at
"""


async def add(tx: Tx, new: Sequence[NewRule]) -> list[StoredRule]:
    """Write new rules, in their order."""
    rows = await tx.fetch(
        SQL_ADD,
        [rule.kind for rule in new],
        [rule.value for rule in new],
        [rule.language for rule in new],
        [rule.whole_word for rule in new],
        [rule.note for rule in new],
    )
    return [StoredRule(*row.values()) for row in rows]


SQL_CHANGE: Final[LiteralString] = """
UPDATE core.content_blocklist b
SET value = n.value, language = n.language, whole_word = n.whole_word, note = n.note, updated_at = n.at
FROM unnest($1::bigint[], $2::text[], $3::text[], $4::boolean[], $5::text[], $6::timestamptz[])
    AS n(id, value, language, whole_word, note, at)
WHERE b.id = n.id
"""


async def change(tx: Tx, rules: Sequence[StoredRule]) -> None:
    """Write rules that exist as they shall be."""
    await tx.execute(
        SQL_CHANGE,
        [rule.id for rule in rules],
        [rule.value for rule in rules],
        [rule.language for rule in rules],
        [rule.whole_word for rule in rules],
        [rule.note for rule in rules],
        [rule.updated_at for rule in rules],
    )


SQL_REMOVE: Final[LiteralString] = "DELETE FROM core.content_blocklist WHERE id = ANY($1::bigint[])"


async def remove(tx: Tx, ids: Sequence[int]) -> None:
    """Take rules away."""
    await tx.execute(SQL_REMOVE, list(ids))


SQL_MESSAGES: Final[LiteralString] = """
SELECT account_id, body FROM orch.sms_messages
WHERE message_id >= $1 AND enqueued_at >= $2 AND NOT test
ORDER BY message_id DESC LIMIT $3
"""

SQL_CAMPAIGNS: Final[LiteralString] = """
SELECT account_id, message AS body FROM core.campaigns WHERE id >= $1 ORDER BY id DESC LIMIT $2
"""

SQL_REFUSALS: Final[LiteralString] = """
SELECT account_id, body FROM core.content_refusals WHERE last_at >= $1 ORDER BY last_at DESC, hash DESC LIMIT $2
"""


@dataclass(frozen=True, slots=True)
class Recent:
    """Texts since a moment, each text of an account once; `messages` is how many messages they were."""

    messages: int
    accepted: list[Text]
    refused: list[Text]


async def read_recent(tx: Tx, since: datetime, messages: int, others: int) -> Recent:
    """The latest messages of live keys, campaigns' templates, and texts that were refused."""
    sent = await tx.fetch(SQL_MESSAGES, first_id(since), since, messages)
    campaigns = await tx.fetch(SQL_CAMPAIGNS, first_id(since), others)
    refused = await tx.fetch(SQL_REFUSALS, since, others)
    accepted = [
        *(Text(row["account_id"], "message", row["body"]) for row in sent),
        *(Text(row["account_id"], "campaign", row["body"]) for row in campaigns),
    ]
    return Recent(
        len(sent),
        list(dict.fromkeys(accepted)),
        [Text(row["account_id"], "refusal", row["body"]) for row in refused],
    )


@dataclass(frozen=True, slots=True)
class RefusalRow:
    hash: bytes
    account_id: UUID
    body: str
    reasons: list[dict[str, Any]]
    refusals: int
    first_at: datetime
    last_at: datetime


SQL_REFUSAL_PAGE: Final[LiteralString] = """
SELECT hash, account_id, body, reasons, refusals, first_at, last_at FROM core.content_refusals
WHERE ($1::timestamptz IS NULL OR (last_at, hash) < ($1, $2)) AND ($3::uuid IS NULL OR account_id = $3)
ORDER BY last_at DESC, hash DESC LIMIT $4
"""


async def read_refusals(
    tx: Tx, before: tuple[datetime, bytes] | None, account_id: UUID | None, limit: int
) -> list[RefusalRow]:
    """Texts that were refused, the latest first."""
    at, hash_ = before or (None, None)
    rows = await tx.fetch(SQL_REFUSAL_PAGE, at, hash_, account_id, limit)
    return [RefusalRow(*row.values()) for row in rows]
