"""Messages come into being: rows and their first event, inside the accept transaction of main-api."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Final, LiteralString
from uuid import UUID

from sema_common.billing.agents import Sale
from sema_common.messages.jobs import job_of
from sema_common.platform.db import Tx
from sema_common.wire.sms import Kind, Lane, SmsJob


@dataclass(slots=True)
class NewMessage:
    """One priced message. `enqueued_at` is the millisecond of `message_id` and names its partition.

    `cost` is what its account pays and sees; `wholesale` what the agent of the account is charged.
    Nobody changes one; not `frozen`, which sets 23 fields by a call each: 2.7 µs in place of 0.7.
    """

    message_id: UUID
    enqueued_at: datetime
    tenant_id: UUID
    account_id: UUID
    billing_account_id: UUID
    to: str
    sender: str
    body: str
    kind: Kind
    lane: Lane
    test: bool
    encoding: str
    segments: int
    cost: Decimal
    currency: str
    country: str
    mno: str | None
    idempotency_hash: str | None
    metadata: dict[str, str] | None
    callback_url: str | None
    traceparent: str | None
    valid_until: datetime
    campaign_id: UUID | None = None
    wholesale: Decimal | None = None

    @property
    def charged(self) -> Decimal:
        """What the billing account is charged."""
        return self.cost if self.wholesale is None else self.wholesale

    @property
    def volume(self) -> int:
        """Segments that count for the volume of the month."""
        return 0 if self.test else self.segments

    @property
    def sale(self) -> Sale | None:
        """What is owed to the agent, where there is one and it is no test."""
        if self.wholesale is None or self.test:
            return None
        return Sale(
            self.message_id,
            self.account_id,
            self.billing_account_id,
            self.tenant_id,
            self.segments,
            self.cost,
            self.wholesale,
        )

    def job(self, queued_at: datetime) -> SmsJob:
        """The wire job of this message."""
        return job_of(self, created_at=self.enqueued_at, queued_at=queued_at)


SQL_INSERT_MESSAGES: Final[LiteralString] = """
WITH fresh AS MATERIALIZED (
    SELECT * FROM unnest(
        $1::uuid[], $2::timestamptz[], $3::uuid[], $4::uuid[], $5::uuid[], $6::uuid[], $7::text[], $8::text[],
        $9::text[], $10::text[], $11::text[], $12::boolean[], $13::text[], $14::smallint[], $15::numeric[],
        $16::text[], $17::text[], $18::text[], $19::text[], $20::jsonb[], $21::text[], $22::text[], $23::timestamptz[])
        AS m(message_id, enqueued_at, tenant_id, account_id, billing_account_id, campaign_id, to_msisdn, from_sender,
             body, message_type, lane, test, encoding, segment_count, cost, currency, country, operator_id,
             idempotency_hash, metadata, callback_url, traceparent, valid_until)
), messages AS (
    INSERT INTO orch.sms_messages (
        message_id, enqueued_at, tenant_id, account_id, billing_account_id, campaign_id, to_msisdn, from_sender,
        body, message_type, lane, test, encoding, segment_count, cost, currency, country, operator_id,
        idempotency_hash, metadata, callback_url, traceparent, valid_until, status, status_updated_at)
    SELECT m.*, 'submitted', m.enqueued_at FROM fresh m
)
INSERT INTO orch.message_events (message_id, enqueued_at, tenant_id, event_key, status, occurred_at, source)
SELECT message_id, enqueued_at, tenant_id, 'submitted', 'submitted', enqueued_at, 'main-api' FROM fresh
"""


async def insert_messages(tx: Tx, messages: Sequence[NewMessage]) -> None:
    """Write the messages as `submitted`, each with its first event."""
    await tx.execute(
        SQL_INSERT_MESSAGES,
        [m.message_id for m in messages],
        [m.enqueued_at for m in messages],
        [m.tenant_id for m in messages],
        [m.account_id for m in messages],
        [m.billing_account_id for m in messages],
        [m.campaign_id for m in messages],
        [m.to for m in messages],
        [m.sender for m in messages],
        [m.body for m in messages],
        [m.kind for m in messages],
        [m.lane for m in messages],
        [m.test for m in messages],
        [m.encoding for m in messages],
        [m.segments for m in messages],
        [m.cost for m in messages],
        [m.currency for m in messages],
        [m.country for m in messages],
        [m.mno for m in messages],
        [m.idempotency_hash for m in messages],
        [m.metadata for m in messages],
        [m.callback_url for m in messages],
        [m.traceparent for m in messages],
        [m.valid_until for m in messages],
    )


SQL_EXISTING: Final[LiteralString] = """
SELECT m.message_id FROM unnest($1::uuid[], $2::timestamptz[]) AS wanted(message_id, enqueued_at)
JOIN orch.sms_messages m ON m.message_id = wanted.message_id AND m.enqueued_at = wanted.enqueued_at
"""


async def find_existing(tx: Tx, messages: Sequence[NewMessage]) -> set[UUID]:
    """Which of these were committed: the question to ask when the answer to COMMIT was lost."""
    rows = await tx.fetch(SQL_EXISTING, [m.message_id for m in messages], [m.enqueued_at for m in messages])
    return {row["message_id"] for row in rows}
