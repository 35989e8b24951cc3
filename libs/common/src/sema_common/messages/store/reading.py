"""Messages by their ids, for whoever has no job in hand: settlement, retries, reports."""

from collections.abc import Sequence
from typing import Final, LiteralString
from uuid import UUID

from sema_common.messages.status import Status
from sema_common.messages.store.rows import COLUMNS, MessageRow, message_row
from sema_common.platform.db import Tx
from sema_common.values.ids import id_time

SQL_READ_MESSAGES: Final[LiteralString] = f"""
SELECT {COLUMNS} FROM unnest($1::uuid[], $2::timestamptz[]) AS wanted(message_id, enqueued_at)
JOIN orch.sms_messages m ON m.message_id = wanted.message_id AND m.enqueued_at = wanted.enqueued_at
"""


async def read_messages(tx: Tx, message_ids: Sequence[UUID]) -> dict[UUID, MessageRow]:
    """The stored messages."""
    ids = sorted(set(message_ids))
    rows = await tx.fetch(SQL_READ_MESSAGES, ids, [id_time(i) for i in ids])
    return {row["message_id"]: message_row(row) for row in rows}


SQL_READ_STATUS: Final[LiteralString] = """
SELECT m.message_id, m.status FROM unnest($1::uuid[], $2::timestamptz[]) AS wanted(message_id, enqueued_at)
JOIN orch.sms_messages m ON m.message_id = wanted.message_id AND m.enqueued_at = wanted.enqueued_at
"""


async def read_status(tx: Tx, message_ids: Sequence[UUID]) -> dict[UUID, Status]:
    """Where these messages stand."""
    ids = sorted(set(message_ids))
    rows = await tx.fetch(SQL_READ_STATUS, ids, [id_time(i) for i in ids])
    return {row["message_id"]: row["status"] for row in rows}


SQL_LOCK_STATUS: Final[LiteralString] = """
SELECT m.message_id, m.status FROM unnest($1::uuid[], $2::timestamptz[]) AS wanted(message_id, enqueued_at)
JOIN orch.sms_messages m ON m.message_id = wanted.message_id AND m.enqueued_at = wanted.enqueued_at
ORDER BY m.message_id FOR NO KEY UPDATE OF m
"""


async def lock_status(tx: Tx, message_ids: Sequence[UUID]) -> dict[UUID, Status]:
    """Lock these messages, after the balances and before their attempts; answers where they stand."""
    ids = sorted(set(message_ids))
    rows = await tx.fetch(SQL_LOCK_STATUS, ids, [id_time(i) for i in ids])
    return {row["message_id"]: row["status"] for row in rows}
