"""Contact lists as phone-validator leaves them, the verdict as content-worker gives it, and a customer's hands."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import UUID

import httpx

from sema_common.platform.bus import Delivery
from sema_common.platform.db import Database, Tx
from sema_common.values.ids import new_id
from sema_common.wire.envelope import WireMessage
from sema_common.wire.sms import SmsJobs
from tests.kit.client import eventually

SQL_LIST = """
INSERT INTO core.contact_lists (id, tenant_id, account_id, name)
SELECT $1, tenant_id, id, 'Test' FROM core.accounts WHERE id = $2
"""

SQL_CONTACTS = """
INSERT INTO core.contacts (id, tenant_id, account_id, contact_list_id, phone, msisdn, name, attributes, validity,
    country, mno)
SELECT c.id, l.tenant_id, l.account_id, l.id, c.msisdn, c.msisdn, c.name, c.attributes, c.validity, c.country, c.mno
FROM unnest($2::uuid[], $3::text[], $4::text[], $5::jsonb[], $6::text[], $7::text[], $8::text[])
    AS c(id, msisdn, name, attributes, validity, country, mno), core.contact_lists l WHERE l.id = $1
"""

SQL_MANY = """
INSERT INTO core.contacts (id, tenant_id, account_id, contact_list_id, phone, msisdn, name, attributes, validity,
    country, mno)
SELECT gen_random_uuid(), l.tenant_id, l.account_id, l.id, n.msisdn, n.msisdn, 'Contact ' || n.i,
       jsonb_build_object('city', 'Nakuru'), 'valid', 'KE', 'Safaricom'
FROM core.contact_lists l, LATERAL (
    SELECT i, '+2547' || lpad((10000000 + i)::text, 8, '0') AS msisdn FROM generate_series($2::integer, $3) AS i) AS n
WHERE l.id = $1
"""


def contact(msisdn: str, name: str | None = None, **changes: Any) -> dict[str, Any]:
    """A valid Kenyan contact; further keywords are `validity`, `country`, `mno`, and attributes."""
    fixed = {"validity": "valid", "country": "KE", "mno": "Safaricom"}
    own = {key: changes.pop(key, default) for key, default in fixed.items()}
    return {"id": new_id(), "msisdn": msisdn, "name": name, "attributes": changes, **own}


async def add_list(tx: Any, account_id: UUID, contacts: Sequence[dict[str, Any]] = ()) -> UUID:
    """A list of the account with these contacts; `tx` is of `main_api_pipeline` or the owner."""
    list_id = new_id()
    await tx.execute(SQL_LIST, list_id, account_id)
    if contacts:
        columns = ("id", "msisdn", "name", "attributes", "validity", "country", "mno")
        await tx.execute(SQL_CONTACTS, list_id, *([c[column] for c in contacts] for column in columns))
    return list_id


async def add_many(tx: Any, account_id: UUID, first: int, count: int) -> UUID:
    """A list of so many contacts whose numbers follow each other, from +254710000000 + `first` on."""
    list_id = await add_list(tx, account_id)
    await tx.execute(SQL_MANY, list_id, first, first + count - 1, timeout=120)
    return list_id


async def approve(tx: Tx, campaign_id: UUID) -> None:
    """The verdict of content-worker: allowed. `tx` is of `content_worker_pipeline` or the owner."""
    await tx.execute(
        "UPDATE core.campaigns SET status = 'approved', screened_at = now()"
        " WHERE id = $1 AND status IN ('submitted', 'pending_content_check')",
        campaign_id,
    )


@dataclass
class Campaigns:
    """What a test does to campaigns, from all sides."""

    client: httpx.AsyncClient
    auth: dict[str, str]
    account_id: UUID
    test_key: str
    owner: Database

    async def add_list(self, *contacts: dict[str, Any]) -> UUID:
        async with self.owner.transaction() as tx:
            return await add_list(tx, self.account_id, contacts)

    async def post(self, list_id: UUID, message: str = "Habari", **changes: Any) -> httpx.Response:
        headers = self.auth | changes.pop("headers", {})
        path = changes.pop("path", "/v1/campaigns")
        body = {"name": "Test", "contact_list_id": str(list_id), "from": "SEMALINK", "message": message}
        return await self.client.post(path, json=body | changes, headers=headers)

    async def submit(self, list_id: UUID, message: str = "Habari", **changes: Any) -> UUID:
        response = await self.post(list_id, message, **changes)
        assert response.status_code == 202, response.text
        return UUID(response.json()["id"])

    async def read(self, campaign_id: UUID) -> dict[str, Any]:
        response = await self.client.get(f"/v1/campaigns/{campaign_id}", headers=self.auth)
        assert response.status_code == 200, response.text
        found: dict[str, Any] = response.json()
        return found

    async def patch(self, campaign_id: UUID, verb: str) -> httpx.Response:
        return await self.client.patch(f"/v1/campaigns/{campaign_id}/{verb}", headers=self.auth)

    async def approve(self, campaign_id: UUID) -> None:
        async with self.owner.transaction() as tx:
            await approve(tx, campaign_id)

    async def submit_messages(self, campaign_id: UUID) -> None:
        """What sms-worker would do."""
        await self.owner.execute(
            "UPDATE orch.sms_messages SET status = 'sent' WHERE campaign_id = $1 AND status = 'queued'",
            campaign_id,
        )

    async def until(
        self, campaign_id: UUID, holds: Callable[[dict[str, Any]], bool], submitting: bool = False
    ) -> dict[str, Any]:
        """Waits until the campaign object is as wanted."""
        found: dict[str, Any] = {}

        async def look() -> None:
            nonlocal found
            if submitting:
                await self.submit_messages(campaign_id)
            found = await self.read(campaign_id)
            assert holds(found), found

        await eventually(look)
        return found

    async def status(self, campaign_id: UUID, status: str) -> dict[str, Any]:
        return await self.until(campaign_id, lambda c: c["status"] == status, status == "completed")

    async def balance(self) -> Decimal:
        answer = (await self.client.get("/v1/balance", headers=self.auth)).json()
        return Decimal(answer["balance"]["amount"])

    async def messages(self, campaign_id: UUID) -> list[dict[str, Any]]:
        rows = await self.owner.fetch(
            "SELECT to_msisdn, body, cost, segment_count, status, lane FROM orch.sms_messages"
            " WHERE campaign_id = $1 ORDER BY to_msisdn",
            campaign_id,
        )
        return [dict(row) for row in rows]

    async def audit(self) -> None:
        """Balance = ledger entry by entry; what is set aside is what campaigns still hold; cost = charges."""
        broken = await self.owner.fetch(
            "SELECT account_id, 'balance' FROM billing.credits c JOIN billing.credit_ledger l USING (account_id)"
            " GROUP BY account_id, c.balance HAVING c.balance <> sum(l.amount)"
            " UNION ALL SELECT account_id, 'after' FROM (SELECT account_id, balance_after, sum(amount)"
            "   OVER (PARTITION BY account_id ORDER BY entry_id) AS running FROM billing.credit_ledger) l"
            "   WHERE balance_after <> running"
            " UNION ALL SELECT account_id, 'reserved' FROM billing.credit_ledger"
            "   WHERE counter_account = 'reservations' GROUP BY account_id HAVING -sum(amount) <>"
            "   (SELECT sum(reserved) FROM core.campaigns k WHERE k.billing_account_id = credit_ledger.account_id)"
            " UNION ALL SELECT k.id, 'cost' FROM core.campaigns k WHERE cost <> COALESCE((SELECT -sum(l.amount)"
            "   FROM orch.sms_messages m JOIN billing.credit_ledger l ON l.reference = m.message_id"
            "   AND l.kind = 'charge' WHERE m.campaign_id = k.id), 0)"
        )
        assert [tuple(row.values()) for row in broken] == []


class Consumed:
    """Everything that was published to the queues that matter here."""

    def __init__(self) -> None:
        self.messages: list[WireMessage] = []

    async def handle(self, delivery: Delivery[Any]) -> None:
        self.messages.append(delivery.message)

    @property
    def jobs(self) -> list[str]:
        return sorted(job.to for m in self.messages if isinstance(m, SmsJobs) for job in m.jobs)

    async def until(self, holds: Callable[[], bool]) -> None:
        async def look() -> None:
            assert holds()

        await eventually(look)
