from collections.abc import AsyncIterator
from datetime import UTC, date, datetime
from decimal import Decimal
from uuid import UUID, uuid4

import pytest

from sema_common.billing import accounting, ledger, statements
from sema_common.platform.db import Database
from sema_common.values.ids import new_id
from tests.kit import seeds
from tests.kit.accounting import add_up, backdate
from tests.kit.fixtures import TestDatabase

SQL_USAGE = """
SELECT country, mno, rate, messages, segments, amount, refunded_messages, refunded_segments, refunded_amount
FROM billing.usage_days WHERE account_id = $1 ORDER BY rate, mno
"""
SQL_DAYS = "SELECT kind, entries, amount FROM billing.ledger_days WHERE account_id = $1 ORDER BY kind"


@pytest.fixture
async def db(database: TestDatabase) -> AsyncIterator[Database]:
    async with Database.open(database.dsn("main_api_pipeline"), name="test", max_size=4) as db:
        yield db


@pytest.fixture
async def account(db: Database) -> UUID:
    async with db.transaction() as tx:
        return await seeds.open_account(tx, balance="100")


async def days(db: Database, account: UUID) -> dict[str, tuple[int, Decimal]]:
    return {row["kind"]: (row["entries"], row["amount"]) for row in await db.fetch(SQL_DAYS, account)}


async def test_usage_is_what_was_charged_and_refunded_by_network_and_rate(
    db: Database, account: UUID
) -> None:
    wanted = [
        seeds.new_message(account, "0.8000"),
        seeds.new_message(account, "1.6000", segments=2),
        seeds.new_message(account, "0.9000", mno="Airtel"),
        seeds.new_message(account, "3.5000", country="UG", mno=None),
    ]
    async with db.transaction() as tx:
        await seeds.accept(tx, wanted)
    await add_up(db)
    async with db.transaction() as tx:
        await ledger.lock_balances(tx, [account])
        await ledger.refund(tx, [wanted[1].message_id])
    await add_up(db)
    assert [tuple(row.values()) for row in await db.fetch(SQL_USAGE, account)] == [
        ("KE", "Safaricom", Decimal("0.8"), 2, 3, Decimal("2.4"), 1, 2, Decimal("1.6")),
        ("KE", "Airtel", Decimal("0.9"), 1, 1, Decimal("0.9"), 0, 0, Decimal(0)),
        ("UG", "", Decimal("3.5"), 1, 1, Decimal("3.5"), 0, 0, Decimal(0)),
    ]
    async with db.transaction() as tx:
        assert await accounting.find_drift(tx) == []


async def test_an_entry_that_is_committed_after_younger_ones_is_counted_once(
    db: Database, account: UUID
) -> None:
    async with db.transaction() as tx:
        other = await seeds.open_account(tx, balance="50")
    async with db.transaction() as late:
        await ledger.adjust(late, account, Decimal(7), uuid4(), "adjustment")
        async with db.transaction() as tx:
            await ledger.adjust(tx, other, Decimal(9), uuid4(), "adjustment")
        async with db.transaction() as tx:
            await accounting.add_up(tx)
        assert "adjustment" not in await days(db, other)  # its turn comes when the older one has ended
        async with db.transaction() as tx:
            assert await accounting.find_drift(tx) == []
    await add_up(db)
    assert (await days(db, account))["adjustment"] == (1, Decimal(7))
    assert (await days(db, other))["adjustment"] == (1, Decimal(9))


async def test_a_window_that_is_rolled_back_is_added_again_and_not_twice(
    db: Database, account: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(accounting, "AT_ONCE", 2)
    for _ in range(7):
        async with db.transaction() as tx:
            await ledger.adjust(tx, account, Decimal(1), uuid4(), "adjustment")
        async with db.transaction() as tx:
            await accounting.add_up(tx)
            await tx.execute("ROLLBACK; BEGIN")
    await add_up(db)
    assert (await days(db, account))["adjustment"] == (7, Decimal(7))
    async with db.transaction() as tx:
        assert await accounting.find_drift(tx) == []


async def test_a_second_process_leaves_the_window_to_the_first(db: Database, account: UUID) -> None:
    async with db.transaction() as tx:
        await tx.fetchval(accounting.SQL_CURSOR)
        async with db.transaction() as second:
            assert await accounting.add_up(second) is False
    assert await days(db, account) == {}


async def test_a_wrong_sum_is_found(db: Database, account: UUID) -> None:
    async with db.transaction() as tx:
        await seeds.accept(tx, [seeds.new_message(account, "0.8000")])
    await add_up(db)
    await db.execute("UPDATE billing.usage_days SET amount = amount + 1 WHERE account_id = $1", account)
    async with db.transaction() as tx:
        assert await accounting.find_drift(tx) == [accounting.Drift(account, Decimal(0), Decimal(-1))]


async def test_each_statement_begins_with_what_the_one_before_ended_with(
    database: TestDatabase, db: Database, account: UUID
) -> None:
    moved = {"2026-07-31T23:59:59": 5, "2026-08-01T00:00:00": -3, "2026-10-02T10:00:00": 11}
    async with Database.open(database.owner_dsn, name="owner") as owner:
        await backdate(owner, "opening", datetime(2026, 7, 1, tzinfo=UTC))
        for moment, amount in moved.items():
            async with db.transaction() as tx:
                await ledger.adjust(tx, account, Decimal(amount), reference := new_id(), "adjustment")
            await backdate(owner, reference, datetime.fromisoformat(moment).replace(tzinfo=UTC))
            if amount < 0:
                await add_up(db)  # what is not added up yet counts all the same
    async with db.transaction() as tx:
        found = await statements.read_statements(tx, account, date(2026, 12, 1), date(2026, 11, 3))
    assert [(s.month.month, int(s.opening), int(s.closing)) for s in found] == [
        (7, 0, 105),
        (8, 105, 102),
        (9, 102, 102),
        (10, 102, 113),
        (11, 113, 113),
    ]
    assert all(s.final for s in found[:-1])
    assert found[0].movements == (
        statements.Movements("adjustment", 1, Decimal(5)),
        statements.Movements("opening", 1, Decimal(100)),
    )
