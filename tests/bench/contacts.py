"""From the first byte of an upload to the last verdict, and what that costs in memory."""

from __future__ import annotations

import asyncio
import json
import os
import random
import time
import urllib.request
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, Final
from uuid import UUID, uuid4

from sema_common.values.ids import new_id
from tests.bench.figures import Figure
from tests.bench.stack import BenchStack, Cost

ROWS: Final = int(os.environ.get("CONTACTS", "100000"))
"""CONTACTS=1000000 shows the memory of the largest upload."""

TARGET_SECONDS: Final = 15.0 * ROWS / 100_000
MEMORY_MB: Final = 150
BASELINE_ROWS: Final = 20_000
PATIENCE: Final = 600.0
UPLOAD_SECONDS: Final = 600

BARE_ROWS: Final = """
INSERT INTO core.contacts (id, tenant_id, account_id, contact_list_id, phone, phone_key)
SELECT id, $1, $1, $2, phone, phone FROM unnest($3::uuid[], $4::text[]) AS c(id, phone)
"""
BARE_VERDICTS: Final = """
UPDATE core.contacts SET validity = 'valid', msisdn = phone WHERE contact_list_id = $1 AND validity = 'pending'
"""


async def validated(stack: BenchStack) -> AsyncIterator[Figure]:
    """A CSV with a name and an attribute; two numbers in three as people of Kenya write them, one in twenty wrong."""
    table = "\n".join(("phone,name,town", *_rows(ROWS))).encode()
    async with stack.rooms("main-api", "phone-validator"):
        account = await stack.account()
        baseline = await _bare(stack, UUID(account.account_id))
        spent = Cost(stack)
        started = time.perf_counter()
        list_id = (
            await _call(stack, account.key, "contact-lists", {"name": "Bench", "default_country": "KE"})
        )["id"]
        stored = await _call(stack, account.key, f"contact-lists/{list_id}/contacts", table, "text/csv")
        uploaded = time.perf_counter() - started
        sql = "SELECT status FROM core.contact_validation_jobs WHERE id = $1::uuid"
        await stack.until(sql, "completed", PATIENCE, UUID(stored["validation_job_id"]))
        seconds = time.perf_counter() - started
        cost = spent.each(ROWS)
        peaks = {name: _peak(stack.pid(name)) for name in ("main-api", "phone-validator")}
    yield Figure(
        f"{ROWS:,} contacts, upload to validated",
        seconds,
        "s",
        TARGET_SECONDS,
        True,
        f"bare INSERT and UPDATE of {ROWS:,}",
        baseline * ROWS / BASELINE_ROWS,
        f"202 after {uploaded:.1f} s; {stored['duplicates']:,} duplicates",
        cost=cost,
    )
    for name, megabytes in peaks.items():
        yield Figure(f"peak memory of {name}", megabytes, "MB", MEMORY_MB, True)


def _rows(count: int) -> Iterator[str]:
    rng = random.Random(4)
    for number in range(count):
        subscriber = f"{rng.choice((71, 72, 70, 11, 74))}{rng.randrange(10_000_000):07}"
        form = rng.random()
        if form < 0.05:
            phone = f"0{subscriber[:6]}"
        elif form < 0.65:
            phone = f"0{subscriber}"
        elif form < 0.70:
            phone = f"+254 {subscriber[:3]} {subscriber[3:6]}-{subscriber[6:]}"
        else:
            phone = f"+254{subscriber}"
        yield f"{phone},Customer {number},Nairobi"


async def _bare(stack: BenchStack, account_id: UUID) -> float:
    """Seconds for the rows and one update of each, a thousand in a transaction, and nothing around them."""
    list_id = uuid4()
    async with stack.sql() as connection:
        await connection.execute(
            "INSERT INTO core.contact_lists (id, tenant_id, account_id, name) VALUES ($1, $2, $2, 'bare')",
            *(list_id, account_id),
        )
        started = time.perf_counter()
        for at in range(0, BASELINE_ROWS, 1000):
            phones = [f"+2547{number:08}" for number in range(at, at + 1000)]
            await connection.execute(BARE_ROWS, account_id, list_id, [new_id() for _ in phones], phones)
            await connection.execute(BARE_VERDICTS, list_id)
        seconds = time.perf_counter() - started
        await connection.execute("DELETE FROM core.contact_lists WHERE id = $1", list_id)
    return seconds


async def _call(
    stack: BenchStack, key: str, path: str, body: Any, kind: str = "application/json"
) -> dict[str, Any]:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = {"authorization": f"Bearer {key}", "content-type": kind}
    url = f"{stack.layout.http('main-api')}/v1/{path}"
    request = urllib.request.Request(url, data, headers)  # noqa: S310 - of this stack

    def send() -> dict[str, Any]:
        with urllib.request.urlopen(request, timeout=UPLOAD_SECONDS) as answer:  # noqa: S310
            found: dict[str, Any] = json.load(answer)
            return found

    return await asyncio.to_thread(send)


def _peak(pid: int) -> float:
    """Megabytes that were resident at most."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024
