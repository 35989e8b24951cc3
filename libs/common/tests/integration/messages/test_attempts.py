"""Claims and outcomes under sms-worker's role: one claimer, and records that bear repeating in any order."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from itertools import permutations

import pytest

from sema_common.messages.store import attempts
from sema_common.messages.store.accepting import NewMessage
from sema_common.messages.store.outcomes import (
    Ended,
    Unfinished,
    record_ended,
    record_sent,
    record_unfinished,
)
from sema_common.messages.store.reading import read_messages, read_status
from sema_common.platform.db import Database, Tx
from sema_common.values.clock import now
from tests.kit.seeds import AGGREGATOR, accept, claim_of, new_message, open_account, queue, sent_of

from .conftest import History, Stored

LEASE = timedelta(minutes=1)
SECOND = timedelta(seconds=1)


@pytest.fixture
async def message(api: Database) -> NewMessage:
    """One queued message."""
    async with api.transaction() as tx:
        account = await open_account(tx, balance="10")
        (message,) = await accept(tx, [new_message(account, at=now() - 10 * SECOND)])
        await queue(tx, [message], message.enqueued_at + SECOND)
    return message


def ended_of(message: NewMessage, attempt: int = 1, code: str = "invalid_number") -> Ended:
    at = message.enqueued_at + 3 * SECOND
    return Ended(
        message.message_id, attempt, message.tenant_id, "failed", code, "no such number", at, AGGREGATOR
    )


def doubt_of(message: NewMessage, attempt: int = 1) -> Unfinished:
    at = message.enqueued_at + 2 * SECOND
    return Unfinished(
        message.message_id, attempt, message.tenant_id, "in_doubt", "timeout", "no answer", at, at + LEASE
    )


async def test_many_workers_claim_each_attempt_once(api: Database, worker: Database) -> None:
    async with api.transaction() as tx:
        account = await open_account(tx, balance="1000")
        messages = await accept(tx, [new_message(account) for _ in range(20)])

    async def claim(shift: int) -> set[attempts.AttemptKey]:
        turned = messages[shift:] + messages[:shift]  # each worker has them in another order
        async with worker.transaction(30) as tx:
            return await attempts.claim(tx, [claim_of(m) for m in turned], now() + LEASE)

    claimed = await asyncio.gather(*(claim(shift) for shift in range(12)))
    assert sum(map(len, claimed)) == 20
    assert set().union(*claimed) == {(m.message_id, 1) for m in messages}


async def test_a_claim_that_is_taken_back_may_be_claimed_again(worker: Database, message: NewMessage) -> None:
    async with worker.transaction() as tx:
        assert await attempts.claim(tx, [claim_of(message)], now() + LEASE)
        assert not await attempts.claim(tx, [claim_of(message)], now() + LEASE)
        await attempts.unclaim(tx, [(message.message_id, 1)])
        assert await attempts.claim(tx, [claim_of(message)], now() + LEASE)


async def test_an_attempt_with_an_outcome_cannot_be_taken_back(worker: Database, message: NewMessage) -> None:
    async with worker.transaction() as tx:
        await attempts.claim(tx, [claim_of(message)], now() + LEASE)
        await record_unfinished(tx, [doubt_of(message)])
        await attempts.unclaim(tx, [(message.message_id, 1)])
        assert not await attempts.claim(tx, [claim_of(message)], now() + LEASE)


async def test_the_due_are_shared_between_sweeps(api: Database, worker: Database) -> None:
    at = now()
    async with api.transaction() as tx:
        account = await open_account(tx, balance="10")
        messages = await accept(tx, [new_message(account) for _ in range(4)])
    async with worker.transaction() as tx:
        for age, message in enumerate(messages):
            await attempts.claim(tx, [claim_of(message)], at - age * SECOND)
        await attempts.set_due(tx, [((messages[0].message_id, 1), at + LEASE)])
    async with worker.transaction() as one, worker.transaction() as two:
        first = await attempts.find_due(one, at, 2)
        second = await attempts.find_due(two, at, 2)
    assert [a.message_id for a in first] == [messages[3].message_id, messages[2].message_id]
    assert [a.message_id for a in second] == [messages[1].message_id]
    assert (first[0].state, first[0].aggregator, first[0].lane) == ("claimed", AGGREGATOR, "normal")
    async with worker.transaction() as tx:
        await attempts.set_due(tx, [((a.message_id, 1), None) for a in first])
        assert len(await attempts.find_due(tx, at, 10)) == 1


async def test_sent_is_recorded_once_however_often_it_is_told(
    worker: Database, message: NewMessage, history: History, stored: Stored
) -> None:
    at = message.enqueued_at + 2 * SECOND
    async with worker.transaction() as tx:
        await attempts.claim(tx, [claim_of(message)], now() + LEASE)
        for _ in range(3):
            await record_sent(tx, [sent_of(message, "agg-1", at)])
        (attempt,) = (await attempts.read_attempts(tx, [message.message_id]))[message.message_id]
    assert (attempt.state, attempt.aggregator_id, attempt.finished_at, attempt.due_at) == (
        "accepted",
        "agg-1",
        at,
        None,
    )
    row = await stored(message.message_id)
    assert (row["status"], row["route_id"], row["aggregator_id"], row["sent_at"]) == (
        "sent",
        AGGREGATOR,
        "agg-1",
        at,
    )
    assert row["queued_at"] == message.enqueued_at + SECOND
    assert await history(message.message_id) == ["submitted", "queued", "sent:1"]


async def test_an_end_is_answered_once_so_it_is_refunded_once(
    worker: Database, message: NewMessage, history: History, stored: Stored
) -> None:
    async with worker.transaction() as tx:
        await attempts.claim(tx, [claim_of(message)], now() + LEASE)
        assert await record_ended(tx, [ended_of(message)]) == {message.message_id}
        assert await record_ended(tx, [ended_of(message)]) == set()
        (attempt,) = (await attempts.read_attempts(tx, [message.message_id]))[message.message_id]
    assert (attempt.state, attempt.code, attempt.due_at) == ("refused", "invalid_number", None)
    row = await stored(message.message_id)
    assert (row["status"], row["last_error"]) == (
        "failed",
        {"code": "invalid_number", "detail": "no such number"},
    )
    assert row["processed_at"] == row["status_updated_at"] == message.enqueued_at + 3 * SECOND
    assert await history(message.message_id) == ["submitted", "queued", "failed:1"]


async def test_concurrent_ends_have_one_winner(worker: Database, message: NewMessage) -> None:
    async def end() -> int:
        async with worker.transaction(30) as tx:
            return len(await record_ended(tx, [ended_of(message)]))

    assert sum(await asyncio.gather(*(end() for _ in range(12)))) == 1


async def test_a_doubt_leaves_the_message_queued_until_it_is_settled(
    worker: Database, message: NewMessage, history: History, stored: Stored
) -> None:
    async with worker.transaction() as tx:
        await attempts.claim(tx, [claim_of(message)], now() + LEASE)
        await record_unfinished(tx, [doubt_of(message)])
        await record_unfinished(tx, [doubt_of(message)])
        (attempt,) = (await attempts.read_attempts(tx, [message.message_id]))[message.message_id]
        assert (attempt.state, attempt.code) == ("in_doubt", "timeout")
        assert attempt.due_at == message.enqueued_at + 2 * SECOND + LEASE
        assert (await stored(message.message_id))["status"] == "queued"
        assert await record_ended(tx, [ended_of(message, code="submission_unconfirmed")])
        (attempt,) = (await attempts.read_attempts(tx, [message.message_id]))[message.message_id]
    assert (attempt.state, attempt.code, attempt.due_at) == ("settled", "submission_unconfirmed", None)
    assert await history(message.message_id) == ["submitted", "queued", "in_doubt:1", "failed:1"]


@pytest.mark.parametrize("state", ["not_sent", "in_doubt", "settled"])
async def test_an_unfinished_attempt_says_so_under_its_own_name(
    worker: Database, message: NewMessage, history: History, state: str
) -> None:
    unfinished = doubt_of(message)
    object.__setattr__(unfinished, "state", state)
    async with worker.transaction() as tx:
        await attempts.claim(tx, [claim_of(message)], now() + LEASE)
        await record_unfinished(tx, [unfinished])
    name = {"not_sent": "retry", "settled": "resend"}.get(state, state)
    assert await history(message.message_id) == ["submitted", "queued", f"{name}:1"]


@pytest.mark.parametrize("outcome", ["sent", "ended"])
async def test_an_outcome_takes_its_message_before_its_attempt(
    api: Database, worker: Database, message: NewMessage, outcome: str
) -> None:
    async with worker.transaction() as tx:
        await attempts.claim(tx, [claim_of(message)], now() + LEASE)

    async def record() -> None:
        async with worker.transaction() as tx:
            if outcome == "sent":
                await record_sent(tx, [sent_of(message, "agg-1", message.enqueued_at + 2 * SECOND)])
            else:
                await record_ended(tx, [ended_of(message)])

    async with api.transaction() as holder:
        await holder.execute(
            "SELECT FROM orch.sms_messages WHERE message_id = $1 FOR NO KEY UPDATE", message.message_id
        )
        recording = asyncio.create_task(record())
        while not await holder.fetchval(
            "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND transactionid = pg_current_xact_id()::xid)"
        ):
            assert not recording.done()
        async with worker.transaction() as tx:
            await tx.execute(
                "SELECT FROM orch.submit_attempts WHERE message_id = $1 FOR NO KEY UPDATE NOWAIT",
                message.message_id,
            )
    await recording


@pytest.mark.parametrize("order", list(permutations(("sent", "ended", "unfinished"))), ids="-".join)
async def test_outcomes_end_in_a_legal_state_in_any_order(
    worker: Database, message: NewMessage, history: History, stored: Stored, order: tuple[str, ...]
) -> None:
    async def sent(tx: Tx) -> None:
        await record_sent(tx, [sent_of(message, "agg-1", message.enqueued_at + 2 * SECOND)])

    async def ended(tx: Tx) -> None:
        await record_ended(tx, [ended_of(message)])

    async def unfinished(tx: Tx) -> None:
        await record_unfinished(tx, [doubt_of(message)])

    steps: dict[str, Callable[[Tx], Awaitable[None]]] = {
        "sent": sent,
        "ended": ended,
        "unfinished": unfinished,
    }
    async with worker.transaction() as tx:
        await attempts.claim(tx, [claim_of(message)], now() + LEASE)
    for name in order * 2:  # the second round repeats every one of them
        async with worker.transaction() as tx:
            await steps[name](tx)
    row = await stored(message.message_id)
    assert row["status"] == "failed", "failed outranks sent, whichever came first"
    assert row["aggregator_id"] == "agg-1", "a report must still find the message"
    assert sorted(await history(message.message_id)) == [
        "failed:1",
        "in_doubt:1",
        "queued",
        "sent:1",
        "submitted",
    ]
    async with worker.transaction() as tx:
        (attempt,) = (await attempts.read_attempts(tx, [message.message_id]))[message.message_id]
    assert (attempt.state, attempt.aggregator_id, attempt.due_at) == ("accepted", "agg-1", None)


async def test_statuses_and_messages_are_read_by_id(worker: Database, message: NewMessage) -> None:
    other = new_message(message.account_id)
    async with worker.transaction() as tx:
        wanted = [message.message_id, other.message_id, message.message_id]
        assert await read_status(tx, wanted) == {message.message_id: "queued"}
        assert set(await read_messages(tx, wanted)) == {message.message_id}
        assert await attempts.read_attempts(tx, wanted) == {}
