"""What messaging reads besides messages and money: senders, networks, content rules; and the tenant's reads."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Final, LiteralString
from uuid import UUID

from sema_common.messages.store.rows import COLUMNS, MessageRow, message_row
from sema_common.platform.db import Row, Tx
from sema_common.values.networks import MnoRow
from sema_common.values.senders import SenderRule
from sema_content_checker import Rule
from sema_main_api.messaging.rules.refusals import RefusedText

SQL_APPROVED_SENDERS: Final[LiteralString] = """
SELECT sender, countries FROM core.sender_ids WHERE account_id = $1 AND status = 'approved'
"""


async def approved_senders(tx: Tx, account_id: UUID) -> dict[str, frozenset[str]]:
    """The sender IDs that this account may use, each with the countries where it is registered."""
    rows = await tx.fetch(SQL_APPROVED_SENDERS, account_id)
    return {row["sender"]: frozenset(row["countries"]) for row in rows}


SQL_SENDER_RULES: Final[LiteralString] = """
SELECT country, needs_registration, allows_alphanumeric, allows_numeric FROM core.sender_rules ORDER BY country
"""


async def sender_rules(tx: Tx) -> dict[str, SenderRule]:
    """What countries take as senders: a few rows, read in whole."""
    return {row["country"]: SenderRule(*list(row.values())[1:]) for row in await tx.fetch(SQL_SENDER_RULES)}


SQL_NETWORKS_VERSION: Final[LiteralString] = """
SELECT (count(*), sum(xmin::text::bigint))::text FROM core.mno_prefixes
"""


async def networks_version(tx: Tx) -> str:
    """Changes whenever the registry does, in whatever order changes commit; cheaper than reading it all."""
    version: str = await tx.fetchval(SQL_NETWORKS_VERSION)
    return version


SQL_NETWORKS: Final[LiteralString] = "SELECT prefix, country, mno, source FROM core.mno_prefixes"


async def networks(tx: Tx) -> list[MnoRow]:
    """The MNO registry, both tiers."""
    return [MnoRow(*row.values()) for row in await tx.fetch(SQL_NETWORKS)]


SQL_CONTENT_VERSION: Final[LiteralString] = "SELECT version FROM core.content_rules_version"


async def content_version(tx: Tx) -> int:
    """Moves with every change of the content rules."""
    version: int = await tx.fetchval(SQL_CONTENT_VERSION)
    return version


# One statement, so one snapshot: the rules are those of the version.
SQL_CONTENT_RULES: Final[LiteralString] = """
SELECT v.version, b.kind, b.value, b.language, b.whole_word
FROM core.content_rules_version v LEFT JOIN core.content_blocklist b ON true ORDER BY b.id
"""


async def content_rules(tx: Tx) -> tuple[int, list[Rule]]:
    """The version and every rule that staff have set."""
    rows = await tx.fetch(SQL_CONTENT_RULES)
    rules = [Rule(*list(row.values())[1:]) for row in rows if row["kind"] is not None]
    return rows[0]["version"], rules


SQL_KEEP_REFUSALS: Final[LiteralString] = """
INSERT INTO core.content_refusals AS kept (hash, account_id, body, reasons, refusals, first_at, last_at)
SELECT n.hash, n.account_id, n.body, n.reasons::jsonb, n.refusals, n.last_at, n.last_at
FROM unnest($1::bytea[], $2::uuid[], $3::text[], $4::text[], $5::int[], $6::timestamptz[])
    AS n(hash, account_id, body, reasons, refusals, last_at)
ON CONFLICT (hash) DO UPDATE SET reasons = excluded.reasons, refusals = kept.refusals + excluded.refusals,
    last_at = greatest(kept.last_at, excluded.last_at)
"""


async def keep_refusals(tx: Tx, refused: Sequence[RefusedText]) -> None:
    """Write down texts that were refused; one that is there counts up."""
    ordered = sorted(refused, key=lambda each: each.hash)
    await tx.execute(
        SQL_KEEP_REFUSALS,
        [each.hash for each in ordered],
        [each.account_id for each in ordered],
        [each.body for each in ordered],
        [json.dumps(each.reasons) for each in ordered],  # a list in a jsonb[] would be one dimension more
        [each.count for each in ordered],
        [each.last_at for each in ordered],
    )


SQL_PURGE_REFUSALS: Final[LiteralString] = """
DELETE FROM core.content_refusals WHERE hash IN (
    SELECT hash FROM core.content_refusals WHERE last_at < $1 ORDER BY last_at LIMIT 1000
)
"""


async def purge_refusals(tx: Tx, before: datetime) -> int:
    """Forget refused texts last seen before then, a page at a time: how many."""
    return int((await tx.execute(SQL_PURGE_REFUSALS, before)).split()[-1])


SQL_MESSAGE: Final[LiteralString] = f"""
SELECT {COLUMNS} FROM orch.sms_messages m WHERE m.message_id = $1 AND m.enqueued_at = $2 AND m.account_id = $3
"""


async def message(tx: Tx, message_id: UUID, enqueued_at: datetime, account_id: UUID) -> MessageRow | None:
    """One message of the account, or None."""
    row = await tx.fetchrow(SQL_MESSAGE, message_id, enqueued_at, account_id)
    return None if row is None else message_row(row)


SQL_EVENTS: Final[LiteralString] = """
SELECT status, occurred_at, source, detail FROM orch.message_events
WHERE message_id = $1 AND enqueued_at = $2
ORDER BY occurred_at, orch.status_rank(status), event_key
"""


async def events(tx: Tx, message_id: UUID, enqueued_at: datetime) -> list[Row]:
    """The whole journey of a message, oldest first."""
    return await tx.fetch(SQL_EVENTS, message_id, enqueued_at)


SQL_MESSAGES: Final[LiteralString] = f"""
SELECT {COLUMNS} FROM orch.sms_messages m
WHERE m.account_id = $1 AND (m.enqueued_at, m.message_id) < ($2, $3) AND m.enqueued_at >= $4
  AND ($5::text IS NULL OR m.status = $5) AND ($6::text IS NULL OR m.to_msisdn = $6)
  AND ($7::text IS NULL OR m.from_sender = $7) AND ($8::uuid IS NULL OR m.campaign_id = $8)
  AND ($9::jsonb IS NULL OR m.metadata @> $9)
ORDER BY m.enqueued_at DESC, m.message_id DESC LIMIT $10
"""


async def messages(
    tx: Tx,
    account_id: UUID,
    *,
    before: tuple[datetime, UUID],
    since: datetime,
    status: str | None,
    to: str | None,
    sender: str | None,
    campaign_id: UUID | None,
    metadata: Mapping[str, str] | None,
    limit: int,
) -> list[MessageRow]:
    """A page of the account's messages, newest first, older than `before`."""
    rows = await tx.fetch(
        SQL_MESSAGES, account_id, *before, since, status, to, sender, campaign_id, metadata, limit
    )
    return [message_row(row) for row in rows]


@dataclass(frozen=True, slots=True)
class CountRow:
    """Messages of one group and status; `refunded`: how much of `cost` was given back."""

    key: str | None
    country: str | None
    status: str
    messages: int
    segments: int
    cost: Decimal
    refunded: Decimal


# A refund is looked up by its key, and only for what has failed. It may be an agent's at wholesale: that there is one
# counts.
SQL_COUNTS: Final[LiteralString] = """
WITH counted AS (
    SELECT CASE $4 WHEN 'day' THEN (m.enqueued_at AT TIME ZONE 'UTC')::date::text WHEN 'mno' THEN m.operator_id
                   WHEN 'country' THEN m.country::text WHEN 'sender' THEN m.from_sender
                   ELSE m.campaign_id::text END AS key,
           CASE WHEN $4 = 'mno' THEN m.country::text END AS country, m.status, m.segment_count AS segments, m.cost,
           CASE WHEN m.status IN ('failed', 'expired') AND m.cost > 0 THEN
               (SELECT m.cost FROM billing.credit_ledger r WHERE r.reference = m.message_id AND r.kind = 'refund')
           END AS refunded
    FROM orch.sms_messages m
    WHERE m.account_id = $1 AND m.enqueued_at >= $2 AND m.enqueued_at < $3 AND NOT m.test
), groups AS (
    SELECT key, country, status, count(*) AS messages, sum(segments) AS segments, sum(cost) AS cost,
           COALESCE(sum(refunded), 0) AS refunded
    FROM counted GROUP BY key, country, status
), ranked AS (
    SELECT *, dense_rank() OVER (ORDER BY total DESC, key, country) AS rank
    FROM (SELECT *, sum(messages) OVER (PARTITION BY key, country) AS total FROM groups) AS totals
)
SELECT key, country, status, messages, segments, cost, refunded FROM ranked WHERE rank <= $5 ORDER BY rank, status
"""


async def counts(
    tx: Tx, account_id: UUID, since: datetime, before: datetime, group_by: str, limit: int
) -> list[CountRow]:
    """The account's live messages by group and status, of the `limit` groups with the most of them."""
    rows = await tx.fetch(SQL_COUNTS, account_id, since, before, group_by, limit)
    return [CountRow(*row.values()) for row in rows]
