"""The whole room on real Postgres and RabbitMQ, under its own database role."""

import asyncio
import time
from datetime import timedelta

import pytest
from pydantic_core import to_json

from sema_common.messages.routes import WINDOW, WINDOW_SECONDS, route_key, tally
from sema_common.platform.cache import Cache
from sema_common.platform.db import Database
from sema_common.platform.rolling import Rolling
from sema_common.values.clock import now
from sema_common.values.errors import BrokerUnavailable
from sema_common.values.ids import new_id
from sema_common.wire.dlr import RawDlr, RawDlrs
from sema_dlr_processor import metrics
from sema_dlr_processor.handlers import ReportHandler
from sema_dlr_processor.loops import Rematch

from .conftest import (  # type: ignore[import-not-found]  # mypy knows no package with a dash
    NO_REPORT,
    AwayOnce,
    House,
    delivery,
    eventually,
    raw_dlrs,
    report_of,
    says,
)


async def test_a_report_moves_its_message_and_tells_the_customer(room: House) -> None:
    (message,) = await room.sent()
    await room.report(report_of(message))
    await room.told.holds(1)
    (fact,) = room.told.facts
    assert (fact.type, fact.account_id, fact.message_id) == (
        "message.delivered",
        message.account_id,
        message.message_id,
    )
    assert fact.data["status"] == "delivered"
    assert fact.data["delivered_at"] >= fact.data["sent_at"] >= fact.data["created_at"]
    assert await room.status(message) == "delivered"
    assert await room.history(message) == ["delivered", "queued", "sent:1", "submitted"]
    row = await room.owner.fetchrow("SELECT message_id, state, retry_at FROM dlr.dlrs")
    assert row is not None
    assert tuple(row) == (message.message_id, "applied", None)


async def test_what_a_network_reports_is_counted_for_the_choice_of_routes(
    room: House, redis_url: str
) -> None:
    (message,) = await room.sent()
    await room.report(*[report_of(message)] * 2)
    await room.told.holds(1)
    async with Cache.open(redis_url) as cache:
        window = Rolling(cache, WINDOW, WINDOW_SECONDS)
        async with asyncio.timeout(60):
            while not (total := window.total(time.time())):
                await window.read(time.time())
                await asyncio.sleep(0.02)
    lately = tally(total, route_key("celcom", "Safaricom"))
    assert (lately.delivered, lately.undelivered) == (1, 0), "a repeat counts nothing"


async def test_a_report_before_its_submit_is_matched_once_that_is_recorded(room: House) -> None:
    (message,) = await room.accepted()
    await room.report(report_of(message))
    await room.filed("unmatched", 1)
    await room.submit([message])
    await room.told.holds(1)
    await room.filed("applied", 1)
    assert room.told.of(message) == ["message.delivered"]
    assert await room.status(message) == "delivered"


async def test_ten_times_the_same_report_is_one_fact(room: House) -> None:
    (message,) = await room.sent()
    await room.report(*[report_of(message)] * 4)
    for _ in range(6):
        await room.report(report_of(message))

    async def all_filed() -> bool:
        return bool(await room.owner.fetchval("SELECT count(*) = 10 FROM dlr.dlrs"))

    await eventually(all_filed)
    (marker,) = await room.sent()
    await room.report(report_of(marker))
    await room.told.holds(2)
    assert room.told.of(message) == ["message.delivered"]
    assert await room.history(message) == ["delivered", "queued", "sent:1", "submitted"]


async def test_news_that_comes_after_the_end_is_history_only(room: House) -> None:
    (message,) = await room.sent()
    await room.report(report_of(message))
    await room.reaches(message, "delivered")
    await room.report(report_of(message, "SentToNetwork"))
    await room.filed("repeated", 1)
    assert await room.status(message) == "delivered"
    assert "network_report:sent:SentToNetwork" in await room.history(message)
    assert room.told.of(message) == ["message.delivered"]


async def test_a_late_delivered_is_told_and_never_charged_again(room: House) -> None:
    (message,) = await room.sent()
    late = metrics.LATE.labels("celcom")._value.get()
    await room.report(report_of(message, "AbsentSubscriber"))
    await room.told.holds(1)
    assert room.told.facts[0].data["error"]["code"] == "absent_subscriber"
    await room.report(report_of(message))
    await room.told.holds(2)
    assert room.told.of(message) == ["message.failed", "message.delivered"]
    assert room.told.facts[1].data["error"] is None
    assert await room.balance(message) == 0
    assert metrics.LATE.labels("celcom")._value.get() == late + 1


async def test_a_contradiction_moves_nothing_and_is_kept(room: House) -> None:
    (message,) = await room.sent()
    await room.report(report_of(message))
    await room.reaches(message, "delivered")
    await room.report(report_of(message, "DeliveryImpossible"))
    await room.filed("repeated", 1)
    assert await room.status(message) == "delivered"
    assert "contradicted_report:failed:DeliveryImpossible" in await room.history(message)
    assert room.told.of(message) == ["message.delivered"]


async def test_opposite_reports_in_one_batch_end_as_delivered(room: House) -> None:
    (message,) = await room.sent()
    await room.report(
        report_of(message, "AbsentSubscriber"), report_of(message), report_of(message, "Expired")
    )
    await room.told.holds(1)
    await room.reaches(message, "delivered")
    assert room.told.of(message) == ["message.delivered"]


async def test_a_report_of_a_stranger_waits_and_harms_nobody(room: House) -> None:
    (message,) = await room.sent()
    await room.report(to_json({"messageid": "nobody's", "description": "Delivered"}), report_of(message))
    await room.told.holds(1)
    await room.filed("unmatched", 1)
    assert await room.owner.fetchval("SELECT retry_at > received_at FROM dlr.dlrs WHERE state = 'unmatched'")


@pytest.mark.parametrize(
    ("aggregator", "body", "reason"),
    [
        ("celcom", b"<html>502</html>", "no report in it"),
        ("celcom", b"", "no report in it"),
        ("celcom", b"\x00\xff\xfe", "no report in it"),
        ("celcom", b'{"messageid": "a\\u0000b", "description": "Delivered"}', "no message id"),
        ("nobody", b"{}", "no adapter of that name"),
    ],
)
async def test_what_nobody_can_read_is_quarantined_as_it_came(
    room: House, aggregator: str, body: bytes, reason: str
) -> None:
    await room.report(body, aggregator=aggregator)

    async def quarantined() -> bool:
        return bool(await room.owner.fetchval("SELECT count(*) = 1 FROM dlr.quarantine"))

    await eventually(quarantined)
    row = await room.owner.fetchrow("SELECT aggregator, body, reason FROM dlr.quarantine")
    assert row is not None
    assert tuple(row) == (aggregator, body, reason)


async def test_the_readable_half_of_a_body_counts(room: House) -> None:
    (message,) = await room.sent()
    await room.report(to_json([says(message, "Delivered"), "nonsense"]))
    await room.told.holds(1)
    assert await room.owner.fetchval("SELECT count(*) FROM dlr.quarantine") == 1


HOSTILE = ['"\\ud800"', '"' + "9" * 400 + '"', "1e400", "[]", "true", '"\\u0000"', '"\\uffff\\u202e"']


async def test_no_value_of_a_strangers_body_stops_its_batch(room: House) -> None:
    bodies = []
    for name in ("messageid", "description", "networkid", "timestamp"):
        for value in HOSTILE:
            fields = {"messageid": '"stranger"', "description": '"Delivered"', name: value}
            bodies.append(("{" + ",".join(f'"{key}": {text}' for key, text in fields.items()) + "}").encode())
    messages = await room.sent(len(bodies))
    for message, body in zip(messages, bodies, strict=True):
        await room.report(body, report_of(message))
    await room.told.holds(len(messages))
    assert {f.message_id for f in room.told.facts} == {m.message_id for m in messages}
    stored = await room.owner.fetchval("SELECT count(*) FROM dlr.dlrs WHERE state = 'unmatched'")
    quarantined = await room.owner.fetchval("SELECT count(*) FROM dlr.quarantine")
    assert stored + quarantined == len(bodies), "each is kept in one place"
    assert await room.owner.fetchval("SELECT count(*) FROM core.dead_letters") == 0


async def test_1000_reports_in_one_array(room: House) -> None:
    messages = await room.sent(1000)
    await room.report(to_json([says(m, "DeliveredToTerminal") for m in messages]))
    await room.told.holds(1000)
    assert {f.message_id for f in room.told.facts} == {m.message_id for m in messages}
    delivered = await room.owner.fetchval("SELECT count(*) FROM orch.sms_messages WHERE status = 'delivered'")
    assert delivered == len(room.told.facts) == 1000


@pytest.mark.parametrize("refund_undelivered", [True, False])
async def test_an_undelivered_message_is_refunded_once_where_the_account_has_it_so(
    room: House, refund_undelivered: bool
) -> None:
    (message,) = await room.sent(refund_undelivered=refund_undelivered)
    assert await room.balance(message) == 0
    reports = raw_dlrs(report_of(message, "DeliveryImpossible"))
    same = new_id()
    await room.publish(reports, same)
    await room.publish(reports, same)
    await room.report(report_of(message, "UserNotExist"))
    await room.told.holds(1)
    await room.report(report_of(message))
    await room.reaches(message, "delivered")
    assert await room.balance(message) == (1 if refund_undelivered else 0)


# ---- a batch that is handled again


async def test_what_was_committed_but_not_told_is_told_on_the_next_try_and_counted_once(
    house: House, processor: Database
) -> None:
    (message,) = await house.sent()
    counters = [
        metrics.STATUS.labels("celcom", message.mno or "", "delivered"),
        metrics.REPORTS.labels("celcom", "applied"),
    ]
    repeated = metrics.REPORTS.labels("celcom", "repeated")
    before = [counter._value.get() for counter in counters]
    repeated_before = repeated._value.get()
    handler = ReportHandler(processor, AwayOnce(house.bus), NO_REPORT)
    batch = [delivery(raw_dlrs(report_of(message)), new_id())]
    with pytest.raises(BrokerUnavailable):
        await handler.handle(batch)
    assert await house.status(message) == "delivered"
    await handler.handle(batch)
    await house.told.holds(1)
    assert house.told.of(message) == ["message.delivered"]
    assert [counter._value.get() for counter in counters] == [count + 1 for count in before]
    assert repeated._value.get() == repeated_before


async def test_a_batch_that_comes_again_repeats_its_fact_and_nothing_else(
    house: House, processor: Database
) -> None:
    done, failed = await house.sent(2, refund_undelivered=True)
    handler = ReportHandler(processor, house.bus, NO_REPORT)
    batch = [delivery(raw_dlrs(report_of(done), report_of(failed, "DeliveryImpossible")), new_id())]
    for _ in range(3):
        await handler.handle(batch)
    await house.told.holds(6)
    assert len({fact.event_id for fact in house.told.facts}) == 2
    assert len({fact.model_dump_json(exclude={"traceparent"}) for fact in house.told.facts}) == 2
    assert await house.owner.fetchval("SELECT count(*) FROM dlr.dlrs") == 2
    assert await house.history(failed) == ["failed", "queued", "sent:1", "submitted"]
    assert await house.balance(failed) == 1


async def test_another_report_of_the_same_end_is_not_told(house: House, processor: Database) -> None:
    (message,) = await house.sent()
    handler = ReportHandler(processor, house.bus, NO_REPORT)
    for _ in range(3):
        await handler.handle([delivery(raw_dlrs(report_of(message)), new_id())])
    assert [row["state"] for row in await house.owner.fetch("SELECT state FROM dlr.dlrs ORDER BY state")] == [
        "applied",
        "repeated",
        "repeated",
    ]
    (marker,) = await house.sent()
    await handler.handle([delivery(raw_dlrs(report_of(marker)), new_id())])
    await house.told.holds(2)
    assert house.told.of(message) == ["message.delivered"]


async def test_a_report_that_never_finds_its_submit_is_left_to_staff(
    house: House, processor: Database
) -> None:
    old = now() - timedelta(hours=73)
    stranger = RawDlr.model_construct(
        aggregator="celcom", content_type="", body=b'{"id": "x", "status": "Delivered"}', received_at=old
    )
    await ReportHandler(processor, house.bus, NO_REPORT).handle(
        [delivery(RawDlrs(reports=(stranger,)), new_id())]
    )
    await house.owner.execute("UPDATE dlr.dlrs SET retry_at = now() - interval '1 second'")
    rematch = Rematch(processor, house.bus, timedelta(hours=72))
    assert await rematch.find() is False
    await house.filed("abandoned", 1)
    await rematch.watch()
    assert metrics.UNMATCHED._value.get() == 0
