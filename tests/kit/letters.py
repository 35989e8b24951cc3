"""Dead letters as rooms keep them, what they are about, and the queues that they go back to."""

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sema_common.billing import ledger
from sema_common.messages.store.accepting import NewMessage
from sema_common.platform.bus import DeadLetter, Delivery
from sema_common.platform.db import Database, Row
from sema_common.platform.dead_letters import keep_letters, letter_id
from sema_common.values.clock import now
from sema_common.values.ids import new_id
from sema_common.wire.contacts import ValidateContacts
from sema_common.wire.content import ScreenCampaign
from sema_common.wire.envelope import WireMessage
from sema_common.wire.sms import SmsJobs, jobs_id
from tests.kit import seeds


class Office:
    """Letters and what they are about."""

    def __init__(self, owner: Database) -> None:
        self.owner = owner

    async def keep(
        self,
        queue: str,
        body: bytes | WireMessage,
        *,
        type: str | None = None,
        version: int = 1,
        reason: str = "delivery_limit",
        dead_at: datetime | None = None,
        name: UUID | None = None,
    ) -> UUID:
        """One letter, as a room's drain keeps it; its id."""
        raw = body if isinstance(body, bytes) else body.model_dump_json().encode()
        kind = type or (body.TYPE if isinstance(body, WireMessage) else "sms.jobs")
        name = name or new_id()
        headers = {"event_id": str(name), "version": version, "attempt": 0, "x-odd": "1"}
        letter = DeadLetter(queue, reason, headers, raw, kind, version, name, dead_at or now(), 6)
        await keep_letters(self.owner, [letter])
        return letter_id(letter)

    async def accept(self, credit: str = "10", **changes: Any) -> NewMessage:
        """A charged, queued message of a new account."""
        async with self.owner.transaction() as tx:
            account_id = await seeds.open_account(tx, balance=credit)
            (message,) = await seeds.accept(tx, [seeds.new_message(account_id, **changes)])
            await seeds.queue(tx, [message], now())
        return message

    async def dead_job(self, *messages: NewMessage, queue: str = "sms.normal", attempt: int = 1) -> UUID:
        jobs = tuple(
            message.job(message.enqueued_at).model_copy(update={"attempt": attempt}) for message in messages
        )
        return await self.keep(queue, SmsJobs(jobs=jobs), name=jobs_id(jobs))

    async def row(self, letter: UUID) -> Row:
        row = await self.owner.fetchrow("SELECT * FROM core.dead_letters WHERE id = $1", letter)
        assert row is not None
        return row

    async def message(self, message: NewMessage) -> Row:
        row = await self.owner.fetchrow(
            "SELECT * FROM orch.sms_messages WHERE message_id = $1", message.message_id
        )
        assert row is not None
        return row

    async def balance(self, account_id: UUID) -> Decimal:
        async with self.owner.transaction() as tx:
            assert await ledger.find_drift(tx) == {}
            found = await ledger.read_balance(tx, account_id)
        assert found is not None
        return found.balance

    async def audits(self, letter: UUID) -> list[Row]:
        return await self.owner.fetch(
            "SELECT * FROM core.audit_log WHERE subject_id = $1 ORDER BY id", str(letter)
        )

    async def campaign(self, status: str = "submitted") -> ScreenCampaign:
        """A campaign that has reserved 4 of 10."""
        account, contact_list = await self._list()
        campaign = new_id()
        async with self.owner.transaction() as tx:
            await ledger.open_balance(tx, account, account, "KES")
            await ledger.adjust(tx, account, Decimal(6), account, "opening")
            await tx.execute(
                """INSERT INTO core.campaigns (id, tenant_id, account_id, billing_account_id, contact_list_id,
                   name, sender, message, status, currency, reserved)
                   VALUES ($1, $2, $2, $2, $3, 'Launch', 'SEMALINK', 'Hi', $4, 'KES', 4)""",
                *(campaign, account, contact_list, status),
            )
        return ScreenCampaign(campaign_id=campaign, account_id=account)

    async def validation(self, status: str = "running") -> ValidateContacts:
        account, contact_list = await self._list()
        job = new_id()
        await self.owner.execute(
            """INSERT INTO core.contact_validation_jobs (id, tenant_id, account_id, contact_list_id, status, total)
               VALUES ($1, $2, $2, $3, $4, 10)""",
            *(job, account, contact_list, status),
        )
        return ValidateContacts(job_id=job, account_id=account, contact_list_id=contact_list)

    async def _list(self) -> tuple[UUID, UUID]:
        account, contact_list = new_id(), new_id()
        await self.owner.execute(seeds.SQL_ACCOUNT, account, False)
        await self.owner.execute(
            "INSERT INTO core.contact_lists (id, tenant_id, account_id, name) VALUES ($1, $2, $2, 'L')",
            *(contact_list, account),
        )
        return account, contact_list


@dataclass
class Queue:
    """What arrived on one queue."""

    deliveries: list[Delivery[Any]] = field(default_factory=list)

    async def hear(self, delivery: Delivery[Any]) -> None:
        self.deliveries.append(delivery)

    @property
    def messages(self) -> list[Any]:
        return [delivery.message for delivery in self.deliveries]
