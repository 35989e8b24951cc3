"""Logins beside sends: a password costs tens of milliseconds of a core by design, and no send may wait for it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Final

from sema_common.values.ids import new_id
from sema_main_api.http.passwords import hash_password
from tests.bench.figures import Figure
from tests.bench.open_loop import OpenLoop, post
from tests.bench.stack import Account, BenchStack

LOGINS: Final = 10
SENDS: Final = 100
WARM_UP: Final = 2
SECONDS: Final = 8
PEOPLE: Final = 40
TARGET_MS: Final = 300
TARGET_RATIO: Final = 1.5
PASSWORD: Final = "correct horse battery"

SQL_PERSON: Final = """
INSERT INTO core.users (id, tenant_id, account_id, email, password_hash, role)
SELECT $1, tenant_id, id, $2, $3, 'owner' FROM core.accounts WHERE id = $4::text::uuid
"""


async def beside_sends(stack: BenchStack) -> AsyncIterator[Figure]:
    """100 sends a second by the clock, alone and with 10 logins a second beside them."""
    async with stack.rooms("main-api"):
        account = await stack.account("Logins")
        people = await _people(stack, account)
        host, port = "127.0.0.1", stack.layout.port("main-api")
        async with OpenLoop(host, port) as loop:
            await loop.run(SENDS, WARM_UP, lambda n: _send(account, n))
            await loop.run(LOGINS, WARM_UP, lambda n: _log_in(people[n % PEOPLE]))
            alone = await loop.run(SENDS, SECONDS, lambda n: _send(account, n))
            sent, logged_in = await asyncio.gather(
                loop.run(SENDS, SECONDS, lambda n: _send(account, n)),
                loop.run(LOGINS, SECONDS, lambda n: _log_in(people[n % PEOPLE])),
            )
    await stack.purge("sms.normal")
    note = f"{logged_in.answered} logins, {logged_in.failed} failed; p50 {logged_in.percentile(50):.0f} ms"
    yield Figure(
        *("login at 10/s beside 100 sends/s, p95", logged_in.percentile(95), "ms", TARGET_MS, True), note=note
    )
    yield Figure(
        *(
            "  the sends' p99, × without logins",
            sent.percentile(99) / alone.percentile(99),
            "×",
            TARGET_RATIO,
            True,
        ),
        *("their p99 alone, ms", alone.percentile(99)),
        note=f"p99 {sent.percentile(99):.1f} ms, p50 {sent.percentile(50):.1f} ms; {sent.failed + alone.failed} failed",
    )


async def _people(stack: BenchStack, account: Account) -> list[str]:
    """Addresses that may log in."""
    hashed = await asyncio.to_thread(hash_password, PASSWORD)
    emails = [f"login-{number}@example.com" for number in range(PEOPLE)]
    async with stack.sql() as connection:
        for email in emails:
            await connection.execute(SQL_PERSON, new_id(), email, hashed, account.account_id)
    return emails


def _log_in(email: str) -> bytes:
    return post("/v1/auth/login", json.dumps({"email": email, "password": PASSWORD}).encode(), {})


def _send(account: Account, n: int) -> bytes:
    body = {"to": f"+25472{1000000 + n}", "from": "SEMALINK", "body": f"Order {n} is ready."}
    return post("/v1/messages", json.dumps(body).encode(), {"Authorization": f"Bearer {account.key}"})
