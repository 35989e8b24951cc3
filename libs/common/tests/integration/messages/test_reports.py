"""Reports move messages upwards only, under dlr-processor's role."""

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID

import pytest

from sema_common.messages.store import reports
from sema_common.messages.store.accepting import NewMessage
from sema_common.messages.store.reports import Noted, Reported
from sema_common.platform.db import Database
from sema_common.values.clock import now
from tests.kit.seeds import AGGREGATOR, accept, new_message, open_account, submit

from .conftest import History, Stored

SECOND = timedelta(seconds=1)
ERROR = {"code": "undelivered", "detail": "The network reported: AbsentSubscriber."}


@pytest.fixture
async def message(api: Database, worker: Database) -> NewMessage:
    """One message that was sent 5 s ago."""
    async with api.transaction() as tx:
        account = await open_account(tx, balance="10")
        (message,) = await accept(tx, [new_message(account, at=now() - 10 * SECOND)])
    async with worker.transaction() as tx:
        await submit(tx, [message], sent_at(message))
    return message


def sent_at(message: NewMessage) -> datetime:
    return message.enqueued_at + 5 * SECOND


def delivered(message: NewMessage, at: datetime | None = None) -> Reported:
    return Reported(
        message.message_id, "delivered", at or sent_at(message) + 2 * SECOND, None, {"network": "1"}
    )


def failed(message: NewMessage) -> Reported:
    return Reported(message.message_id, "failed", sent_at(message) + SECOND, ERROR, {"network": "1"})


async def test_a_submit_is_found_by_the_aggregators_id(processor: Database, message: NewMessage) -> None:
    key = (AGGREGATOR, f"agg-{message.message_id.hex}")
    async with processor.transaction() as tx:
        found = await reports.find_submits(tx, [key, key, ("other", key[1]), (AGGREGATOR, "unknown")])
    assert found == {key: message.message_id}


async def test_a_delivered_message_is_answered_as_it_stands(
    processor: Database, message: NewMessage, history: History
) -> None:
    async with processor.transaction() as tx:
        moved = await reports.apply_reports(tx, [delivered(message)])
    row, was = moved[message.message_id].row, moved[message.message_id].was
    assert was == "sent"
    at = sent_at(message) + 2 * SECOND
    assert (row.status, row.status_at, row.delivered_at, row.last_error) == ("delivered", at, at, None)
    assert (row.sent_at, row.route) == (sent_at(message), AGGREGATOR)
    assert await history(message.message_id) == ["submitted", "sent:1", "delivered"]


async def test_a_repeated_report_moves_nothing(
    processor: Database, message: NewMessage, history: History
) -> None:
    async with processor.transaction() as tx:
        assert await reports.apply_reports(tx, [delivered(message)])
    for again in (delivered(message), failed(message)):
        async with processor.transaction() as tx:
            assert await reports.apply_reports(tx, [again]) == {}
    assert await history(message.message_id) == ["submitted", "sent:1", "delivered"]


async def test_a_late_delivered_replaces_a_failure(
    processor: Database, message: NewMessage, history: History, stored: Stored
) -> None:
    async with processor.transaction() as tx:
        row = (await reports.apply_reports(tx, [failed(message)]))[message.message_id].row
        assert (row.status, row.last_error, row.delivered_at) == ("failed", ERROR, None)
    async with processor.transaction() as tx:
        late = (await reports.apply_reports(tx, [delivered(message)]))[message.message_id]
    row = late.row
    assert late.was == "failed"
    assert (row.status, row.last_error) == ("delivered", None)
    assert (await stored(message.message_id))["delivered_at"] == row.delivered_at
    assert await history(message.message_id) == ["submitted", "sent:1", "failed", "delivered"]


@pytest.mark.parametrize("early", [timedelta(hours=1), 6 * SECOND, timedelta(milliseconds=300)])
async def test_no_message_is_delivered_before_it_was_sent(
    processor: Database, message: NewMessage, early: timedelta
) -> None:
    async with processor.transaction() as tx:
        moved = await reports.apply_reports(tx, [delivered(message, sent_at(message) - early)])
    row = moved[message.message_id].row
    assert row.delivered_at == row.status_at == sent_at(message)


async def test_concurrent_reports_of_one_message_move_it_once(
    processor: Database, message: NewMessage, history: History
) -> None:
    async def report() -> int:
        async with processor.transaction(30) as tx:
            return len(await reports.apply_reports(tx, [delivered(message)]))

    assert sum(await asyncio.gather(*(report() for _ in range(12)))) == 1
    assert await history(message.message_id) == ["submitted", "sent:1", "delivered"]


async def test_opposite_batches_do_not_deadlock(api: Database, worker: Database, processor: Database) -> None:
    async with api.transaction() as tx:
        account = await open_account(tx, balance="100")
        messages = await accept(tx, [new_message(account) for _ in range(100)])
    async with worker.transaction() as tx:
        await submit(tx, messages)

    async def report(batch: list[NewMessage]) -> set[UUID]:
        async with processor.transaction(30) as tx:
            return set(await reports.apply_reports(tx, [delivered(m) for m in batch]))

    moved = await asyncio.gather(*(report(messages[::step]) for step in (1, -1) * 6))
    assert sum(map(len, moved)) == 100


async def test_notes_are_written_once(processor: Database, message: NewMessage, history: History) -> None:
    note = Noted(
        message.message_id,
        message.tenant_id,
        "network_report:sent:SentToNetwork",
        "network_report",
        sent_at(message) + SECOND,
        {"description": "SentToNetwork"},
    )
    async with processor.transaction() as tx:
        await reports.note_reports(tx, [note, replace(note, event_key="network_report::?")])
        await reports.note_reports(tx, [note])
    assert await history(message.message_id) == [
        "submitted",
        "sent:1",
        "network_report::?",
        "network_report:sent:SentToNetwork",
    ]
