"""Postgres: what each failure is called, what a restart costs, and that no connection is left behind dirty."""

# ruff: noqa: PT012 - what raises is the whole transaction

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from asyncpg import DataError

from sema_common.platform import db as platform_db
from sema_common.platform.db import Database, Tx
from sema_common.platform.db import database as pool
from sema_common.values.errors import LockBusy, OutcomeUnknown, Overloaded, RetryLater, StoreUnavailable

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")

CREATE = "CREATE TABLE IF NOT EXISTS public.platform_rows (id int PRIMARY KEY, n int CHECK (n >= 0))"


@pytest.fixture
async def dsn(database: Any) -> str:
    owner: str = database.owner_dsn
    async with Database.open(owner, name="setup") as db:
        await db.execute(CREATE)
        await db.execute("INSERT INTO public.platform_rows SELECT g, 0 FROM generate_series(1, 2) g")
    return owner


@pytest.fixture
async def db(dsn: str) -> AsyncIterator[Database]:
    async with Database.open(dsn, name="test", max_size=3) as db:
        yield db


async def kill_backends(dsn: str) -> None:
    """What a restart does to idle connections, without taking the server from other tests."""
    async with Database.open(dsn, name="killer") as killer:
        await killer.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


async def count(db: Database) -> int:
    found = await db.fetchval("SELECT count(*) FROM public.platform_rows")
    assert isinstance(found, int)
    return found


async def test_a_transaction_is_committed_at_its_end(db: Database) -> None:
    async with db.transaction() as tx:
        await tx.execute("INSERT INTO public.platform_rows VALUES (10, 1)")
    assert await count(db) == 3


async def test_a_transaction_is_rolled_back_by_any_exception(db: Database) -> None:
    with pytest.raises(KeyError):
        async with db.transaction() as tx:
            await tx.execute("INSERT INTO public.platform_rows VALUES (10, 1)")
            raise KeyError
    assert await count(db) == 2


async def test_a_savepoint_undoes_only_its_part(db: Database) -> None:
    async with db.transaction() as tx:
        await tx.execute("INSERT INTO public.platform_rows VALUES (10, 1)")
        with pytest.raises(platform_db.UniqueViolation):
            async with tx.transaction():
                await tx.execute("INSERT INTO public.platform_rows VALUES (10, 2)")
    assert await count(db) == 3


async def test_json_goes_in_and_out_as_python_values(db: Database) -> None:
    value = {"a": [1, None, {"b": "ü"}], "id": uuid4()}
    row = await db.fetchrow("SELECT $1::jsonb AS one, $2::jsonb[] AS many", value, [value, None])
    assert row is not None
    assert row["one"] == {**value, "id": str(value["id"])}
    assert row["many"] == [row["one"], None]


async def test_money_and_times_go_in_and_out_exactly(db: Database) -> None:
    amounts = [Decimal(text) for text in ("0.8000", "-0.0001", "99999999999999.9999", "1E+3", "0")]
    found = await db.fetchval("SELECT $1::numeric[]", [*amounts, None])
    assert found == [*amounts, None]
    assert (
        await db.fetchval("SELECT 12.5000::numeric(18, 4)::text || ' ' || $1::numeric", amounts[0])
        == "12.5000 0.8000"
    )
    moments = [
        datetime(2026, 11, 21, 8, 2, 29, 123456, UTC),
        datetime(1969, 12, 31, 23, 59, 59, 999999, UTC),
        datetime(2026, 11, 21, 11, 2, 29, tzinfo=timezone(timedelta(hours=3))),
        datetime(9999, 12, 31, tzinfo=UTC),
    ]
    row = await db.fetchrow(
        "SELECT $1::timestamptz[] AS moments, $1[3]::text AS text, $2::timestamptz AS none", moments, None
    )
    assert row is not None
    assert row["moments"] == moments
    assert all(moment.tzinfo is UTC for moment in row["moments"])
    assert row["text"].startswith("2026-11-21 ")
    assert row["none"] is None


async def test_a_time_without_a_zone_is_no_argument(db: Database) -> None:
    with pytest.raises(DataError):
        await db.fetchval("SELECT $1::timestamptz", datetime(2026, 11, 21))  # noqa: DTZ001 - that is the point


async def test_violations_pass_through_under_their_names(db: Database) -> None:
    with pytest.raises(platform_db.UniqueViolation):
        await db.execute("INSERT INTO public.platform_rows VALUES (1, 1)")
    with pytest.raises(platform_db.CheckViolation):
        await db.execute("INSERT INTO public.platform_rows VALUES (11, -1)")


async def test_an_argument_of_the_wrong_type_is_a_bug_not_an_outage(db: Database) -> None:
    with pytest.raises(platform_db.DataError):
        await db.fetch("SELECT $1::int", "one")


async def test_a_lock_that_takes_too_long_is_called_so(db: Database) -> None:
    async with db.transaction() as holder:
        await holder.execute("SELECT 1 FROM public.platform_rows WHERE id = 1 FOR UPDATE")
        with pytest.raises(LockBusy):
            async with db.transaction() as tx:
                await tx.execute("SET LOCAL lock_timeout = '20ms'")
                await tx.execute("UPDATE public.platform_rows SET n = 1 WHERE id = 1")


async def test_one_of_two_that_deadlock_is_told_to_try_again(db: Database) -> None:
    meeting = asyncio.Barrier(2)

    async def lock_both(first: int, second: int) -> None:
        async with db.transaction() as tx:
            await tx.execute("SET LOCAL deadlock_timeout = '20ms'")
            await tx.execute("UPDATE public.platform_rows SET n = n + 1 WHERE id = $1", first)
            await meeting.wait()
            await tx.execute("UPDATE public.platform_rows SET n = n + 1 WHERE id = $1", second)

    results = await asyncio.gather(lock_both(1, 2), lock_both(2, 1), return_exceptions=True)
    (failure,) = [r for r in results if r is not None]
    assert isinstance(failure, RetryLater)
    assert not isinstance(failure, StoreUnavailable)


async def test_a_slow_statement_ends_with_its_transactions_time(db: Database) -> None:
    with pytest.raises(StoreUnavailable):
        async with db.transaction(timeout=0.1) as tx:
            await tx.execute("SELECT pg_sleep(30)")
    with pytest.raises(StoreUnavailable):
        await db.fetch("SELECT pg_sleep(30)", timeout=0.1)
    assert await count(db) == 2


async def test_a_statement_cancelled_by_the_server_is_unavailable_not_a_bug(db: Database) -> None:
    with pytest.raises(StoreUnavailable):
        async with db.transaction() as tx:
            await tx.execute("SET LOCAL statement_timeout = '20ms'")
            await tx.execute("SELECT pg_sleep(30)")


async def test_an_exhausted_pool_is_a_quick_no(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    async with db.transaction(), db.transaction(), db.transaction():
        with monkeypatch.context() as patch, pytest.raises(Overloaded):
            patch.setattr(pool, "ACQUIRE_SECONDS", 0.05)
            await db.fetchval("SELECT 1")
    assert await db.fetchval("SELECT 1") == 1


async def test_a_cancelled_transaction_leaves_nothing_behind(db: Database) -> None:
    entered = asyncio.Event()

    async def work() -> None:
        async with db.transaction() as tx:
            await tx.execute("INSERT INTO public.platform_rows VALUES (10, 1)")
            entered.set()
            await tx.execute("SELECT pg_sleep(30)")

    task = asyncio.create_task(work())
    await entered.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await count(db) == 2


async def test_dead_pooled_connections_are_replaced_without_a_failed_request(db: Database, dsn: str) -> None:
    async with db.transaction(), db.transaction(), db.transaction():
        pass
    await kill_backends(dsn)
    async with db.transaction() as tx:
        await tx.execute("INSERT INTO public.platform_rows VALUES (10, 1)")
    await kill_backends(dsn)
    assert await asyncio.gather(*(count(db) for _ in range(3))) == [3, 3, 3]


async def test_a_statement_alone_is_committed_and_run_again_over_a_lost_connection(
    db: Database, dsn: str
) -> None:
    await kill_backends(dsn)
    assert await db.execute("UPDATE public.platform_rows SET n = 5 WHERE id = 1") == "UPDATE 1"
    assert await db.fetchval("SELECT n FROM public.platform_rows WHERE id = 1") == 5


async def test_a_connection_lost_inside_a_transaction_committed_nothing(db: Database, dsn: str) -> None:
    with pytest.raises(StoreUnavailable):
        async with db.transaction() as tx:
            await tx.execute("INSERT INTO public.platform_rows VALUES (10, 1)")
            await kill_backends(dsn)
            await tx.execute("INSERT INTO public.platform_rows VALUES (11, 1)")
    assert await count(db) == 2


async def test_a_lost_answer_to_commit_is_an_unknown_outcome(dsn: str, proxied: Callable[[str], Any]) -> None:
    async with proxied(dsn) as proxy, Database.open(proxy.url, name="cut") as db:
        with pytest.raises(OutcomeUnknown):
            async with db.transaction() as tx:
                await tx.execute("INSERT INTO public.platform_rows VALUES (10, 1)")
                proxy.cut_after(b"COMMIT")
        assert proxy.cuts == 1
        assert await count(db) == 3  # this time it had been done


async def test_a_commit_refused_by_a_constraint_is_no_unknown_outcome(db: Database) -> None:
    await db.execute("CREATE TABLE public.late (id int UNIQUE DEFERRABLE INITIALLY DEFERRED)")
    with pytest.raises(platform_db.UniqueViolation):
        async with db.transaction() as tx:
            await tx.execute("INSERT INTO public.late VALUES (1), (1)")


async def test_a_store_that_is_away_is_unavailable_and_comes_back(
    dsn: str, proxied: Callable[[str], Any]
) -> None:
    async with proxied(dsn) as proxy, Database.open(proxy.url, name="away") as db:
        proxy.refuse = True
        proxy.cut()
        for _ in range(2):
            with pytest.raises(StoreUnavailable):
                async with db.transaction():
                    pass
            with pytest.raises(StoreUnavailable):
                await db.fetchval("SELECT 1")
        proxy.refuse = False
        assert await db.fetchval("SELECT 1") == 1


async def test_a_store_that_is_away_at_the_start_says_so(dsn: str, proxied: Callable[[str], Any]) -> None:
    async with proxied(dsn) as proxy:
        proxy.refuse = True
        with pytest.raises(StoreUnavailable):
            async with Database.open(proxy.url, name="early"):
                pass


async def test_a_frozen_store_costs_no_more_than_the_time_given(
    dsn: str, proxied: Callable[[str], Any]
) -> None:
    async with proxied(dsn) as proxy, Database.open(proxy.url, name="frozen") as db:
        assert await db.fetchval("SELECT 1") == 1
        proxy.swallow = True
        async with asyncio.timeout(3):
            with pytest.raises(StoreUnavailable):
                async with db.transaction(timeout=0.3):
                    pass
            with pytest.raises(StoreUnavailable):
                await db.fetchval("SELECT 1", timeout=0.3)
        proxy.swallow = False
        proxy.cut()
        assert await db.fetchval("SELECT 1") == 1


async def test_half_open_connections_cost_one_transaction_and_not_one_each(
    dsn: str, proxied: Callable[[str], Any]
) -> None:
    async with proxied(dsn) as proxy, Database.open(proxy.url, name="mute") as db:
        async with db.transaction(), db.transaction(), db.transaction():
            assert proxy.connections == 3
        proxy.mute()
        with pytest.raises(StoreUnavailable):
            async with db.transaction(timeout=0.3):
                pass
        for _ in range(3):
            async with db.transaction() as tx:
                assert await tx.fetchval("SELECT 1") == 1


async def test_a_read_only_store_is_not_writable_and_its_connections_are_dropped(dsn: str) -> None:
    async with Database.open(dsn, name="ro") as db:
        await db.check_writable()
        with pytest.raises(StoreUnavailable):
            async with db.transaction() as tx:
                await tx.execute("SET TRANSACTION READ ONLY")
                await tx.execute("INSERT INTO public.platform_rows VALUES (10, 1)")
        await db.execute("INSERT INTO public.platform_rows VALUES (10, 1)")


async def test_the_schema_must_be_at_the_revision_or_beyond(db: Database) -> None:
    found = await db.fetchval("SELECT version_num FROM public.alembic_version")
    await db.check_schema(found)
    await db.check_schema("0001_core_tables")
    with pytest.raises(StoreUnavailable, match="9999"):
        await db.check_schema("9999")


async def test_tenant_context_ends_with_its_transaction_although_sessions_are_not_reset(db: Database) -> None:
    async def tenant(tx: Tx) -> object:
        return await tx.fetchval("SELECT NULLIF(current_setting('app.tenant_id', true), '')")

    async with db.transaction() as tx:
        await tx.execute("SELECT set_config('app.tenant_id', 'a', true)")
        assert await tenant(tx) == "a"
    async with db.transaction() as tx:
        assert await tenant(tx) is None


async def test_closing_does_not_wait_for_ever_for_a_connection_in_use(
    dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "CLOSE_SECONDS", 0.1)
    async with asyncio.timeout(5), Database.open(dsn, name="leaky") as db:
        leaked = await db.acquire()
    assert leaked is not None
