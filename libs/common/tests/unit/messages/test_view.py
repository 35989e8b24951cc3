"""The public object of a message and the facts about it."""

from dataclasses import replace
from datetime import UTC, datetime

from sema_common.messages.status import Status
from sema_common.messages.view import message_object, status_fact
from sema_common.values.ids import new_id
from sema_common.wire.webhook import Facts
from tests.kit.seeds import new_message

AT = datetime(2026, 11, 20, 9, 30, 0, 123456, tzinfo=UTC)
MEMBERS = [
    "id",
    "status",
    "to",
    "from",
    "body",
    "lane",
    "type",
    "encoding",
    "segments",
    "cost",
    "country",
    "mno",
    "campaign_id",
    "aggregator",
    "metadata",
    "callback_url",
    "error",
    "created_at",
    "queued_at",
    "sent_at",
    "delivered_at",
]


def test_the_object_has_exactly_the_members_of_the_contract() -> None:
    message = new_message(new_id(), "0.8", at=AT)
    view = message_object(message, status="submitted", created_at=AT)
    assert list(view) == MEMBERS
    assert view["cost"] == {"amount": "0.8000", "currency": "KES"}
    assert view["created_at"] == "2026-11-20T09:30:00.123Z"
    assert (view["sent_at"], view["error"], view["campaign_id"]) == (None, None, None)


def test_a_message_and_its_job_look_the_same() -> None:
    message = replace(new_message(new_id(), "0.8", at=AT), campaign_id=new_id(), metadata=None)
    views = [
        message_object(form, status="queued", created_at=message.enqueued_at)
        for form in (message, message.job(AT))
    ]
    assert views[0] == views[1]
    assert views[0]["metadata"] == {}


def test_a_fact_has_one_id_however_often_it_is_told() -> None:
    message = new_message(new_id())
    told: list[tuple[Status, str | None]] = [("sent", None), ("sent", "00-a"), ("delivered", None)]
    facts = [
        status_fact(
            message_object(message, status=status, created_at=AT),
            message_id=message.message_id,
            account_id=message.account_id,
            status=status,
            occurred_at=AT,
            callback_url=None,
            traceparent=traceparent,
        )
        for status, traceparent in told
    ]
    assert facts[0].event_id == facts[1].event_id != facts[2].event_id
    assert [fact.type for fact in facts] == ["message.sent", "message.sent", "message.delivered"]
    bundle = Facts.model_construct(facts=tuple(facts))
    assert Facts.model_validate_json(bundle.model_dump_json()) == bundle
