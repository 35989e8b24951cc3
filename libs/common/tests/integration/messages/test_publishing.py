"""The way from `submitted` to `queued`: marks in any order, a sweep that shares its work, open months."""

from datetime import UTC, datetime, timedelta

import pytest

from sema_common.messages.store import publishing
from sema_common.platform.db import Database, InsufficientPrivilege
from sema_common.values.clock import now
from tests.kit.seeds import accept, new_message, open_account, queue, submit

from .conftest import History, Stored

SECOND = timedelta(seconds=1)


async def test_a_confirmed_message_is_queued_with_the_time_of_its_confirm(
    api: Database, history: History, stored: Stored
) -> None:
    async with api.transaction() as tx:
        account = await open_account(tx, balance="10")
        (message,) = await accept(tx, [new_message(account)])
        confirmed_at = message.enqueued_at + SECOND
        await queue(tx, [message], confirmed_at)
        await queue(tx, [message], confirmed_at + SECOND)
    row = await stored(message.message_id)
    assert (row["status"], row["queued_at"], row["status_updated_at"]) == (
        "queued",
        confirmed_at,
        confirmed_at,
    )
    assert await history(message.message_id) == ["submitted", "queued"]


async def test_a_confirm_that_comes_after_sent_does_not_take_the_status_back(
    api: Database, worker: Database, history: History, stored: Stored
) -> None:
    async with api.transaction() as tx:
        account = await open_account(tx, balance="10")
        (message,) = await accept(tx, [new_message(account)])
    sent_at = message.enqueued_at + 2 * SECOND
    async with worker.transaction() as tx:
        await submit(tx, [message], sent_at)
    async with api.transaction() as tx:
        await queue(tx, [message], message.enqueued_at + SECOND)
    row = await stored(message.message_id)
    assert (row["status"], row["status_updated_at"], row["sent_at"]) == ("sent", sent_at, sent_at)
    assert await history(message.message_id) == ["submitted", "queued", "sent:1"]


async def test_two_sweeps_share_what_is_unpublished_and_leave_the_young(api: Database) -> None:
    at = now()
    async with api.transaction() as tx:
        account = await open_account(tx, balance="10")
        old = [new_message(account, at=at - timedelta(seconds=60 + i)) for i in range(4)]
        done = new_message(account, at=at - timedelta(seconds=90))
        await accept(tx, [*old, done, new_message(account, at=at)])
        await queue(tx, [done], at)
    async with api.transaction() as one, api.transaction() as two:
        first = await publishing.find_unpublished(one, at, timedelta(seconds=30), 3)
        second = await publishing.find_unpublished(two, at, timedelta(seconds=30), 3)
    assert [r.message_id for r in first] == [m.message_id for m in (old[3], old[2], old[1])]
    assert [r.message_id for r in second] == [old[0].message_id]
    async with api.transaction() as tx:
        waiting, oldest = await publishing.count_unpublished(tx, at)
    assert (waiting, oldest) == (5, old[3].enqueued_at)


async def test_nothing_waits_in_an_empty_house(api: Database) -> None:
    async with api.transaction() as tx:
        assert await publishing.count_unpublished(tx, now()) == (0, None)
        assert await publishing.find_unpublished(tx, now(), SECOND, 10) == []


async def test_partitions_are_made_ahead_and_only_once(api: Database) -> None:
    def end_of_month(ahead: int) -> datetime:
        at = now()
        month = at.month + ahead
        return datetime(at.year + month // 12, month % 12 + 1, 1, tzinfo=UTC)

    async with api.transaction() as tx:
        assert await publishing.ensure_partitions(tx, 3) == end_of_month(3)
        assert await publishing.ensure_partitions(tx, 5) == end_of_month(5)
        assert await publishing.ensure_partitions(tx, 5) == end_of_month(5)
    per_table = await api.fetch(
        "SELECT inhparent::regclass::text AS parent, count(*) AS months FROM pg_inherits"
        " WHERE inhparent IN (SELECT partrelid FROM pg_partitioned_table) GROUP BY 1"
    )
    assert {row["parent"]: row["months"] for row in per_table} == {
        "orch.sms_messages": 7,
        "orch.message_events": 7,
        "dlr.dlrs": 7,
    }


async def test_only_main_api_makes_partitions(worker: Database) -> None:
    with pytest.raises(InsufficientPrivilege):
        async with worker.transaction() as tx:
            await publishing.ensure_partitions(tx, 3)
