"""The door: single sends under load and one after the other, and batches."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Sequence
from functools import partial
from typing import Final
from uuid import uuid4

from sema_common.platform.db import Database
from tests.bench import wrk
from tests.bench.figures import Figure
from tests.bench.open_loop import OpenLoop, post
from tests.bench.stack import Account, BenchStack, Cost
from tests.kit import seeds

CONNECTIONS: Final = 64
WARM_UP: Final = 3
SECONDS: Final = 10
BASELINE_SECONDS: Final = 6
DRAIN_SECONDS: Final = 60.0
ACCOUNTS: Final = 8
TURNS: Final = 4
TURN_SECONDS: Final = 3

BATCH: Final = 500
BATCH_CONNECTIONS: Final = 4
BATCH_MESSAGES_PER_SECOND: Final = 8000

RATE: Final = 20
LATENCY_SECONDS: Final = 15

SQL_BACKLOG: Final = "SELECT count(*) FROM orch.sms_messages WHERE status = 'submitted'"


async def singles(stack: BenchStack) -> AsyncIterator[Figure]:
    """64 connections, half with an Idempotency-Key; of one account, then of eight that take turns.

    Eight, because one balance row serialises single transactions: the baseline shall not lose by that alone.
    """
    async with stack.rooms("main-api"), stack.beside("main-api", "tests.bench.one_by_one") as alone:
        accounts = [await stack.account(f"Bench {n}") for n in range(ACCOUNTS)]
        api = _api(stack)
        bare = await wrk.run(f"{api}/healthz", "get", connections=CONNECTIONS, seconds=WARM_UP)
        for url in (api, alone):
            await _singles(url, accounts, WARM_UP)
        spent = Cost(stack)
        one = await _singles(api, accounts[:1], SECONDS)
        cost = spent.each(one.requests)
        backlog, drained = await _drain(stack)
        alone_one = await _singles(alone, accounts[:1], BASELINE_SECONDS)
        eight, alone_eight = await _in_turn((api, alone), accounts)
        await _drain(stack)
    await stack.purge("sms.normal")
    one_by_one = "a transaction each"
    yield Figure(
        *("accept, 64 connections, 1 account", one.per_second, "/s", 3000, False),
        *(one_by_one, alone_one.per_second, one.latencies),
        cost=cost,
    )
    yield Figure(
        *("  the same, 8 accounts", eight.per_second, "/s", 3000, False),
        *(one_by_one, alone_eight.per_second, eight.latencies),
    )
    yield Figure(
        *("  × one transaction each, 8 accounts", eight.per_second / alone_eight.per_second, "×", 3),
        note=f"one by one: {alone_eight.latencies}",
    )
    yield Figure(
        "  beside the bare endpoint",
        one.per_second,
        "/s",
        baseline="GET /healthz",
        baseline_value=bare.per_second,
    )
    yield Figure(
        *("  backlog `submitted` at the end", backlog, "messages"),
        note=f"published and marked {drained:.2f} s later",
    )


async def latency(stack: BenchStack) -> AsyncIterator[Figure]:
    """20 sends a second, whether or not the last one was answered."""
    async with stack.rooms("main-api"):
        account = await stack.account("Latency")
        host, port = "127.0.0.1", stack.layout.port("main-api")
        health = f"GET /healthz HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()
        async with OpenLoop(host, port) as loop:
            await loop.run(RATE, WARM_UP, lambda n: _single(account, n))
            bare = await loop.run(RATE, LATENCY_SECONDS / 3, lambda _: health)
            sent = await loop.run(RATE, LATENCY_SECONDS, lambda n: _single(account, n))
    await stack.purge("sms.normal")
    note = f"{sent.answered} sends, {sent.failed} failed, largest {sent.percentile(100):.1f} ms"
    yield Figure(
        *("accept at 20/s, p50", sent.percentile(50), "ms", 5, True),
        *("GET /healthz", bare.percentile(50), note),
    )
    yield Figure(
        *("accept at 20/s, p99", sent.percentile(99), "ms", 20, True), "GET /healthz", bare.percentile(99)
    )


async def batches(stack: BenchStack) -> AsyncIterator[Figure]:
    """/batch of 500 over a few connections, beside the bare rows in batches of the same size."""
    async with stack.rooms("main-api"):
        account = await stack.account("Batches")
        url = f"{_api(stack)}/v1/messages/batch"
        run = partial(wrk.run, url, "batch", connections=BATCH_CONNECTIONS)
        await run(_word(), account.key, seconds=WARM_UP)
        spent = Cost(stack)
        load = await run(_word(), account.key, seconds=SECONDS)
        cost = spent.each(load.requests * BATCH)
        backlog, drained = await _drain(stack)
        async with stack.database("main_api_pipeline") as db:
            bare = await _bare_rows(db)
    await stack.purge("sms.normal")
    yield Figure(
        *("/batch of 500, 4 connections", load.per_second * BATCH, "messages/s", BATCH_MESSAGES_PER_SECOND),
        *(False, "bare rows, 500 a transaction", bare),
        f"{load.latencies}; backlog {backlog:,}, gone {drained:.1f} s later",
        cost=cost,
    )


async def _bare_rows(db: Database) -> float:
    """Rows a second through the accept's own statements, nothing around them."""
    async with db.transaction() as tx:
        account = await seeds.open_account(tx, balance="10000000")
    rows = 0
    started = time.perf_counter()
    while time.perf_counter() - started < WARM_UP:
        messages = [seeds.new_message(account) for _ in range(BATCH)]
        async with db.transaction() as tx:
            await seeds.queue(tx, await seeds.accept(tx, messages), messages[0].enqueued_at)
        rows += BATCH
    return rows / (time.perf_counter() - started)


async def _singles(url: str, accounts: list[Account], seconds: float) -> wrk.Load:
    keys = [account.key for account in accounts]
    return await wrk.run(
        f"{url}/v1/messages", "accept", _word(), *keys, connections=CONNECTIONS, seconds=seconds
    )


async def _in_turn(urls: Sequence[str], accounts: list[Account]) -> list[wrk.Load]:
    """One total for each address; taking turns, so that what disturbs the machine disturbs all alike."""
    turns = [[await _singles(url, accounts, TURN_SECONDS) for url in urls] for _ in range(TURNS)]
    return [wrk.together(loads) for loads in zip(*turns, strict=True)]


async def _drain(stack: BenchStack) -> tuple[int, float]:
    """What the relay had still to publish when the load ended, and how long it took to."""
    async with stack.sql() as connection:
        backlog: int = await connection.fetchval(SQL_BACKLOG)
    return backlog, await stack.until(SQL_BACKLOG, 0, DRAIN_SECONDS)


def _single(account: Account, n: int) -> bytes:
    body = {"to": f"+25472{1000000 + n}", "from": "SEMALINK", "body": f"Order {_word()} is ready."}
    headers = {"Authorization": f"Bearer {account.key}"}
    if n % 2:
        headers["Idempotency-Key"] = _word()
    return post("/v1/messages", json.dumps(body).encode(), headers)


def _api(stack: BenchStack) -> str:
    return stack.layout.http("main-api")


def _word() -> str:
    return uuid4().hex[:12]
