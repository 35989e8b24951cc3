"""The accept transaction's statements, under main-api's own role."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest

from sema_common.messages.store import accepting, idempotency
from sema_common.messages.store.idempotency import KEPT_FOR, KeptResponse, key_hash
from sema_common.messages.store.reading import read_messages
from sema_common.platform.db import Database, UniqueViolation
from sema_common.values.clock import now
from sema_common.values.ids import new_id
from tests.kit.seeds import accept, new_message, open_account


def kept_response(account_id: UUID, key: str = "order-7") -> KeptResponse:
    return KeptResponse(
        hash=key_hash(account_id, key),
        tenant_id=account_id,
        account_id=account_id,
        resource_type="message",
        resource_id=new_id(),
        fingerprint=b"f",
        http_status=202,
        response_body={"id": "x", "nested": [1, None, "é"]},
        expires_at=now() + KEPT_FOR,
    )


async def test_a_message_is_stored_as_it_was_accepted(api: Database) -> None:
    async with api.transaction() as tx:
        account = await open_account(tx, balance="10")
        message = new_message(
            account,
            "0.8000",
            mno=None,
            metadata=None,
            kind="FLASH_SMS",
            lane="priority",
            test=True,
            callback_url="https://example.com/hook",
            campaign_id=new_id(),
            traceparent="00-" + "a" * 32 + "-" + "b" * 16 + "-01",
        )
        plain = new_message(account)
        await accept(tx, [message, plain])
        rows = await read_messages(tx, [plain.message_id, message.message_id])
    assert rows[message.message_id].job(message.enqueued_at) == message.job(message.enqueued_at)
    assert rows[plain.message_id].job(plain.enqueued_at) == plain.job(plain.enqueued_at)
    row = rows[message.message_id]
    assert (row.status, row.created_at, row.status_at) == (
        "submitted",
        message.enqueued_at,
        message.enqueued_at,
    )
    assert (row.route, row.attempts, row.queued_at, row.sent_at, row.delivered_at) == (
        None,
        0,
        None,
        None,
        None,
    )


async def test_a_batch_of_500_is_one_transaction(api: Database) -> None:
    async with api.transaction() as tx:
        account = await open_account(tx, balance="400")
        accepted = await accept(tx, [new_message(account) for _ in range(500)])
    assert len(accepted) == 400
    assert await api.fetchval("SELECT count(*) FROM orch.message_events WHERE event_key = 'submitted'") == 400


async def test_what_was_committed_is_found_after_a_lost_answer(api: Database) -> None:
    async with api.transaction() as tx:
        account = await open_account(tx, balance="10")
        accepted = await accept(tx, [new_message(account), new_message(account)])
    async with api.transaction() as tx:
        lost = new_message(account)
        assert await accepting.find_existing(tx, [*accepted, lost]) == {m.message_id for m in accepted}


async def test_an_id_is_accepted_once(api: Database) -> None:
    async with api.transaction() as tx:
        account = await open_account(tx, balance="10")
        (message,) = await accept(tx, [new_message(account)])
    with pytest.raises(UniqueViolation):
        async with api.transaction() as tx:
            await accepting.insert_messages(tx, [message])


async def test_a_message_of_any_month_that_is_open_finds_its_partition(api: Database) -> None:
    async with api.transaction() as tx:
        account = await open_account(tx, balance="10")
        times = [now() + timedelta(days=days) for days in (-20, 0, 31, 62)]
        messages = await accept(tx, [new_message(account, at=at) for at in times])
        assert len(await read_messages(tx, [m.message_id for m in messages])) == 4


async def test_a_response_is_kept_and_found(api: Database) -> None:
    async with api.transaction() as tx:
        account = await open_account(tx)
        response = kept_response(account)
        assert await idempotency.keep(tx, [response], now()) == {response.hash}
        found = await idempotency.find_kept(tx, [response.hash, key_hash(account, "other")], now())
        assert found == {response.hash: response}
        later = await idempotency.find_kept(tx, [response.hash], response.expires_at)
        assert later == {}


async def test_a_key_that_is_held_stays_with_the_first(api: Database) -> None:
    async with api.transaction() as tx:
        account = await open_account(tx)
        first, other = kept_response(account), kept_response(account, "other")
        await idempotency.keep(tx, [first], now())
        second = replace(first, resource_id=new_id())
        assert await idempotency.keep(tx, [second, other], now()) == {other.hash}
        assert (await idempotency.find_kept(tx, [first.hash], now()))[first.hash] == first


async def test_concurrent_calls_with_one_key_have_one_winner(api: Database) -> None:
    async with api.transaction() as tx:
        account = await open_account(tx)

    async def keep() -> int:
        async with api.transaction(30) as tx:
            return len(await idempotency.keep(tx, [kept_response(account)], now()))

    assert sum(await asyncio.gather(*(keep() for _ in range(24)))) == 1


async def test_an_expired_key_is_taken_over_and_purged(api: Database) -> None:
    async with api.transaction() as tx:
        account = await open_account(tx)
        old = replace(kept_response(account), expires_at=now() - timedelta(seconds=1))
        gone = replace(kept_response(account, "gone"), expires_at=now() - timedelta(seconds=1))
        await idempotency.keep(tx, [old, gone], now())
    fresh = replace(kept_response(account), fingerprint=b"another call")
    async with api.transaction() as tx:
        assert await idempotency.keep(tx, [fresh], now()) == {fresh.hash}
    async with api.transaction() as tx:
        assert await idempotency.purge_expired(tx) == 1
        assert await idempotency.find_kept(tx, [fresh.hash], now()) == {fresh.hash: fresh}
