"""The demo's look into the rooms: one trace through them, their readiness, and a job for the two that no
message passes.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final, TypeVar
from uuid import UUID

import asyncpg
import httpx
from rich.console import Console
from rich.table import Table

from deploy.local.layout import Layout
from deploy.local.services import SERVICES
from sema_common.platform.bus import Bus
from sema_common.values.ids import event_id, new_id
from sema_common.wire.contacts import ValidateContacts
from sema_common.wire.content import ScreenCampaign

TRACE_SECONDS: Final = 5.0
"""Spans are written twice a second by each room."""

JOB_SECONDS: Final = 20.0
BAR: Final = 18

T = TypeVar("T")

PHONES: Final = ("0722 000 111", "+254733123456", "not a number", "+254 110 123 456", "12345")


async def show_trace(console: Console, layout: Layout, trace_id: str) -> set[str]:
    """Prints the spans of one journey in the order in which they began; the rooms that they come from."""
    spans: list[dict[str, Any]] = []
    deadline = time.monotonic() + TRACE_SECONDS
    while time.monotonic() < deadline and sum(s["service"] == "webhook-delivery" for s in spans) < 2:
        await asyncio.sleep(0.2)
        spans = [span for span in _spans(layout) if span["trace_id"] == trace_id]
    spans.sort(key=lambda span: span["start_ns"])
    if spans:
        start = spans[0]["start_ns"]
        whole = max(span["end_ns"] for span in spans) - start
        table = Table("room", "span", "from", "took", "", box=None, padding=(0, 1))
        for span in spans:
            left = round((BAR - 1) * (span["start_ns"] - start) / whole)
            width = max(1, round(BAR * (span["end_ns"] - span["start_ns"]) / whole))
            table.add_row(
                span["service"],
                span["name"],
                f"+{(span['start_ns'] - start) / 1e6:.0f} ms",
                f"{(span['end_ns'] - span['start_ns']) / 1e6:.1f} ms",
                " " * left + "[cyan]" + "█" * width + "[/]",
            )
        console.print(f"  [dim]trace {trace_id}; every span is in {layout.log / 'traces.jsonl'}[/]")
        console.print(table)
    return {span["service"] for span in spans}


def _spans(layout: Layout) -> list[dict[str, Any]]:
    path = layout.log / "traces.jsonl"
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text().splitlines() if line.endswith("}")]


async def visit(console: Console, env: Mapping[str, str]) -> list[str]:
    """Readiness of all seven, and real jobs for phone-validator and content-worker; what went wrong."""
    failures: list[str] = []
    async with httpx.AsyncClient(timeout=5.0) as http:
        for name in SERVICES:
            url = env[f"SEMA_OPS_URL_{name.upper().replace('-', '_')}"]
            ready = (await http.get(f"{url}/readyz")).json()
            metrics = (await http.get(f"{url}/metrics")).text
            families = sum(line.startswith("# TYPE sema_") for line in metrics.splitlines())
            checks = ", ".join(ready["checks"])
            console.print(f"  {name:<18} {ready['status']:<8} ({checks}), {families} metrics")
            if ready["status"] != "ready":
                failures.append(f"{name} is {ready['status']}: {ready['checks']}")
    connection = await asyncpg.connect(env["DATABASE_URL"])
    try:
        async with Bus.open(env["AMQP_URL"], name="demo") as bus:
            failures += await _validate(console, connection, bus, UUID(env["SEMA_ACCOUNT_ID"]))
            failures += await _screen(console, connection, bus, UUID(env["SEMA_ACCOUNT_ID"]))
    finally:
        await connection.close()
    return failures


async def _validate(
    console: Console, connection: asyncpg.Connection[asyncpg.Record], bus: Bus, account: UUID
) -> list[str]:
    """A contact list of five, as people type numbers, onto `contacts.validate`."""
    list_id, job_id = new_id(), new_id()
    await connection.execute(
        "INSERT INTO core.contact_lists (id, tenant_id, account_id, name, default_country)"
        " VALUES ($1, $2, $2, 'Demo', 'KE')",
        *(list_id, account),
    )
    await connection.execute(
        "INSERT INTO core.contact_validation_jobs (id, tenant_id, account_id, contact_list_id, total)"
        " VALUES ($1, $2, $2, $3, $4)",
        *(job_id, account, list_id, len(PHONES)),
    )
    await connection.executemany(
        "INSERT INTO core.contacts (id, tenant_id, account_id, contact_list_id, job_id, phone)"
        " VALUES ($1, $2, $2, $3, $4, $5)",
        [(new_id(), account, list_id, job_id, phone) for phone in PHONES],
    )
    job = ValidateContacts(job_id=job_id, account_id=account, contact_list_id=list_id, default_country="KE")
    await bus.publish("contacts.validate", job, event_id=event_id("demo", job_id))

    async def look() -> asyncpg.Record | None:
        return await connection.fetchrow(
            "SELECT valid, invalid, by_mno::text, by_reason::text FROM core.contact_validation_jobs"
            " WHERE id = $1 AND status = 'completed'",
            job_id,
        )

    done = await _until(look)
    await connection.execute("DELETE FROM core.contact_lists WHERE id = $1", list_id)
    if done is None:
        return ["phone-validator did not finish its job"]
    console.print(
        f"  phone-validator judged {len(PHONES)} numbers: {done['valid']} valid {done['by_mno']}, "
        f"{done['invalid']} invalid {done['by_reason']}"
    )
    return []


async def _screen(
    console: Console, connection: asyncpg.Connection[asyncpg.Record], bus: Bus, account: UUID
) -> list[str]:
    """Two campaigns onto `sms.content`: one that may go out and one that may not."""
    list_id = new_id()
    await connection.execute(
        "INSERT INTO core.contact_lists (id, tenant_id, account_id, name) VALUES ($1, $2, $2, 'Demo')",
        *(list_id, account),
    )
    campaigns = {
        new_id(): "Our shop on Moi Avenue is open on Sundays from 10:00.",
        new_id(): f"Click http://bit.ly/{secrets.token_hex(3)} to claim your prize.",
    }
    for id_, text in campaigns.items():
        await connection.execute(
            "INSERT INTO core.campaigns (id, tenant_id, account_id, billing_account_id, contact_list_id, name, sender,"
            " message, status, currency, created_at)"
            " VALUES ($1, $2, $2, $2, $3, 'Demo', 'SEMALINK', $4, 'pending_content_check', 'KES', $5)",
            *(id_, account, list_id, text, datetime.now(UTC)),
        )
        job = ScreenCampaign(campaign_id=id_, account_id=account)
        await bus.publish("sms.content", job, event_id=event_id("demo", id_))

    async def look() -> list[asyncpg.Record] | None:
        rows = await connection.fetch(
            "SELECT status, rejection_reasons->0->>'check' AS reason FROM core.campaigns"
            " WHERE id = ANY($1) AND status IN ('approved', 'rejected') ORDER BY id",
            list(campaigns),
        )
        return rows if len(rows) == len(campaigns) else None

    verdicts = await _until(look)
    # Nothing may pick these campaigns up later: they were for showing.
    await connection.execute(
        "UPDATE core.campaigns SET status = 'cancelled' WHERE id = ANY($1) AND status = 'approved'",
        list(campaigns),
    )
    if verdicts is None:
        return ["content-worker gave no verdict"]
    said = "; ".join(
        f"{row['status']} ({row['reason']})" if row["reason"] else row["status"] for row in verdicts
    )
    console.print(f"  content-worker judged 2 campaigns: {said}")
    return [] if [row["status"] for row in verdicts] == ["approved", "rejected"] else [f"verdicts: {said}"]


async def _until(look: Callable[[], Awaitable[T | None]]) -> T | None:
    """Polls until there is something to see, at most JOB_SECONDS."""
    deadline = time.monotonic() + JOB_SECONDS
    while time.monotonic() < deadline:
        if (found := await look()) is not None:
            return found
        await asyncio.sleep(0.05)
    return None
