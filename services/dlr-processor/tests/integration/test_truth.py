"""Messages without a report, refunds by policy, and reports that claim what is not theirs."""

from datetime import timedelta
from typing import Any

import pytest
from pydantic_core import to_json

from sema_common.messages.store.accepting import NewMessage
from sema_common.platform.bus import Delivery
from sema_common.platform.db import Database
from sema_common.values.clock import now
from sema_common.values.errors import BrokerUnavailable
from sema_common.values.ids import new_id
from sema_common.wire.dlr import OverdueMessages
from sema_dlr_processor import metrics, store
from sema_dlr_processor.handlers import ReportHandler
from sema_dlr_processor.loops import Expire, Purge

from .conftest import (  # type: ignore[import-not-found]  # mypy knows no package with a dash
    NO_REPORT,
    AwayOnce,
    House,
    delivery,
    eventually,
    raw_dlrs,
    report_of,
)

pytestmark = pytest.mark.stores

HOUR = timedelta(hours=1)


async def age(house: House, message: NewMessage, hours: float) -> None:
    """Let it have been sent so long ago."""
    await house.owner.execute(
        "UPDATE orch.sms_messages SET sent_at = now() - make_interval(secs => $2) WHERE message_id = $1",
        message.message_id,
        hours * 3600,
    )


async def find(house: House, processor: Database) -> bool:
    return await Expire(processor, house.bus, NO_REPORT).find()


def overdue(*messages: NewMessage) -> Any:
    found = OverdueMessages(message_ids=tuple(message.message_id for message in messages))
    return delivery(found, new_id())


async def handle(house: House, processor: Database, *deliveries: Any) -> None:
    await ReportHandler(processor, house.bus, NO_REPORT).handle(list(deliveries))


async def report(house: House, processor: Database, message: NewMessage, description: str) -> None:
    await handle(house, processor, delivery(raw_dlrs(report_of(message, description)), new_id()))


async def refunds(house: House, message: NewMessage) -> int:
    found: int = await house.owner.fetchval(
        "SELECT count(*) FROM billing.credit_ledger WHERE reference = $1 AND kind = 'refund'",
        message.message_id,
    )
    return found


async def waiting(house: House) -> int:
    found: int = await house.owner.fetchval("SELECT count(*) FROM dlr.withheld_refunds")
    return found


# ---- no report at all


@pytest.mark.parametrize("refund_undelivered", [True, False])
async def test_a_message_without_a_report_expires_and_is_refunded_by_policy_only(
    room: House, processor: Database, refund_undelivered: bool
) -> None:
    old, young = await room.sent(2, refund_undelivered=refund_undelivered)
    before = metrics.NO_REPORT.labels("celcom", old.mno or "")._value.get()
    await age(room, old, 72.1)
    await age(room, young, 71.9)
    assert await find(room, processor) is False
    await room.told.holds(1)
    (fact,) = room.told.facts
    assert (fact.type, fact.message_id, fact.data["error"]) == (
        "message.expired",
        old.message_id,
        {"code": "no_report", "detail": "No report came within 72 hours."},
    )
    assert (await room.status(old), await room.status(young)) == ("expired", "sent")
    assert await room.history(old) == ["expired", "queued", "sent:1", "submitted"]
    assert await room.balance(old) == (1 if refund_undelivered else 0)
    assert metrics.NO_REPORT.labels("celcom", old.mno or "")._value.get() == before + 1


async def test_what_is_enqueued_is_not_enqueued_again_at_once(house: House, processor: Database) -> None:
    (message,) = await house.sent()
    await age(house, message, 73)
    found: list[Any] = []

    async def take(delivery: Delivery[OverdueMessages]) -> None:
        found.append(delivery.message.message_ids)

    expire = Expire(processor, AwayOnce(house.bus), NO_REPORT)
    with pytest.raises(BrokerUnavailable):
        await expire.find()
    async with house.bus.consume("dlr.inbound", [OverdueMessages], take, prefetch=1):
        for _ in range(3):
            await expire.find()
        (other,) = await house.sent()
        await age(house, other, 73)
        await expire.find()

        async def both() -> bool:
            return len(found) == 2

        await eventually(both)
    assert found == [(message.message_id,), (other.message_id,)]


async def test_an_overdue_message_that_comes_again_is_told_again_and_nothing_else(
    house: House, processor: Database
) -> None:
    (message,) = await house.sent(refund_undelivered=True)
    await age(house, message, 73)
    same = overdue(message)
    with pytest.raises(BrokerUnavailable):
        await ReportHandler(processor, AwayOnce(house.bus), NO_REPORT).handle([same])
    assert await house.status(message) == "expired"
    await handle(house, processor, same)
    await handle(house, processor, same, overdue(message))
    await house.told.holds(2)
    assert len({fact.event_id for fact in house.told.facts}) == 1
    assert await house.history(message) == ["expired", "queued", "sent:1", "submitted"]
    assert await refunds(house, message) == 1


async def test_a_message_that_is_not_overdue_stays_whoever_says_so(house: House, processor: Database) -> None:
    sent, done = await house.sent(2)
    (queued,) = await house.accepted()
    await report(house, processor, done, "DeliveredToTerminal")
    await age(house, done, 80)
    await handle(house, processor, overdue(sent, done, queued))
    assert [await house.status(m) for m in (sent, done, queued)] == ["sent", "delivered", "queued"]


async def test_a_report_in_the_same_batch_is_worth_more_than_the_clock(
    house: House, processor: Database
) -> None:
    (message,) = await house.sent(refund_undelivered=True)
    await age(house, message, 73)
    await handle(house, processor, overdue(message), delivery(raw_dlrs(report_of(message)), new_id()))
    assert await house.status(message) == "delivered"
    assert await refunds(house, message) == 0


async def test_a_delivery_after_the_end_replaces_it_is_not_charged_and_the_refund_stays(
    house: House, processor: Database
) -> None:
    (message,) = await house.sent(refund_undelivered=True)
    await age(house, message, 73)
    await handle(house, processor, overdue(message))
    kept = metrics.REFUNDED_THEN_DELIVERED._value.get()
    for _ in range(2):
        await report(house, processor, message, "DeliveredToTerminal")
    await house.told.holds(2)
    assert house.told.of(message) == ["message.expired", "message.delivered"]
    assert await house.status(message) == "delivered"
    assert await refunds(house, message) == 1
    assert await house.balance(message) == 1
    assert metrics.REFUNDED_THEN_DELIVERED._value.get() == kept + 1


# ---- soft failures


async def test_a_soft_failure_is_told_at_once_and_refunded_when_reports_are_no_longer_waited_for(
    house: House, processor: Database
) -> None:
    (message,) = await house.sent(refund_undelivered=True)
    await age(house, message, 20)
    for _ in range(2):
        await report(house, processor, message, "AbsentSubscriber")
    assert await house.status(message) == "failed"
    assert (await waiting(house), await refunds(house, message)) == (1, 0)
    await handle(house, processor, overdue(message))
    assert (await waiting(house), await refunds(house, message)) == (1, 0), "too early"
    await age(house, message, 72.1)
    await house.owner.execute("UPDATE dlr.withheld_refunds SET due_at = now() - interval '1 minute'")
    async with processor.transaction() as tx:
        assert await store.find_due_refunds(tx, now(), 10) == [message.message_id]
    for _ in range(2):
        await handle(house, processor, overdue(message))
    assert (await waiting(house), await refunds(house, message)) == (0, 1)
    assert await house.balance(message) == 1


async def test_a_soft_failure_that_is_delivered_after_all_is_never_refunded(
    house: House, processor: Database
) -> None:
    (message,) = await house.sent(refund_undelivered=True)
    await report(house, processor, message, "AbsentSubscriber")
    await report(house, processor, message, "DeliveredToTerminal")
    assert (await waiting(house), await refunds(house, message)) == (0, 0)
    await age(house, message, 80)
    await handle(house, processor, overdue(message))
    assert await house.status(message) == "delivered"
    assert await house.balance(message) == 0


async def test_a_certain_failure_after_a_soft_one_is_refunded_at_once_and_once(
    house: House, processor: Database
) -> None:
    (message,) = await house.sent(refund_undelivered=True)
    await report(house, processor, message, "Unknown")
    assert await refunds(house, message) == 0
    for description in ("UserNotExist", "DeliveryImpossible", "AbsentSubscriber"):
        await report(house, processor, message, description)
    assert (await waiting(house), await refunds(house, message)) == (0, 1)


async def test_no_policy_no_refund_and_nothing_waits(house: House, processor: Database) -> None:
    (message,) = await house.sent()
    await report(house, processor, message, "AbsentSubscriber")
    await report(house, processor, message, "UserNotExist")
    assert (await waiting(house), await refunds(house, message)) == (0, 0)


async def test_a_soft_failure_after_its_time_is_certain(house: House, processor: Database) -> None:
    (message,) = await house.sent(refund_undelivered=True)
    await age(house, message, 73)
    await report(house, processor, message, "AbsentSubscriber")
    assert (await waiting(house), await refunds(house, message)) == (0, 1)


async def test_an_early_soft_failure_is_still_soft_when_it_is_matched(
    room: House, processor: Database
) -> None:
    (message,) = await room.accepted(refund_undelivered=True)
    await room.report(report_of(message, "AbsentSubscriber"))
    await room.filed("unmatched", 1)
    await room.submit([message])
    await room.reaches(message, "failed")
    assert (await waiting(room), await refunds(room, message)) == (1, 0)


async def test_an_opt_out_is_in_the_history_and_in_the_row(house: House, processor: Database) -> None:
    (message,) = await house.sent()
    await report(house, processor, message, "UserInBlacklist")
    detail = await house.owner.fetchval(
        "SELECT detail FROM orch.message_events WHERE message_id = $1 AND status = 'failed'",
        message.message_id,
    )
    assert detail["suppress"] is True
    assert await house.owner.fetchval(
        "SELECT suppress FROM dlr.dlrs WHERE message_id = $1", message.message_id
    )


async def suppressions(house: House) -> list[tuple[str, str, str]]:
    rows = await house.owner.fetch("SELECT msisdn, scope, reason FROM core.suppressions")
    return [tuple(row) for row in rows]


async def test_an_opt_out_suppresses_its_recipient_for_that_account(
    house: House, processor: Database
) -> None:
    (message,) = await house.sent()
    for _ in range(2):
        await report(house, processor, message, "UserInBlacklist")
    assert await suppressions(house) == [
        (message.to, "promotional", "reported by celcom: recipient_opted_out")
    ]
    assert await house.owner.fetchval(
        "SELECT tenant_id = $1 AND account_id = $2 FROM core.suppressions",
        message.tenant_id,
        message.account_id,
    )


async def test_what_the_account_has_written_about_an_opt_out_stands(
    house: House, processor: Database
) -> None:
    (message,) = await house.sent()
    await house.owner.execute(
        "INSERT INTO core.suppressions (id, tenant_id, account_id, msisdn, scope, reason) "
        "VALUES ($1, $2, $3, $4, 'all', 'wrote to us')",
        new_id(),
        message.tenant_id,
        message.account_id,
        message.to,
    )
    await report(house, processor, message, "UserInBlacklist")
    assert await suppressions(house) == [(message.to, "all", "wrote to us")]


async def test_an_opt_out_that_was_lifted_stays_so_when_its_report_is_handled_again(
    house: House, processor: Database
) -> None:
    (message,) = await house.sent()
    same = delivery(raw_dlrs(report_of(message, "UserInBlacklist")), new_id())
    await handle(house, processor, same)
    await house.owner.execute("DELETE FROM core.suppressions")
    await handle(house, processor, same)
    assert await suppressions(house) == []


async def test_an_opt_out_in_a_report_that_came_early_counts_when_it_is_matched(
    room: House,
) -> None:
    (message,) = await room.accepted()
    await room.report(report_of(message, "UserInBlacklist"))
    await room.filed("unmatched", 1)
    assert await suppressions(room) == []
    await room.submit([message])
    await room.reaches(message, "failed")
    assert len(await suppressions(room)) == 1


async def test_an_opt_out_in_a_report_about_somebody_elses_message_counts_for_nobody(
    house: House, processor: Database
) -> None:
    (message,) = await house.sent()
    body = to_json(
        {
            "messageid": f"agg-{message.message_id.hex}",
            "description": "UserInBlacklist",
            "mobile": "254700000001",
        }
    )
    await handle(house, processor, delivery(raw_dlrs(body), new_id()))
    assert await suppressions(house) == []


# ---- B53: what claims somebody else's message


async def test_b53_an_id_of_another_aggregator_moves_nothing_and_is_set_aside(
    house: House, processor: Database
) -> None:
    (message,) = await house.sent()
    body = to_json({"id": f"agg-{message.message_id.hex}", "status": "delivered"})
    for _ in range(2):
        same = delivery(raw_dlrs(body, aggregator="test"), new_id())
        await handle(house, processor, same)
        await handle(house, processor, same)
    assert await house.status(message) == "sent"
    rows = await house.owner.fetch("SELECT reason, body FROM dlr.quarantine")
    assert [tuple(row) for row in rows] == [("an id that another aggregator gave", body)] * 2
    assert await house.owner.fetchval("SELECT count(*) FROM dlr.dlrs WHERE state = 'abandoned'") == 2


@pytest.mark.parametrize(
    ("mobile", "status"),
    [("254712345678", "delivered"), ("0712345678", "delivered"), ("254712345679", "sent")],
)
async def test_b53_a_report_of_another_recipient_moves_nothing(
    house: House, processor: Database, mobile: str, status: str
) -> None:
    (message,) = await house.sent()
    assert message.to == "+254712345678"
    body = to_json(
        {"messageid": f"agg-{message.message_id.hex}", "description": "DeliveredToTerminal", "mobile": mobile}
    )
    await handle(house, processor, delivery(raw_dlrs(body), new_id()))
    assert await house.status(message) == status
    set_aside = await house.owner.fetchval("SELECT count(*) FROM dlr.quarantine")
    assert set_aside == (0 if status == "delivered" else 1)


async def test_an_id_that_several_messages_share_tells_nothing_of_any(
    house: House, processor: Database
) -> None:
    messages = await house.sent(2)
    await house.owner.execute("UPDATE orch.submit_attempts SET aggregator_id = '1'")
    await handle(
        house, processor, delivery(raw_dlrs(b'{"messageid": 1, "description": "Delivered"}'), new_id())
    )
    assert [await house.status(m) for m in messages] == ["sent", "sent"]
    await house.filed("unmatched", 1)


# ---- what is old


async def test_whole_months_of_reports_are_dropped_when_they_are_old_and_nobody_waits_in_them(
    house: House, processor: Database
) -> None:
    for year, state in ((2020, "applied"), (2021, "unmatched")):
        await house.owner.execute(
            f"CREATE TABLE dlr.dlrs_{year}_01 PARTITION OF dlr.dlrs"
            f" FOR VALUES FROM ('{year}-01-01') TO ('{year}-02-01');"
            f" ALTER TABLE dlr.dlrs_{year}_01 OWNER TO sema_owner"
        )
        await house.owner.execute(
            "INSERT INTO dlr.dlrs (id, received_at, aggregator, aggregator_id, description, state, raw)"
            f" VALUES (gen_random_uuid(), '{year}-01-05', 'celcom', 'x', '', '{state}', '')"
        )
    partitions = "SELECT count(*) FROM pg_inherits WHERE inhparent = 'dlr.dlrs'::regclass"
    before = await house.owner.fetchval(partitions)
    for _ in range(2):
        await Purge(processor, 90).drop()
    assert await house.owner.fetchval(partitions) == before - 1
    assert await house.owner.fetchval("SELECT to_regclass('dlr.dlrs_2020_01')") is None


async def test_the_loop_ends_what_is_overdue_in_the_running_room(room: House) -> None:
    """The first look is at the start; here it is the room's own second one."""
    (message,) = await room.sent()
    await age(room, message, 73)
    await room.reaches(message, "expired")
