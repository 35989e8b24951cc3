"""The two rooms of the demo whose doors are queues: phone-validator and content-worker.

Their jobs are laid down as the API lays them down: the rows first, then the message that names them.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any, Final
from uuid import UUID

import asyncpg

from sema_common.platform.bus import Bus
from sema_common.values.ids import event_id, new_id
from sema_common.wire.contacts import ValidateContacts
from sema_common.wire.content import ScreenCampaign

ANSWER_SECONDS: Final = 30.0
# The last one is too short to be a number; the others are valid as people write them.
PHONES: Final = ("0712 345 678", "+254 733 000 102", "254757000103", "0712 34")
CAMPAIGN: Final = "Hello {{name}}, our shop in Nakuru opens on Saturday at nine. Welcome!"


async def visit(env: dict[str, str], tell: Callable[[str], None]) -> bool:
    """One validation job and one campaign text; True when both came back as they should."""
    account = UUID(env["SEMA_ACCOUNT_ID"])
    connection = await asyncpg.connect(env["DATABASE_URL"])
    try:
        async with Bus.open(env["AMQP_URL"], name="demo") as bus:
            job, contact_list = await _validate(connection, bus, account)
            tell(f"phone-validator: of {len(PHONES)} contacts {job['valid']} valid {job['by_mno']}")
            campaign = await _screen(connection, bus, account, contact_list)
            tell(f"content-worker: the campaign's text is {campaign['status']}")
    finally:
        await connection.close()
    return (job["status"], job["valid"], campaign["status"]) == ("completed", len(PHONES) - 1, "approved")


async def _validate(connection: asyncpg.Connection, bus: Bus, account: UUID) -> tuple[dict[str, Any], UUID]:
    contact_list, job = new_id(), new_id()
    tenant = await connection.fetchval("SELECT tenant_id FROM core.accounts WHERE id = $1", account)
    async with connection.transaction():
        await connection.execute(
            "INSERT INTO core.contact_lists (id, tenant_id, account_id, name, default_country) "
            "VALUES ($1, $2, $3, 'Demo', 'KE')",
            *(contact_list, tenant, account),
        )
        await connection.execute(
            "INSERT INTO core.contact_validation_jobs (id, tenant_id, account_id, contact_list_id, total) "
            "VALUES ($1, $2, $3, $4, $5)",
            *(job, tenant, account, contact_list, len(PHONES)),
        )
        await connection.executemany(
            "INSERT INTO core.contacts (id, tenant_id, account_id, contact_list_id, job_id, phone) "
            "VALUES ($1, $2, $3, $4, $5, $6)",
            [(new_id(), tenant, account, contact_list, job, phone) for phone in PHONES],
        )
    message = ValidateContacts(
        job_id=job, account_id=account, contact_list_id=contact_list, default_country="KE"
    )
    await bus.publish("contacts.validate", message, event_id=event_id("contacts.validate", job))
    row = await _row_in(
        connection, "SELECT * FROM core.contact_validation_jobs WHERE id = $1", job, {"completed", "failed"}
    )
    return {**row, "by_mno": json.loads(row["by_mno"])}, contact_list


async def _screen(
    connection: asyncpg.Connection, bus: Bus, account: UUID, contact_list: UUID
) -> dict[str, Any]:
    campaign = new_id()
    await connection.execute(
        "INSERT INTO core.campaigns (id, tenant_id, account_id, billing_account_id, contact_list_id, name, sender, "
        "message, status, currency) SELECT $1, tenant_id, id, billing_account_id, $2, 'Demo', 'SEMALINK', $3, "
        "'pending_content_check', currency FROM core.accounts WHERE id = $4",
        *(campaign, contact_list, CAMPAIGN, account),
    )
    message = ScreenCampaign(campaign_id=campaign, account_id=account)
    await bus.publish("sms.content", message, event_id=event_id("sms.content", campaign))
    query = "SELECT * FROM core.campaigns WHERE id = $1"
    return await _row_in(connection, query, campaign, {"approved", "rejected"})


async def _row_in(
    connection: asyncpg.Connection, query: str, row: UUID, statuses: set[str]
) -> dict[str, Any]:
    """The row once its status is one of these; as it is when the time is over."""
    found: dict[str, Any] = {}
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            while found.get("status") not in statuses:
                found = dict(await connection.fetchrow(query, row) or {})
                await asyncio.sleep(0.05)
    except TimeoutError:
        pass
    return found
