"""The history is the truth: a status that differs from it is found and written anew."""

from datetime import timedelta

from sema_common.messages.store import projection, reports
from sema_common.messages.store.reports import Reported
from sema_common.platform.db import Database
from sema_common.values.clock import now
from tests.kit.seeds import accept, new_message, open_account, queue, submit

from .conftest import Stored

HOUR = timedelta(hours=1)


async def test_after_the_whole_journey_status_and_history_agree(
    api: Database, worker: Database, processor: Database
) -> None:
    async with api.transaction() as tx:
        account = await open_account(tx, balance="10")
        messages = await accept(tx, [new_message(account) for _ in range(4)])
        await queue(tx, messages[1:], now())
    async with worker.transaction() as tx:
        await submit(tx, messages[2:], now())
    async with processor.transaction() as tx:
        await reports.apply_reports(tx, [Reported(messages[3].message_id, "delivered", now(), None, {})])
        await reports.apply_reports(tx, [Reported(messages[3].message_id, "failed", now(), None, {})])
    async with api.transaction() as tx:
        assert await projection.compare(tx, now() - HOUR, now() + HOUR) == []


async def test_a_status_changed_by_hand_is_rebuilt_from_its_history(api: Database, stored: Stored) -> None:
    async with api.transaction() as tx:
        account = await open_account(tx, balance="10")
        (message,) = await accept(tx, [new_message(account)])
        await tx.execute(
            "UPDATE orch.sms_messages SET status = 'delivered' WHERE message_id = $1", message.message_id
        )
        differences = await projection.compare(tx, now() - HOUR, now() + HOUR)
        assert [(d.status, d.history) for d in differences] == [("delivered", "submitted")]
        await projection.rebuild(tx, differences)
        assert await projection.compare(tx, now() - HOUR, now() + HOUR) == []
    assert (await stored(message.message_id))["status"] == "submitted"
