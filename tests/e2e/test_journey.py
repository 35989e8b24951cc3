"""The journey of a message through the running rooms: each way that it can end, its history and its money."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from tests.e2e.conftest import Shop
from tests.kit.client import eventually

pytestmark = pytest.mark.stack

Number = Callable[[], str]
Magic = Callable[[int], str]


async def test_a_message_is_accepted_sent_delivered_and_told(shop: Shop, number: Number) -> None:
    hook = await shop.hook()
    to = number()
    accepted = await shop.api.send(to, "Habari yako, the parcel is here.", metadata={"order": "77"})
    assert accepted["status"] == "submitted"
    message = await shop.api.reaches(accepted["id"], "delivered")
    assert (message["to"], message["metadata"], message["aggregator"]) == (to, {"order": "77"}, "celcom")
    assert message["created_at"] <= message["queued_at"] <= message["delivered_at"]
    assert message["sent_at"] <= message["delivered_at"]
    events = [event["status"] for event in await shop.api.events(message["id"])]
    assert sorted(events) == ["delivered", "queued", "sent", "submitted"]
    assert events[0] == "submitted"
    told = await hook.gets("message.delivered", message["id"])
    assert told["data"] == message
    await hook.gets("message.sent", message["id"])
    assert await shop.ledger(message["id"]) == [("charge", "-0.8000")]
    witnessed = [entry for entry in await shop.submits() if entry["to"] == to]
    assert [entry["text"] for entry in witnessed] == ["Habari yako, the parcel is here."]


async def test_an_id_is_read_with_and_without_its_prefix(shop: Shop, number: Number) -> None:
    accepted = await shop.api.send(number(), "Habari")
    assert (await shop.api.message(f"msg_{accepted['id']}"))["id"] == accepted["id"]


async def test_a_one_time_password_takes_the_priority_lane(shop: Shop, number: Number) -> None:
    to = number()
    accepted = await shop.api.send(to, "Your code is 481516.", lane="priority")
    await shop.api.reaches(accepted["id"], "delivered")
    witnessed = [entry for entry in await shop.submits() if entry["to"] == to]
    assert [entry["text"] for entry in witnessed] == ["Your code is 481516."]
    queue = await shop.db.fetchval(
        "SELECT lane FROM orch.submit_attempts WHERE message_id = $1::uuid", accepted["id"]
    )
    assert queue == "priority"


async def test_an_emoji_makes_ucs2_and_is_charged_by_its_segments(shop: Shop, number: Number) -> None:
    text = "Hongera 🎉 " + "ni wewe! " * 9
    estimate = await shop.api.post(
        "/v1/messages/estimate", {"to": number(), "from": "SEMALINK", "body": text}
    )
    assert estimate.status_code == 200
    accepted = await shop.api.send(number(), text)
    assert (accepted["encoding"], accepted["segments"]) == ("UCS-2", 2)
    assert accepted["cost"] == estimate.json()["cost"] == {"amount": "1.6000", "currency": "KES"}
    await shop.api.reaches(accepted["id"], "delivered")


async def test_a_batch_stands_item_by_item(shop: Shop, number: Number) -> None:
    items = [{"to": number(), "from": "SEMALINK", "body": f"Reminder {n}"} for n in range(25)]
    items[3] = items[3] | {"to": "0712"}
    items[7] = items[7] | {"from": "MYBANK"}
    items[9] = items[9] | {"frm": "typo"}
    answer = await shop.api.post("/v1/messages/batch", {"messages": items})
    assert answer.status_code == 202, answer.text
    result = answer.json()
    assert (result["accepted"], result["rejected"]) == (22, 3)
    errors = {item["index"]: item["error"]["code"] for item in result["data"] if "error" in item}
    assert errors == {3: "invalid_phone_number", 7: "sender_id_not_approved", 9: "validation_failed"}
    for item in result["data"]:
        if "message" in item:
            await shop.api.reaches(item["message"]["id"], "delivered")


async def test_the_same_key_gives_the_same_message(shop: Shop, number: Number) -> None:
    body = {"to": number(), "from": "SEMALINK", "body": "Order 4471 confirmed."}
    first = await shop.api.post("/v1/messages", body, "order-4471")
    again = await shop.api.post("/v1/messages", body, "order-4471")
    assert (first.status_code, again.status_code) == (202, 202)
    assert first.json() == again.json()
    assert again.headers["idempotent-replayed"] == "true"
    other = await shop.api.post("/v1/messages", body | {"body": "Another order."}, "order-4471")
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    await shop.api.reaches(first.json()["id"], "delivered")
    assert sum(entry["to"] == body["to"] for entry in await shop.submits()) == 1


async def test_the_same_key_in_parallel_gives_one_message(shop: Shop, number: Number) -> None:
    body = {"to": number(), "from": "SEMALINK", "body": "Once, please."}
    answers = await asyncio.gather(*(shop.api.post("/v1/messages", body, "at-once") for _ in range(30)))
    assert {answer.status_code for answer in answers} <= {202, 409}
    assert len({answer.json()["id"] for answer in answers if answer.status_code == 202}) == 1
    assert await shop.balance() == "9999.2000"


@pytest.mark.parametrize(
    ("n", "status", "refunded"),
    [
        (1, "delivered", False),
        (2, "failed", False),
        (3, "expired", False),
        (4, "failed", True),
        (6, "delivered", False),
        (7, "delivered", False),
        (8, "delivered", False),
        (10, "delivered", False),
        (11, "delivered", False),
    ],
)
@pytest.mark.parametrize("mode", ["live", "test"])
async def test_magic_recipients_end_as_promised(
    shop: Shop, magic: Magic, n: int, status: str, refunded: bool, mode: str
) -> None:
    api = shop.api if mode == "live" else shop.rehearsal
    hook = await shop.hook()
    accepted = await api.send(magic(n), f"Magic {n} {mode}")
    message = await api.reaches(accepted["id"], status)
    told = await hook.gets(f"message.{status}", message["id"])
    assert told["data"]["status"] == status
    assert (message["error"] is None) == (status == "delivered")
    price = "0.8000" if mode == "live" else "0.0000"
    paid = {kind: amount.removeprefix("-") for kind, amount in await shop.ledger(message["id"])}
    assert paid == {"charge": price} | ({"refund": price} if refunded else {})
    history = [event["status"] for event in await api.events(message["id"])]
    assert history.count("delivered") == (status == "delivered")
    assert history.count("retry") == (2 if n == 6 else 0)


async def test_one_that_is_never_reported_stays_sent(shop: Shop, magic: Magic) -> None:
    accepted = await shop.api.send(magic(9), "No report will come")
    await shop.api.reaches(accepted["id"], "sent")


async def test_a_late_delivered_replaces_the_failure_and_is_not_charged_again(
    shop: Shop, magic: Magic
) -> None:
    hook = await shop.hook()
    accepted = await shop.api.send(magic(10), "Failed first, delivered after all")
    await hook.gets("message.delivered", accepted["id"])
    message = await shop.api.message(accepted["id"])
    assert (message["status"], message["error"]) == ("delivered", None)
    assert await shop.ledger(message["id"]) == [("charge", "-0.8000")]


async def test_a_bulk_text_in_doubt_is_held_then_fails_with_a_refund(shop: Shop, magic: Magic) -> None:
    hook = await shop.hook()
    accepted = await shop.api.send(magic(5), "Taken, and no answer ever comes")

    async def in_doubt() -> None:
        assert "in_doubt" in [event["status"] for event in await shop.api.events(accepted["id"])]

    await eventually(in_doubt)
    assert (await shop.api.message(accepted["id"]))["status"] == "queued"
    message = await shop.api.reaches(accepted["id"], "failed")
    assert message["error"]["code"] == "submission_unconfirmed"
    assert await shop.ledger(message["id"]) == [("charge", "-0.8000"), ("refund", "0.8000")]
    await hook.gets("message.failed", message["id"])
    entries = [e for e in await shop.submits() if e["text"] == "Taken, and no answer ever comes"]
    assert len(entries) == 1


async def test_a_password_in_doubt_is_resent_once_to_the_same_aggregator(shop: Shop, magic: Magic) -> None:
    accepted = await shop.api.send(magic(5), "Your code is 990005.", lane="priority")
    message = await shop.api.reaches(accepted["id"], "failed", seconds=30.0)
    assert message["error"]["code"] == "submission_unconfirmed"
    events = [event["status"] for event in await shop.api.events(accepted["id"])]
    assert events.count("resend") == 1
    assert [e["text"] for e in await shop.submits()].count("Your code is 990005.") == 2
    assert await shop.ledger(message["id"]) == [("charge", "-0.8000"), ("refund", "0.8000")]


async def test_reports_that_come_early_twice_and_out_of_order_end_in_one_state(
    shop: Shop, number: Number
) -> None:
    hook = await shop.hook()
    async with shop.sandbox.scripted(dlr={"before_response": True, "duplicate": 3, "shuffle": True}):
        accepted = [await shop.api.send(number(), f"Early and often {n}") for n in range(10)]
    for message in accepted:
        await shop.api.reaches(message["id"], "delivered")
        await hook.gets("message.delivered", message["id"])
    delivered = [e["data"]["id"] for e in await hook.events() if e["type"] == "message.delivered"]
    assert sorted(delivered) == sorted(message["id"] for message in accepted)


async def test_what_is_not_taken_in_its_validity_expires_with_a_refund(shop: Shop, number: Number) -> None:
    hook = await shop.hook()
    async with shop.sandbox.scripted(error_rate=1.0):
        accepted = await shop.api.send(number(), "Try again, says the aggregator")
        # A minute is the shortest validity, so it is brought forward here; the next attempt reads it.
        await shop.db.execute(
            "UPDATE orch.sms_messages SET valid_until = now() WHERE message_id = $1::uuid", accepted["id"]
        )
        message = await shop.api.reaches(accepted["id"], "expired")
    assert message["error"]["code"] == "validity_expired"
    assert await shop.ledger(message["id"]) == [("charge", "-0.8000"), ("refund", "0.8000")]
    await hook.gets("message.expired", message["id"])


async def test_what_is_never_taken_fails_after_its_retries_with_a_refund(shop: Shop, number: Number) -> None:
    async with shop.sandbox.scripted(error_rate=1.0):
        accepted = await shop.api.send(number(), "Try again, for ever")
        message = await shop.api.reaches(accepted["id"], "failed")
    assert message["error"]["code"] == "retries_exhausted"
    assert [e["status"] for e in await shop.api.events(message["id"])].count("retry") == 3
    assert await shop.ledger(message["id"]) == [("charge", "-0.8000"), ("refund", "0.8000")]


async def test_a_test_key_costs_nothing_and_reaches_nobody(shop: Shop, number: Number) -> None:
    to = number()
    accepted = await shop.rehearsal.send(to, "Only a rehearsal")
    message = await shop.rehearsal.reaches(accepted["id"], "delivered")
    assert message["cost"]["amount"] == "0.0000"
    assert await shop.balance() == "10000.0000"
    assert to not in {entry["to"] for entry in await shop.submits()}


async def test_an_account_bound_to_the_other_aggregator_takes_the_whole_journey_there(
    shop: Shop, number: Number, magic: Magic
) -> None:
    await shop.db.execute(
        "INSERT INTO core.account_routes (account_id, tenant_id, aggregator, mode)"
        " SELECT id, tenant_id, 'africastalking', 'forced' FROM core.accounts WHERE id = $1",
        shop.api.account_id,
    )
    hook = await shop.hook()

    async def goes_there() -> dict[str, Any]:
        """Workers read the rules once a second: what is sent before goes the old way."""
        accepted = await shop.api.send(number(), "Habari yako, the parcel is here.")
        message = await shop.api.reaches(accepted["id"], "delivered")
        assert message["aggregator"] == "africastalking"
        return message

    message = await eventually(goes_there)
    told = await hook.gets("message.delivered", message["id"])
    assert told["data"] == message
    assert await shop.ledger(message["id"]) == [("charge", "-0.8000")]
    takers = [entry["aggregator"] for entry in await shop.sandbox.witnesses() if entry["to"] == message["to"]]
    assert takers == ["africastalking"]

    undelivered = await shop.api.send(magic(2), "Habari")
    failed = await shop.api.reaches(undelivered["id"], "failed")
    assert failed["error"]["code"] == "delivery_impossible"
    assert await shop.ledger(failed["id"]) == [("charge", "-0.8000")]
    refused = await shop.api.send(magic(4), "Habari")
    failed = await shop.api.reaches(refused["id"], "failed")
    assert failed["error"]["code"] == "invalid_number"
    assert await shop.ledger(failed["id"]) == [("charge", "-0.8000"), ("refund", "0.8000")]
