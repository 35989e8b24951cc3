"""Dead letters through their door: what is shown, what a decision does, and what a crash cannot undo."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from sema_aggregators import READERS
from sema_common.messages.store.attempts import Claim, claim
from sema_common.platform.bus import Bus
from sema_common.platform.db import Database
from sema_common.values.clock import now
from sema_common.values.errors import BrokerUnavailable
from sema_common.values.ids import event_id, new_id
from sema_common.wire.dlr import RawDlr, RawDlrs
from sema_common.wire.queues import QUEUES
from sema_common.wire.webhook import Fact, Facts
from sema_main_api.admin.dead_letters import loops
from sema_main_api.admin.dead_letters.telling import Telling
from sema_main_api.campaigns.schemas import Campaign
from tests.kit import seeds
from tests.kit.letters import Office, Queue

Staff = Callable[..., Awaitable[dict[str, str]]]
Listen = Callable[[str], AbstractAsyncContextManager[Queue]]
DLQ = "/v1/admin/dlq"


def path(queue: str, letter: UUID, action: str = "") -> str:
    return f"{DLQ}/{queue}/messages/{letter}{action}"


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - what is waited for has no event to await
            await asyncio.sleep(0.02)


@pytest.fixture
async def admin(staff: Staff) -> dict[str, str]:
    return await staff()


# --- looking


async def test_every_queue_is_counted(
    client: httpx.AsyncClient, office: Office, admin: dict[str, str]
) -> None:
    await office.keep("sms.content", b"{}")
    await office.keep("sms.content", b"[]")
    data = (await client.get(DLQ, headers=admin)).json()["data"]
    assert [line["queue"] for line in data] == list(QUEUES)
    counted = {line["queue"]: line["open"] for line in data}
    assert counted == dict.fromkeys(QUEUES, 0) | {"sms.content": 2}
    assert next(line for line in data if line["queue"] == "sms.content")["oldest_open_at"] is not None


async def test_a_list_shows_its_own_queue_by_state_reason_and_type(
    client: httpx.AsyncClient, office: Office, admin: dict[str, str]
) -> None:
    malformed = await office.keep("sms.content", b"{}", reason="malformed content.screen: …")
    limit = await office.keep("sms.content", b"[]", type="odd")
    await office.keep("dlr.inbound", b"{}")

    async def found(**params: str) -> set[str]:
        answer = await client.get(f"{DLQ}/sms.content/messages", headers=admin, params=params)
        return {line["id"] for line in answer.json()["data"]}

    assert await found() == {str(malformed), str(limit)}
    assert await found(reason="malformed") == {str(malformed)}
    assert await found(type="odd") == {str(limit)}
    assert await found(state="discarded") == set()
    await client.post(path("sms.content", limit, "/discard"), headers=admin)
    assert await found() == {str(malformed)}
    assert await found(state="discarded") == {str(limit)}


async def test_pages_go_on_where_they_ended(
    client: httpx.AsyncClient, office: Office, admin: dict[str, str]
) -> None:
    moment = now()
    kept = {str(await office.keep("sms.content", str(n).encode(), dead_at=moment)) for n in range(5)}
    seen: list[str] = []
    params: dict[str, str | int] = {"limit": 2}
    while True:
        page = (await client.get(f"{DLQ}/sms.content/messages", headers=admin, params=params)).json()
        seen += [line["id"] for line in page["data"]]
        if not page["has_more"]:
            break
        params["cursor"] = page["next_cursor"]
    assert len(seen) == 5
    assert set(seen) == kept


async def test_numbers_and_texts_are_hidden_until_an_admin_asks_and_that_is_noted(
    client: httpx.AsyncClient, office: Office, staff: Staff, admin: dict[str, str]
) -> None:
    message = await office.accept(body="Your code is 9217", metadata={"note": "for Wanjiku"})
    letter = await office.dead_job(message)
    masked = await client.get(path("sms.normal", letter), headers=admin)
    for secret in (message.to, message.to[1:], "9217", "Wanjiku"):
        assert secret not in masked.text
    assert masked.json()["payload"]["jobs"][0]["to"] == "2547******78"
    assert masked.json()["payload"]["jobs"][0]["message_id"] == str(message.message_id)
    assert await office.audits(letter) == []
    reveal = {"reveal": "true"}
    support = await staff("staff_support")
    assert (await client.get(path("sms.normal", letter), headers=support, params=reveal)).status_code == 403
    assert (await client.get(path("sms.normal", letter), headers=support)).status_code == 200
    shown = (await client.get(path("sms.normal", letter), headers=admin, params=reveal)).json()
    assert shown["payload"]["jobs"][0]["body"] == "Your code is 9217"
    assert [line["action"] for line in await office.audits(letter)] == ["dead_letter.revealed"]


async def test_a_body_that_is_no_json_is_shown_to_who_may_see_it(
    client: httpx.AsyncClient, office: Office, admin: dict[str, str]
) -> None:
    letter = await office.keep("sms.normal", b"+254712345678 \xff rubbish")
    masked = (await client.get(path("sms.normal", letter), headers=admin)).json()
    assert (masked["payload"], masked["text"]) == (None, None)
    assert masked["problems"][0]["code"] == "malformed_body"
    assert masked["replay"][0]["does"] == "park"
    shown = await client.get(path("sms.normal", letter), headers=admin, params={"reveal": "true"})
    assert "+254712345678" in shown.json()["text"]


async def test_what_a_replay_would_do_is_told_for_each_job(
    client: httpx.AsyncClient, office: Office, admin: dict[str, str]
) -> None:
    waiting = await office.accept()
    submitted = await office.accept()
    late = await office.accept(valid_until=now())
    ended = await office.accept()
    async with office.owner.transaction() as tx:
        await seeds.submit(tx, [submitted])
        await tx.execute(
            "UPDATE orch.sms_messages SET status = 'failed' WHERE message_id = $1", ended.message_id
        )
    letter = await office.dead_job(waiting, submitted, late, ended, seeds.new_message(uuid4()))
    replay = (await client.get(path("sms.normal", letter), headers=admin)).json()["replay"]
    assert [part["does"] for part in replay] == ["submit", "repeat", "expire", "nothing", "nothing"]
    assert replay[0]["subject"] == f"msg_{waiting.message_id}"


async def test_a_suspended_account_is_named_and_skipped_when_many_are_sent(
    client: httpx.AsyncClient, office: Office, admin: dict[str, str]
) -> None:
    message = await office.accept()
    letter = await office.dead_job(message)
    await office.owner.execute(
        "UPDATE core.accounts SET status = 'suspended' WHERE id = $1", message.account_id
    )
    replay = (await client.get(path("sms.normal", letter), headers=admin)).json()["replay"]
    assert "suspended" in replay[0]["detail"]
    many = await client.post(f"{DLQ}/sms.normal/republish", headers=admin, json={"ids": [str(letter)]})
    assert [line["code"] for line in many.json()["data"]] == ["account_suspended"]
    assert (await client.post(path("sms.normal", letter, "/republish"), headers=admin)).status_code == 200


async def test_what_reports_would_move_is_told(
    client: httpx.AsyncClient, office: Office, admin: dict[str, str]
) -> None:
    assert "celcom" in READERS
    nonsense = RawDlr(aggregator="celcom", content_type="text/html", body=b"PGI+", received_at=now())
    letter = await office.keep("dlr.inbound", RawDlrs(reports=(nonsense,)))
    shown = (await client.get(path("dlr.inbound", letter), headers=admin)).json()
    assert "quarantine" in shown["replay"][0]["detail"]


async def test_each_page_of_ten_thousand_letters_takes_less_than_a_second(
    client: httpx.AsyncClient, office: Office, admin: dict[str, str]
) -> None:
    await office.owner.execute(
        """INSERT INTO core.dead_letters (id, queue, reason, type, version, headers, body, delivery_count, dead_at)
           SELECT gen_random_uuid(), 'sms.normal', CASE WHEN n % 100 = 0 THEN 'malformed' ELSE 'delivery_limit' END,
                  'sms.jobs', '1', '{}', convert_to(repeat('x', 4000), 'UTF8'), 6, now() - make_interval(secs => n)
           FROM generate_series(1, 10000) AS n"""
    )
    seconds: list[float] = []
    for filters in ({}, {"reason": "malformed"}, {"type": "sms.jobs"}):
        params: dict[str, str | int] = {"limit": 200, **filters}
        for _ in range(20):
            started = time.perf_counter()
            page = (await client.get(f"{DLQ}/sms.normal/messages", headers=admin, params=params)).json()
            seconds.append(time.perf_counter() - started)
            if not page["has_more"]:
                break
            params["cursor"] = page["next_cursor"]
    started = time.perf_counter()
    await client.get(DLQ, headers=admin)
    counted = time.perf_counter() - started
    print(f"{len(seconds)} pages, slowest {max(seconds) * 1000:.0f} ms; counts {counted * 1000:.0f} ms")
    assert len(seconds) > 40
    assert max(seconds) < 1.0


# --- sending again


async def test_a_letter_goes_back_as_it_came_once(
    client: httpx.AsyncClient, office: Office, admin: dict[str, str], listen: Listen
) -> None:
    message = await office.accept()
    letter = await office.dead_job(message)
    async with listen("sms.normal") as queue:
        for _ in range(2):
            answer = await client.post(path("sms.normal", letter, "/republish"), headers=admin)
            assert (answer.status_code, answer.json()["state"]) == (200, "republished")
            assert answer.json()["told_at"] is not None
        await until(lambda: len(queue.messages) == 1)
    assert queue.messages[0].jobs[0].message_id == message.message_id
    assert str(queue.deliveries[0].event_id) == (await office.row(letter))["headers"]["event_id"]
    audits = await office.audits(letter)
    assert [line["action"] for line in audits] == ["dead_letter.republished"]
    assert (audits[0]["before"]["state"], audits[0]["after"]["state"]) == ("open", "republished")


async def test_jobs_of_messages_that_ended_are_left_out(
    client: httpx.AsyncClient, office: Office, admin: dict[str, str], listen: Listen
) -> None:
    waiting, ended = await office.accept(), await office.accept()
    await office.owner.execute(
        "UPDATE orch.sms_messages SET status = 'expired' WHERE message_id = $1", ended.message_id
    )
    letter = await office.dead_job(waiting, ended)
    only = await office.dead_job(ended)
    async with listen("sms.normal") as queue:
        assert (await client.post(path("sms.normal", letter, "/republish"), headers=admin)).status_code == 200
        refused = await client.post(path("sms.normal", only, "/republish"), headers=admin)
        await until(lambda: bool(queue.messages))
    assert (refused.status_code, refused.json()["code"]) == (409, "nothing_to_republish")
    assert [job.message_id for job in queue.messages[0].jobs] == [waiting.message_id]


async def test_an_unreadable_letter_is_mended_by_a_corrected_payload(
    client: httpx.AsyncClient, office: Office, admin: dict[str, str], listen: Listen
) -> None:
    message = await office.accept()
    right = message.job(message.enqueued_at).model_dump(mode="json")
    letter = await office.keep(
        "sms.normal", b'{"jobs": [{"message_id": "%s"}]}' % str(message.message_id).encode(), version=9
    )
    url = path("sms.normal", letter, "/republish")
    as_it_is = await client.post(url, headers=admin)
    assert (as_it_is.status_code, as_it_is.json()["code"]) == (422, "unreadable_payload")
    async with listen("sms.normal") as queue:
        mended = await client.post(
            url, headers=admin, json={"payload": {"jobs": [right]}, "reason": "a typo"}
        )
        assert mended.status_code == 200, mended.text
        again = await client.post(url, headers=admin, json={"payload": {"jobs": [right]}})
        assert again.status_code == 200
        await until(lambda: len(queue.messages) == 1)
    assert queue.messages[0].jobs[0].to == message.to
    other = await client.post(url, headers=admin, json={"payload": {"jobs": [right | {"traceparent": "x"}]}})
    assert (other.status_code, other.json()["code"]) == (409, "already_decided")
    assert (await office.audits(letter))[0]["reason"] == "a typo"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("to", "+254733000000"),
        ("body", "Send 1,000 to 0733"),
        ("cost", "0.0001"),
        ("segments", 2),
        ("sender", "OTHER"),
        ("billing_account_id", "0198c0de-0000-7000-8000-000000000000"),
        ("lane", "priority"),
        ("test", True),
        ("callback_url", "https://evil.example/"),
        ("attempt", 2),
    ],
)
async def test_a_correction_changes_no_number_text_or_price(
    client: httpx.AsyncClient, office: Office, admin: dict[str, str], field: str, value: object
) -> None:
    message = await office.accept()
    letter = await office.dead_job(message)
    job = message.job(message.enqueued_at).model_dump(mode="json") | {field: value}
    answer = await client.post(
        path("sms.normal", letter, "/republish"), headers=admin, json={"payload": {"jobs": [job]}}
    )
    assert (answer.status_code, answer.json()["code"]) == (422, "validation_failed")
    assert f"payload.jobs.0.{field}" in [error["field"] for error in answer.json()["errors"]]
    assert str(value) not in answer.text or isinstance(value, bool | int)
    assert (await office.row(letter))["state"] == "open"


async def test_a_correction_is_held_against_the_wire_model_first(
    client: httpx.AsyncClient, office: Office, admin: dict[str, str]
) -> None:
    letter = await office.dead_job(await office.accept())
    url = path("sms.normal", letter, "/republish")
    wrong = await client.post(url, headers=admin, json={"payload": {"jobs": [{"to": 1}]}})
    assert wrong.status_code == 422
    assert "payload.jobs.0.message_id" in [error["field"] for error in wrong.json()["errors"]]
    unknown = await client.post(url, headers=admin, json={"payload": {}, "type": "sms.other"})
    assert [error["field"] for error in unknown.json()["errors"]] == ["type"]


async def test_a_fact_and_a_report_cannot_be_made_up(
    client: httpx.AsyncClient, office: Office, admin: dict[str, str]
) -> None:
    fact = Fact(
        event_id=new_id(), type="message.sent", account_id=new_id(), occurred_at=now(), data={"to": "+2547"}
    )
    told = await office.keep("webhooks.outbound", Facts(facts=(fact,)))
    changed = fact.model_copy(update={"data": {"to": "+2548"}}).model_dump(mode="json")
    answer = await client.post(
        path("webhooks.outbound", told, "/republish"), headers=admin, json={"payload": {"facts": [changed]}}
    )
    assert [error["field"] for error in answer.json()["errors"]] == ["payload.facts.0.data"]
    report = RawDlr(aggregator="celcom", body=b"e30=", received_at=now())
    came = await office.keep("dlr.inbound", RawDlrs(reports=(report,)))
    forged = report.model_copy(update={"body": b"forged"}).model_dump(mode="json")
    answer = await client.post(
        path("dlr.inbound", came, "/republish"), headers=admin, json={"payload": {"reports": [forged]}}
    )
    assert [error["field"] for error in answer.json()["errors"]] == ["payload.reports.0"]


async def test_many_are_sent_by_filter_past_those_that_cannot_be(
    client: httpx.AsyncClient, office: Office, admin: dict[str, str], listen: Listen
) -> None:
    unreadable = [await office.keep("sms.normal", b"%d" % n) for n in range(3)]
    readable = [await office.dead_job(await office.accept()) for _ in range(3)]
    body: dict[str, Any] = {"filter": {"reason": "delivery"}, "limit": 2}
    codes: list[str | None] = []
    async with listen("sms.normal") as queue:
        while True:
            answer = (await client.post(f"{DLQ}/sms.normal/republish", headers=admin, json=body)).json()
            codes += [line["code"] for line in answer["data"]]
            if answer["next_cursor"] is None:
                break
            body["cursor"] = answer["next_cursor"]
        await until(lambda: len(queue.messages) == 3)
    assert codes == ["unreadable_payload"] * 3 + [None] * 3
    states = [(await office.row(letter))["state"] for letter in (*unreadable, *readable)]
    assert states == ["open"] * 3 + ["republished"] * 3


async def test_a_decision_outlives_the_broker_and_is_told_when_it_is_back(
    client: httpx.AsyncClient,
    office: Office,
    admin: dict[str, str],
    listen: Listen,
    bus: Bus,
    pipeline: Database,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    letter = await office.dead_job(await office.accept())

    async def away(*_: object, **__: object) -> None:
        raise BrokerUnavailable("away")

    with monkeypatch.context() as patched:
        patched.setattr(Bus, "publish_raw", away)
        answer = await client.post(path("sms.normal", letter, "/republish"), headers=admin)
    assert (answer.status_code, answer.json()["state"], answer.json()["told_at"]) == (
        200,
        "republished",
        None,
    )
    await office.owner.execute("UPDATE core.dead_letters SET decided_at = decided_at - interval '1 minute'")
    async with listen("sms.normal") as queue:
        await loops.Loops(pipeline, Telling(pipeline, bus)).tell()
        await until(lambda: bool(queue.messages))
    assert (await office.row(letter))["told_at"] is not None


# --- giving up


async def test_a_discarded_job_fails_its_message_and_is_refunded_once(
    client: httpx.AsyncClient, office: Office, admin: dict[str, str], listen: Listen
) -> None:
    message = await office.accept(credit="10", cost="2.5000", callback_url="https://a.example/x")
    letter = await office.dead_job(message)
    assert await office.balance(message.account_id) == Decimal("7.5")
    shown = (await client.get(path("sms.normal", letter), headers=admin)).json()
    assert "refund" in shown["discard"][0]["detail"]
    async with listen("webhooks.outbound") as queue:
        for _ in range(2):
            answer = await client.post(
                path("sms.normal", letter, "/discard"), headers=admin, json={"reason": "corrupt"}
            )
            assert (answer.status_code, answer.json()["state"]) == (200, "discarded")
        await until(lambda: bool(queue.messages))
    row = await office.message(message)
    assert (row["status"], row["last_error"]["code"]) == ("failed", "dead_lettered")
    assert await office.balance(message.account_id) == Decimal("10")
    facts = [fact for bundle in queue.messages for fact in bundle.facts]
    assert {fact.event_id for fact in facts} == {event_id("message", message.message_id, "failed")}
    assert facts[0].data["error"]["code"] == "dead_lettered"
    events = await office.owner.fetch(
        "SELECT event_key, source FROM orch.message_events WHERE message_id = $1 AND status = 'failed'",
        message.message_id,
    )
    assert [tuple(event) for event in events] == [("failed:1", "main-api")]
    audits = await office.audits(letter)
    assert [line["action"] for line in audits] == ["dead_letter.discarded"]
    assert audits[0]["after"]["messages"] == [str(message.message_id)]
    again = await client.post(path("sms.normal", letter, "/republish"), headers=admin)
    assert (again.status_code, again.json()["code"]) == (409, "already_decided")


async def test_another_copy_of_a_discarded_job_is_never_submitted(
    client: httpx.AsyncClient, office: Office, admin: dict[str, str]
) -> None:
    message = await office.accept()
    letter = await office.dead_job(message)
    await client.post(path("sms.normal", letter, "/discard"), headers=admin)
    async with office.owner.transaction() as tx:
        assert await claim(tx, [seeds.claim_of(message)], now()) == set()


async def test_a_message_that_was_submitted_keeps_what_came_of_it(
    client: httpx.AsyncClient, office: Office, admin: dict[str, str]
) -> None:
    sent, claimed = await office.accept(credit="5"), await office.accept(credit="5")
    async with office.owner.transaction() as tx:
        await seeds.submit(tx, [sent])
        await claim(tx, [Claim(claimed.message_id, 1, claimed.tenant_id, "normal", "celcom")], now())
    letter = await office.dead_job(sent, claimed)
    assert (await client.post(path("sms.normal", letter, "/discard"), headers=admin)).status_code == 200
    assert (await office.message(sent))["status"] == "sent"
    assert (await office.message(claimed))["status"] == "queued"
    assert await office.balance(sent.account_id) == Decimal("4")
    assert (await office.audits(letter))[0]["after"] == {"state": "discarded"}


async def test_what_an_unreadable_job_names_is_ended_too(
    client: httpx.AsyncClient, office: Office, admin: dict[str, str]
) -> None:
    message = await office.accept(credit="3")
    letter = await office.keep(
        "sms.normal", b'{"jobs": [{"message_id": "%s", "to": 7}, "x"]}' % str(message.message_id).encode()
    )
    assert (await client.post(path("sms.normal", letter, "/discard"), headers=admin)).status_code == 200
    assert (await office.message(message))["status"] == "failed"
    assert await office.balance(message.account_id) == Decimal("3")


async def test_a_discarded_campaign_is_rejected_and_its_reservation_released(
    client: httpx.AsyncClient, office: Office, admin: dict[str, str], listen: Listen
) -> None:
    campaign = await office.campaign()
    letter = await office.keep("sms.content", campaign)
    async with listen("webhooks.outbound") as queue:
        assert (await client.post(path("sms.content", letter, "/discard"), headers=admin)).status_code == 200
        await until(lambda: bool(queue.messages))
    [fact] = queue.messages[0].facts
    assert (fact.type, fact.account_id) == ("campaign.rejected", campaign.account_id)
    Campaign.model_validate(fact.data)  # whole, as the OpenAPI document promises it
    assert (fact.data["id"], fact.data["status"]) == (str(campaign.campaign_id), "rejected")
    row = await office.owner.fetchrow("SELECT * FROM core.campaigns WHERE id = $1", campaign.campaign_id)
    assert row is not None
    assert (row["status"], row["reserved"]) == ("rejected", 0)
    assert row["rejection_reasons"][0]["check"] == "unavailable"
    assert await office.balance(campaign.account_id) == Decimal("10")


async def test_a_discarded_validation_fails(
    client: httpx.AsyncClient, office: Office, admin: dict[str, str]
) -> None:
    running, done = await office.validation(), await office.validation("completed")
    for job, status in ((running, "failed"), (done, "completed")):
        letter = await office.keep("contacts.validate", job)
        await client.post(path("contacts.validate", letter, "/discard"), headers=admin)
        found = await office.owner.fetchval(
            "SELECT status FROM core.contact_validation_jobs WHERE id = $1", job.job_id
        )
        assert found == status


async def test_two_who_decide_at_once_decide_once(
    client: httpx.AsyncClient, office: Office, admin: dict[str, str]
) -> None:
    message = await office.accept(credit="3")
    letter = await office.dead_job(message)
    answers = await asyncio.gather(
        *(client.post(path("sms.normal", letter, "/discard"), headers=admin) for _ in range(4)),
        *(client.post(path("sms.normal", letter, "/republish"), headers=admin) for _ in range(4)),
    )
    assert {answer.status_code for answer in answers} <= {200, 409}
    assert len(await office.audits(letter)) == 1


# --- who may


@pytest.mark.parametrize("action", ["/republish", "/discard"])
async def test_only_staff_admins_decide(
    client: httpx.AsyncClient, office: Office, staff: Staff, auth: dict[str, str], action: str
) -> None:
    letter = await office.keep("sms.normal", b"{}")
    url = path("sms.normal", letter, action)
    assert (await client.post(url, headers=auth)).status_code == 404
    assert (await client.post(url, headers=await staff("staff_support"))).status_code == 403


async def test_a_letter_is_found_under_its_own_queue_only(
    client: httpx.AsyncClient, office: Office, admin: dict[str, str]
) -> None:
    letter = await office.keep("sms.normal", b"{}")
    assert (await client.get(path("sms.priority", letter), headers=admin)).status_code == 404
    assert (await client.get(path("no.queue", letter), headers=admin)).status_code == 404
    assert (await client.get(f"{DLQ}/no.queue/messages", headers=admin)).status_code == 404
