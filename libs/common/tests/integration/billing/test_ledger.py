"""The ledger under the roles that use it: what is there is spent once, and given back at most once."""

import asyncio
from decimal import Decimal
from types import SimpleNamespace
from uuid import UUID

import pytest

from sema_common.billing import ledger
from sema_common.billing.rates import load_prices
from sema_common.platform.db import CheckViolation, Database, UniqueViolation
from sema_common.values.clock import now
from sema_common.values.ids import new_id
from tests.kit.seeds import accept, new_message, open_account


async def balance_of(db: Database, account_id: UUID) -> Decimal:
    async with db.transaction() as tx:
        balance = await ledger.read_balance(tx, account_id)
        assert balance is not None
        return balance.balance


async def assert_books_agree(db: Database) -> None:
    async with db.transaction() as tx:
        assert await ledger.find_drift(tx) == {}


async def test_200_parallel_sends_with_credit_for_10_are_exactly_10(api: Database) -> None:
    async with api.transaction() as tx:
        account = await open_account(tx, balance="10")

    async def send() -> int:
        async with api.transaction(30) as tx:
            return len(await accept(tx, [new_message(account)]))

    in_flight = asyncio.Semaphore(20)  # the pool's size: more would only wait for a connection

    async def bounded() -> int:
        async with in_flight:
            return await send()

    assert sum(await asyncio.gather(*(bounded() for _ in range(200)))) == 10
    assert await balance_of(api, account) == 0
    assert await api.fetchval("SELECT count(*) FROM orch.sms_messages") == 10
    await assert_books_agree(api)


async def test_100_concurrent_refunds_pay_once(api: Database, worker: Database) -> None:
    async with api.transaction() as tx:
        account = await open_account(tx, balance="10")
        (message,) = await accept(tx, [new_message(account, "2.5000")])
    in_flight = asyncio.Semaphore(20)

    async def refund() -> set[UUID]:
        async with in_flight, worker.transaction(30) as tx:
            await ledger.lock_balances(tx, [account])
            return await ledger.refund(tx, [message.message_id])

    refunded = await asyncio.gather(*(refund() for _ in range(100)))
    assert sorted(map(len, refunded)) == [0] * 99 + [1]
    assert await balance_of(api, account) == 10
    await assert_books_agree(api)


async def test_a_batch_refunds_what_was_charged_and_nothing_else(api: Database, worker: Database) -> None:
    async with api.transaction() as tx:
        account, other = await open_account(tx, balance="10"), await open_account(tx, balance="10")
        messages = await accept(
            tx, [new_message(account, "1.5"), new_message(account, "2"), new_message(other, "3")]
        )
    ids = [m.message_id for m in messages]
    async with worker.transaction() as tx:
        await ledger.lock_balances(tx, [account, other])
        assert await ledger.refund(tx, [*ids[1:], new_id(), ids[1]]) == set(ids[1:])
    async with worker.transaction() as tx:
        await ledger.lock_balances(tx, [account, other])
        assert await ledger.refund(tx, ids) == {ids[0]}
    assert await balance_of(api, account) == await balance_of(api, other) == 10
    async with api.transaction() as tx:
        newest = (await ledger.read_entries(tx, account))[0]
    assert (newest.kind, newest.amount, newest.balance_after) == ("refund", Decimal("1.5"), Decimal(10))
    await assert_books_agree(api)


async def test_a_message_cannot_be_charged_twice(api: Database) -> None:
    async with api.transaction() as tx:
        account = await open_account(tx, balance="10")
        (message,) = await accept(tx, [new_message(account)])
    charge = ledger.Charge(account, account, message.message_id, Decimal(1), Decimal(8))
    with pytest.raises(UniqueViolation):
        async with api.transaction() as tx:
            await ledger.charge(tx, [charge])
    assert await balance_of(api, account) == 9


async def test_the_database_refuses_to_sell_below_the_limit(api: Database) -> None:
    async with api.transaction() as tx:
        account = await open_account(tx, balance="1", credit_limit="2")
    with pytest.raises(CheckViolation):
        async with api.transaction() as tx:
            await ledger.charge(
                tx, [ledger.Charge(account, account, new_id(), Decimal("3.0001"), Decimal(-2))]
            )
    async with api.transaction() as tx:
        assert len(await accept(tx, [new_message(account, "3"), new_message(account, "0.0001")])) == 1
    assert await balance_of(api, account) == -2
    await assert_books_agree(api)


async def test_adjusting_and_releasing_twice_moves_once(api: Database) -> None:
    reference, campaign = new_id(), new_id()
    async with api.transaction() as tx:
        account = await open_account(tx)
        assert await ledger.adjust(tx, account, Decimal(5), reference, "adjustment") == 5
        assert await ledger.adjust(tx, account, Decimal(5), reference, "adjustment") is None
        assert await ledger.adjust(tx, account, Decimal(-2), new_id(), "adjustment") == 3
        assert await ledger.release(tx, account, Decimal("0.5"), campaign) == Decimal("3.5")
        assert await ledger.release(tx, account, Decimal("0.5"), campaign) is None
        entries = await ledger.read_entries(tx, account)
    assert [(e.kind, e.counter_account, e.balance_after) for e in entries] == [
        ("release", "reservations", Decimal("3.5")),
        ("adjustment", "adjustments", Decimal(3)),
        ("adjustment", "adjustments", Decimal(5)),
    ]
    assert await balance_of(api, account) == Decimal("3.5")
    await assert_books_agree(api)


async def test_a_top_up_seen_twice_at_the_same_time_is_credited_once(api: Database) -> None:
    top_up_id = new_id()
    async with api.transaction() as tx:
        account = await open_account(tx, balance="1")

    async def credit() -> Decimal | None:
        async with api.transaction(30) as tx:
            return await ledger.top_up(tx, account, Decimal(500), top_up_id)

    credited = await asyncio.gather(*(credit() for _ in range(10)))
    assert [after for after in credited if after is not None] == [Decimal(501)]
    async with api.transaction() as tx:
        entry = (await ledger.read_entries(tx, account))[0]
        with pytest.raises(ValueError, match="more than nothing"):
            await ledger.top_up(tx, account, Decimal(-1), new_id())
    assert (entry.kind, entry.counter_account, entry.reference) == ("top_up", "mpesa_clearing", top_up_id)
    await assert_books_agree(api)


async def test_concurrent_adjustments_of_one_reference_move_once(api: Database) -> None:
    reference = new_id()
    async with api.transaction() as tx:
        account = await open_account(tx)

    async def adjust() -> Decimal | None:
        async with api.transaction(30) as tx:
            return await ledger.adjust(tx, account, Decimal(5), reference, "adjustment")

    moved = await asyncio.gather(*(adjust() for _ in range(20)))
    assert [m for m in moved if m is not None] == [Decimal(5)]
    await assert_books_agree(api)


async def test_pages_of_entries_continue_where_the_last_one_ended(api: Database) -> None:
    async with api.transaction() as tx:
        account = await open_account(tx)
        for amount in range(1, 6):
            await ledger.adjust(tx, account, Decimal(amount), new_id(), "adjustment")
        first = await ledger.read_entries(tx, account, limit=3)
        rest = await ledger.read_entries(tx, account, before=first[-1].entry_id, limit=3)
    assert [e.amount for e in first + rest] == [5, 4, 3, 2, 1]


async def test_a_busy_balance_is_left_out_and_nobody_waits(api: Database) -> None:
    async with api.transaction() as tx:
        busy, free = await open_account(tx, balance="1"), await open_account(tx, balance="1")
    async with api.transaction() as holder:
        await ledger.lock_balances(holder, [busy])
        async with api.transaction() as tx:
            assert set(await ledger.lock_free_balances(tx, {busy, free, new_id()})) == {free}
    async with api.transaction() as tx:
        assert set(await ledger.lock_free_balances(tx, {busy, free})) == {busy, free}


async def test_drift_is_found_where_a_hand_has_been(api: Database) -> None:
    async with api.transaction() as tx:
        account = await open_account(tx, balance="1")
        await tx.execute("UPDATE billing.credits SET balance = 3 WHERE account_id = $1", account)
        assert await ledger.find_drift(tx) == {account: Decimal(2)}


BUYER = {
    "account_id": UUID(int=1),
    "billing_account_id": UUID(int=1),
    "account_type": "direct",
    "tier": "starter",
    "currency": "KES",
}


async def test_the_list_prices_of_a_new_installation(api: Database) -> None:
    async with api.transaction() as tx:
        prices = await load_prices(tx)

    def per_segment(country: str, mno: str | None) -> Decimal | None:
        rate = prices.rate(SimpleNamespace(**BUYER), country, mno, now())
        return None if rate is None else rate.price.per_segment

    assert per_segment("KE", "Safaricom") == Decimal("0.8000")
    assert per_segment("KE", "Telkom") == Decimal("1.0000")
    assert per_segment("UG", None) == Decimal("3.5000")
    assert per_segment("FR", None) is None
