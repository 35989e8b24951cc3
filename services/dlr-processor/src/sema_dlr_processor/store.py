"""Every statement of dlr-processor on its own schema, `dlr`, and on what its policy reads."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, LiteralString
from uuid import UUID

from sema_aggregators import Report
from sema_common.platform.db import Row, Tx
from sema_common.values.ids import id_time
from sema_dlr_processor.reading import Unread
from sema_dlr_processor.rules import Kept, Result

SQL_KEEP: Final[LiteralString] = """
INSERT INTO dlr.dlrs AS d (id, received_at, aggregator, aggregator_id, message_id, status, description, error_code,
    occurred_at, network, recipient, soft, suppress, raw, state, retry_at)
SELECT * FROM unnest($1::uuid[], $2::timestamptz[], $3::text[], $4::text[], $5::uuid[], $6::text[], $7::text[],
    $8::text[], $9::timestamptz[], $10::text[], $11::text[], $12::boolean[], $13::boolean[], $14::text[], $15::text[],
    $16::timestamptz[])
ON CONFLICT (id, received_at) DO UPDATE
SET message_id = excluded.message_id, state = excluded.state, retry_at = excluded.retry_at, processed_at = now()
WHERE d.state = 'unmatched'
RETURNING d.id, d.received_at
"""


@dataclass(frozen=True, slots=True)
class Filed:
    """A report and what became of it: `message_id` None is unmatched, to be tried again at `retry_at`."""

    kept: Kept
    message_id: UUID | None
    result: Result
    retry_at: datetime | None = None

    @property
    def state(self) -> str:
        """What its row says: of the reports that move nothing the message's history tells more."""
        if self.result == "foreign":
            return "abandoned"
        return self.result if self.result in ("applied", "unmatched") else "repeated"


async def keep(tx: Tx, filed: Sequence[Filed]) -> set[tuple[UUID, datetime]]:
    """File reports; one that is there already only ever turns from unmatched to matched.

    Answers the keys of the rows that were written. A report missing from them was matched and filed before:
    this is its second handling, not a second report.
    """
    if not filed:
        return set()
    rows = sorted({f.kept.row: f for f in filed}.values(), key=lambda f: f.kept.row)
    written = await tx.fetch(
        SQL_KEEP,
        [f.kept.id for f in rows],
        [f.kept.received_at for f in rows],
        [f.kept.aggregator for f in rows],
        [f.kept.report.aggregator_id for f in rows],
        [f.message_id for f in rows],
        [f.kept.report.status for f in rows],
        [f.kept.report.description for f in rows],
        [f.kept.report.error_code for f in rows],
        [f.kept.report.occurred_at for f in rows],
        [f.kept.report.network for f in rows],
        [f.kept.report.recipient for f in rows],
        [f.kept.report.soft for f in rows],
        [f.kept.report.suppress for f in rows],
        [f.kept.raw for f in rows],
        [f.state for f in rows],
        [f.retry_at for f in rows],
    )
    return {(row["id"], row["received_at"]) for row in written}


_REPORT: Final[
    LiteralString
] = """d.id, d.received_at, d.aggregator, d.aggregator_id, d.status, d.description,
    d.error_code, d.occurred_at, d.network, d.recipient, d.soft, d.suppress, d.raw"""

SQL_READ: Final[LiteralString] = f"""
SELECT {_REPORT} FROM unnest($1::uuid[], $2::timestamptz[]) AS wanted(id, received_at)
JOIN dlr.dlrs d ON d.id = wanted.id AND d.received_at = wanted.received_at
"""


async def read(tx: Tx, keys: Sequence[tuple[UUID, datetime]]) -> list[Kept]:
    """Stored reports by the keys of their rows."""
    if not keys:
        return []
    return [_kept(row) for row in await tx.fetch(SQL_READ, [k[0] for k in keys], [k[1] for k in keys])]


SQL_FIND_UNMATCHED: Final[LiteralString] = f"""
SELECT {_REPORT} FROM dlr.dlrs d WHERE d.state = 'unmatched' AND d.retry_at <= $1
ORDER BY d.retry_at LIMIT $2 FOR NO KEY UPDATE SKIP LOCKED
"""


async def find_unmatched(tx: Tx, now: datetime, at_most: int) -> list[Kept]:
    """Lock unmatched reports that are due for another look; other loops skip them until commit."""
    return [_kept(row) for row in await tx.fetch(SQL_FIND_UNMATCHED, now, at_most)]


def _kept(row: Row) -> Kept:
    report = Report(
        aggregator_id=row["aggregator_id"],
        status=row["status"],
        description=row["description"],
        error_code=row["error_code"],
        occurred_at=row["occurred_at"],
        network=row["network"],
        recipient=row["recipient"],
        soft=row["soft"],
        suppress=row["suppress"],
    )
    return Kept(row["id"], row["received_at"], row["aggregator"], report, row["raw"])


# No predicate on `state`: the partial index would answer it by reading everything that is unmatched.
SQL_POSTPONE: Final[LiteralString] = """
UPDATE dlr.dlrs d
SET retry_at = CASE WHEN p.abandoned THEN NULL ELSE p.retry_at END,
    state = CASE WHEN p.abandoned THEN 'abandoned' ELSE d.state END
FROM unnest($1::uuid[], $2::timestamptz[], $3::timestamptz[], $4::boolean[]) AS p(id, received_at, retry_at, abandoned)
WHERE d.id = p.id AND d.received_at = p.received_at
"""


async def postpone(
    tx: Tx, kept: Sequence[Kept], retry_at: Sequence[datetime], abandoned: Sequence[bool]
) -> None:
    """Look again later, or give up and leave the report to staff. They are locked by `find_unmatched`."""
    await tx.execute(
        SQL_POSTPONE, [k.id for k in kept], [k.received_at for k in kept], list(retry_at), list(abandoned)
    )


SQL_COUNT_UNMATCHED: Final[LiteralString] = "SELECT count(*) FROM dlr.dlrs WHERE state = 'unmatched'"


async def count_unmatched(tx: Tx) -> int:
    """How many reports wait for their submit."""
    count: int = await tx.fetchval(SQL_COUNT_UNMATCHED)
    return count


SQL_QUARANTINE: Final[LiteralString] = """
INSERT INTO dlr.quarantine (id, aggregator, reason, content_type, query, body, received_at)
SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bytea[], $7::timestamptz[])
ON CONFLICT DO NOTHING
RETURNING id
"""


async def quarantine(tx: Tx, unread: Sequence[Unread]) -> list[Unread]:
    """Keep what nobody could read, as it came; answers what was not there yet."""
    if not unread:
        return []
    rows = await tx.fetch(
        SQL_QUARANTINE,
        [u.id for u in unread],
        [u.aggregator for u in unread],
        [u.reason for u in unread],
        [u.content_type for u in unread],
        [u.query for u in unread],
        [u.body for u in unread],
        [u.received_at for u in unread],
    )
    written = {row["id"] for row in rows}
    return [u for u in unread if u.id in written]


SQL_REFUNDABLE: Final[LiteralString] = """
SELECT m.message_id, m.billing_account_id
FROM unnest($1::uuid[], $2::timestamptz[]) AS wanted(message_id, enqueued_at)
JOIN orch.sms_messages m ON m.message_id = wanted.message_id AND m.enqueued_at = wanted.enqueued_at
JOIN core.accounts a ON a.id = m.account_id
WHERE a.refund_undelivered
"""


async def refundable(tx: Tx, message_ids: Sequence[UUID]) -> dict[UUID, UUID]:
    """Of these undelivered messages those whose account is refunded for such, with who was charged."""
    rows = await tx.fetch(SQL_REFUNDABLE, list(message_ids), [id_time(i) for i in message_ids])
    return {row["message_id"]: row["billing_account_id"] for row in rows}


SQL_WITHHELD: Final[LiteralString] = """
SELECT w.message_id, w.billing_account_id FROM unnest($1::uuid[]) AS wanted(message_id)
JOIN dlr.withheld_refunds w ON w.message_id = wanted.message_id
"""


async def withheld(tx: Tx, message_ids: Sequence[UUID]) -> dict[UUID, UUID]:
    """Of these messages those whose refund waits for certainty, with who was charged."""
    rows = await tx.fetch(SQL_WITHHELD, sorted(message_ids))
    return {row["message_id"]: row["billing_account_id"] for row in rows}


SQL_WITHHOLD: Final[LiteralString] = """
INSERT INTO dlr.withheld_refunds (message_id, billing_account_id, due_at)
SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::timestamptz[]) ON CONFLICT DO NOTHING
"""


async def withhold(tx: Tx, refunds: Mapping[UUID, tuple[UUID, datetime]]) -> None:
    """Let these refunds wait: {message: (who was charged, until when)}."""
    ids = sorted(refunds)
    await tx.execute(SQL_WITHHOLD, ids, [refunds[i][0] for i in ids], [refunds[i][1] for i in ids])


SQL_DECIDED: Final[LiteralString] = """
DELETE FROM dlr.withheld_refunds w USING unnest($1::uuid[]) AS decided(message_id)
WHERE w.message_id = decided.message_id
"""


async def decided(tx: Tx, message_ids: Iterable[UUID]) -> None:
    """Whether these are refunded is decided: nothing waits any more."""
    await tx.execute(SQL_DECIDED, sorted(message_ids))


SQL_FIND_DUE_REFUNDS: Final[LiteralString] = """
SELECT message_id FROM dlr.withheld_refunds WHERE due_at <= $1 ORDER BY due_at LIMIT $2
"""


async def find_due_refunds(tx: Tx, now: datetime, at_most: int) -> list[UUID]:
    """Messages whose refund has waited long enough."""
    return [row["message_id"] for row in await tx.fetch(SQL_FIND_DUE_REFUNDS, now, at_most)]


SQL_DROP_PARTITIONS: Final[LiteralString] = "SELECT dlr.drop_partitions($1)"


async def drop_partitions(tx: Tx, keep_days: int) -> int:
    """Drop the months of reports that ended longer ago than that; answers how many."""
    dropped: int = await tx.fetchval(SQL_DROP_PARTITIONS, keep_days)
    return dropped
