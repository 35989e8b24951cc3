"""Reservations on real Postgres: random chunks, crashes at random statements, a cancellation at a random moment."""

import asyncio
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sema_common.billing import ledger
from sema_common.platform.db import Database, Tx, UniqueViolation
from sema_common.values.ids import event_id, new_id
from tests.kit.fixtures import TestDatabase
from tests.kit.seeds import open_account

COSTS = st.lists(st.integers(0, 60_000).map(lambda n: Decimal(n) / 10_000), min_size=1, max_size=5)

SQL_RUNNING = """
SELECT count(*) FROM (SELECT balance_after, sum(amount) OVER (PARTITION BY account_id ORDER BY entry_id) AS running
                      FROM billing.credit_ledger) AS l WHERE balance_after <> running
"""


class Crash(Exception):
    """The process dies here."""


async def cancel_at_random(
    db: Database, chunks: list[list[Decimal]], crashes: list[int], cancelled: int
) -> None:
    """Reserve, charge chunk by chunk, end after `cancelled` of them; a crash repeats its chunk from the start."""
    estimate = sum((cost for chunk in chunks for cost in chunk), Decimal(0))
    campaign, spent, reserved = new_id(), Decimal(0), estimate
    async with db.transaction() as tx:
        account = await open_account(tx, balance=str(estimate + 7))
        if estimate:
            await ledger.reserve(tx, account, estimate, campaign)
    for number, chunk in enumerate(chunks[:cancelled]):
        for crash in (number in crashes, False):
            try:
                async with db.transaction() as tx:
                    payer = (await ledger.lock_balances(tx, [account]))[account]
                    costs = [ledger.Spent(new_id(), cost, 1) for cost in chunk]
                    total = await ledger.charge_reserved(tx, payer, costs, event_id(campaign, number))
                    if crash:
                        raise Crash
            except Crash:
                continue
            spent += total
            reserved -= total
            break
    async with db.transaction() as tx:
        if reserved:
            assert await ledger.release(tx, account, reserved, campaign) == estimate + 7 - spent
            assert await ledger.release(tx, account, reserved, campaign) is None, "once"
        await audit(tx)
        balance = await ledger.read_balance(tx, account)
    assert balance is not None
    assert balance.balance == estimate + 7 - spent
    assert spent == sum((cost for chunk in chunks[:cancelled] for cost in chunk), Decimal(0))


async def audit(tx: Tx) -> None:
    """The balance is the sum of its entries, and each says what it left behind."""
    assert await ledger.find_drift(tx) == {}
    assert await tx.fetchval(SQL_RUNNING) == 0


async def test_a_cancellation_at_any_moment_gives_back_exactly_what_was_not_spent(
    database: TestDatabase,
) -> None:
    async with Database.open(database.dsn("main_api_pipeline"), name="test") as db:
        loop = asyncio.get_running_loop()

        @settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
        @given(st.lists(COSTS, min_size=1, max_size=6), st.lists(st.integers(0, 5)), st.integers(0, 6))
        def machine(chunks: list[list[Decimal]], crashes: list[int], cancelled: int) -> None:
            asyncio.run_coroutine_threadsafe(cancel_at_random(db, chunks, crashes, cancelled), loop).result(
                30
            )

        await asyncio.to_thread(machine)


async def test_one_chunk_is_charged_once_however_often_it_is_tried(database: TestDatabase) -> None:
    async with Database.open(database.dsn("main_api_pipeline"), name="test") as db:
        async with db.transaction() as tx:
            account = await open_account(tx, balance="10")
            await ledger.reserve(tx, account, Decimal(5), new_id())
        chunk = event_id("a campaign", 1)

        async def charge() -> None:
            async with db.transaction() as tx:
                payer = (await ledger.lock_balances(tx, [account]))[account]
                await ledger.charge_reserved(tx, payer, [ledger.Spent(new_id(), Decimal(2), 1)], chunk)

        await charge()
        with pytest.raises(UniqueViolation):
            await charge()
        async with db.transaction() as tx:
            await audit(tx)
