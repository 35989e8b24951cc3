"""Celcom's own peculiarities, beyond what every adapter must do."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from sema_aggregators import (
    Celcom,
    Credentials,
    HttpAnswer,
    Outcome,
    PollState,
    RawReport,
    Report,
    Submit,
    Unreadable,
)

CELCOM = Celcom()
CREDENTIALS = Credentials("36", "the-key")
RECEIVED = datetime(2025, 9, 12, 8, 0, tzinfo=UTC)


def submit(client_id: int) -> Submit:
    return Submit(client_id, f"message-{client_id}", f"+2547123456{client_id:02d}", "SEMALINK", "Habari €")


def answer(value: Any, status: int = 200, **headers: str) -> HttpAnswer:
    return HttpAnswer(
        status, {name.replace("_", "-"): it for name, it in headers.items()}, json.dumps(value).encode()
    )


def success(client_id: Any, message_id: Any) -> dict[str, Any]:
    return {
        "respose-code": 200,
        "response-description": "Success",
        "mobile": 254700000000,
        "messageid": message_id,
        "clientsmsid": client_id,
        "networkid": 2,
    }


def read(body: bytes, query: str = "", content_type: str = "application/json") -> list[Report]:
    return CELCOM.read_reports(RawReport(content_type, query, body, RECEIVED))


def test_sendbulk_as_documented() -> None:
    call = CELCOM.submit(CREDENTIALS, [submit(1), submit(2)])
    assert call.path == "/api/services/sendbulk/"
    item = {
        "partnerID": "36",
        "apikey": "the-key",
        "pass_type": "plain",
        "clientsmsid": 1,
        "mobile": "254712345601",
        "message": "Habari €",
        "shortcode": "SEMALINK",
    }
    second = item | {"clientsmsid": 2, "mobile": "254712345602"}
    assert json.loads(call.body) == {"count": 2, "smslist": [item, second]}


def test_sendsms_as_documented() -> None:
    call = Celcom(bulk=False).submit(CREDENTIALS, [submit(1)])
    assert call.path == "/api/services/sendsms/"
    assert json.loads(call.body) == {
        "partnerID": "36",
        "apikey": "the-key",
        "pass_type": "plain",
        "mobile": "254712345601",
        "message": "Habari €",
        "shortcode": "SEMALINK",
    }


def test_getdlr_as_documented() -> None:
    call = CELCOM.poll(CREDENTIALS, "8290842")
    assert (call.method, call.path) == ("POST", "/api/services/getdlr/")
    assert json.loads(call.body) == {"apikey": "the-key", "partnerID": "36", "messageID": "8290842"}


@pytest.mark.parametrize(
    ("message_id", "kept"),
    [
        (8290842, "8290842"),
        ("WqSjRb4kKuC10AtH", "WqSjRb4kKuC10AtH"),
        (12345678901234567890123, "12345678901234567890123"),
        (75085465.0, "75085465"),
    ],
)
@pytest.mark.parametrize("client_id", [7, "7"])
def test_ids_of_any_type_are_kept_as_text(message_id: Any, kept: str, client_id: Any) -> None:
    (outcome,) = CELCOM.read_submit(answer({"responses": [success(client_id, message_id)]}), [submit(7)])
    assert (outcome.outcome, outcome.aggregator_id) == (Outcome.ACCEPTED, kept)


def test_the_newer_spelling_of_the_code_is_read_too() -> None:
    item = success(7, 1)
    item["response-code"] = item.pop("respose-code")
    (outcome,) = CELCOM.read_submit(answer({"responses": [item]}), [submit(7)])
    assert outcome.outcome is Outcome.ACCEPTED


def test_the_misspelt_code_wins_over_the_other() -> None:
    item = {"respose-code": 1003, "response-code": 200, "clientsmsid": 7}
    (outcome,) = CELCOM.read_submit(answer({"responses": [item]}), [submit(7)])
    assert outcome.code == "invalid_number"


def test_a_submit_that_the_answer_leaves_out_is_in_doubt() -> None:
    read = CELCOM.read_submit(
        answer({"responses": [success(1, 11), success(99, 12)]}), [submit(1), submit(2)]
    )
    assert [(one.outcome, one.code) for one in read] == [
        (Outcome.ACCEPTED, "accepted"),
        (Outcome.IN_DOUBT, "not_in_answer"),
    ]


def test_one_id_for_two_messages_leaves_both_in_doubt() -> None:
    items = [success(1, 11), success(2, "11"), success(3, 12)]
    read = CELCOM.read_submit(answer({"responses": items}), [submit(1), submit(2), submit(3)])
    assert [one.outcome for one in read] == [Outcome.IN_DOUBT, Outcome.IN_DOUBT, Outcome.ACCEPTED]


@pytest.mark.parametrize("first", [True, False])
def test_of_two_verdicts_on_one_message_accepted_holds(first: bool) -> None:
    items = [success(1, 11), {"respose-code": 1005, "clientsmsid": "1"}]
    (outcome,) = CELCOM.read_submit(answer({"responses": items if first else items[::-1]}), [submit(1)])
    assert (outcome.outcome, outcome.aggregator_id) == (Outcome.ACCEPTED, "11")


def test_a_refusal_of_a_whole_bulk_gives_no_message_up() -> None:
    refusal = answer({"response-code": 1003})
    assert [one.outcome for one in CELCOM.read_submit(refusal, [submit(1), submit(2)])] == [
        Outcome.NOT_SENT
    ] * 2
    assert [one.outcome for one in CELCOM.read_submit(refusal, [submit(1)])] == [Outcome.REFUSED]


def test_internal_error_waits_the_five_minutes_it_asks_for() -> None:
    (outcome,) = CELCOM.read_submit(answer({"response-code": "4090"}), [submit(1)])
    assert (outcome.outcome, outcome.wait_seconds) == (Outcome.NOT_SENT, 300.0)


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        ({}, None),
        ({"retry_after": "17"}, 17.0),
        ({"retry_after": "999999"}, 3600.0),
        ({"retry_after": "soon"}, None),
        ({"retry_after": "Fri, 20 Nov 2026 09:01:30 GMT", "date": "Fri, 20 Nov 2026 09:00:00 GMT"}, 90.0),
        ({"retry_after": "Fri, 20 Nov 2026 08:00:00 GMT", "date": "Fri, 20 Nov 2026 09:00:00 GMT"}, 0.0),
        ({"retry_after": "Fri, 20 Nov 2026 09:01:30 GMT"}, None),
    ],
)
def test_retry_after_is_honoured_within_reason(headers: dict[str, str], wait: float | None) -> None:
    (outcome,) = CELCOM.read_submit(answer({}, 429, **headers), [submit(1)])
    assert (outcome.outcome, outcome.wait_seconds) == (Outcome.NO_WAY, wait)


SHAPES = {
    "documented": b'{"description":"DeliveredToTerminal","messageid":"1889191","timeTaken":"22s",'
    b'"timestamp":"2025-09-12 10:16:10"}',
    "dashed, as getdlr": b'{"response-code":200,"message-id":"1889191","response-description":"Success",'
    b'"delivery-status":32,"delivery-description":"DeliveredToTerminal","delivery-tat":"00:02:30",'
    b'"delivery-networkid":1,"delivery-time":"2025-09-12 10:16:10"}',
    "Tilil": b'{"messageId":1889191,"dlrTime":"2025-09-12 10:16:10","dlrStatus":32,"dlrDesc":"DeliveredToTerminal",'
    b'"tat":"0.47 sec","network":"1"}',
    "camel": b'{"messageID":"1889191","deliveryStatus":"DeliveredToTerminal","timestamp":"2025-09-12T07:16:10Z"}',
    "snake, epoch ms": b'{"message_id":1889191,"status":"DELIVRD","timestamp":1757661370000}',
    "epoch s, offset": b'{"MsgID":"1889191","Status":"delivered","dlr_time":"1757661370"}',
    "code only": b'{"id":"1889191","dlr_code":"32","timestamp":"2025-09-12T10:16:10+03:00"}',
    "list": b'[{"description":"Delivered to Terminal","messageid":"1889191","timestamp":"2025-09-12 10:16:10"}]',
    "responses": b'{"responses":[{"description":"DELIVERED","messageid":1889191,"timestamp":"2025-09-12 10:16:10"}]}',
    "byte order mark": b'\xef\xbb\xbf{"description":"DELIVERED","messageid":1889191,"timestamp":"2025-09-12 10:16:10"}',
    "form": b"messageid=1889191&description=DeliveredToTerminal&timestamp=2025-09-12+10%3A16%3A10",
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("content_type", ["application/json", "application/x-www-form-urlencoded", ""])
def test_every_shape_seen_is_read_whatever_its_content_type(shape: str, content_type: str) -> None:
    (report,) = read(SHAPES[shape], content_type=content_type)
    assert (report.aggregator_id, report.status) == ("1889191", "delivered")
    assert report.occurred_at == datetime(2025, 9, 12, 7, 16, 10, tzinfo=UTC)


def test_a_get_carries_its_report_in_the_query() -> None:
    (report,) = read(b"", query="messageid=5&status=AbsentSubscriber&msisdn=0712345678&networkid=1")
    assert report == Report(
        "5", "failed", "AbsentSubscriber", "absent_subscriber", None, "1", "+254712345678", soft=True
    )


def test_a_thousand_reports_with_large_ids_are_all_read() -> None:
    first = 2**53 + 1
    body = json.dumps([{"messageid": first + at, "description": "DELIVRD"} for at in range(1000)]).encode()
    assert [report.aggregator_id for report in read(body)] == [str(first + at) for at in range(1000)]


def test_the_readable_part_of_a_list_is_not_lost() -> None:
    with pytest.raises(Unreadable) as raised:
        read(b'[{"messageid":1,"description":"DELIVRD"},{"description":"DELIVRD"},{"messageid":3}]')
    assert [report.aggregator_id for report in raised.value.reports] == ["1"]


def test_blocked_promotions_suppress_and_uncertain_failures_are_soft() -> None:
    reports = read(
        json.dumps(
            [
                {"id": at, "description": word}
                for at, word in enumerate(
                    [
                        "SenderName Blacklisted",
                        "UserInBlacklist",
                        "MessageRejected",
                        "Unknown",
                        "AbsentSubscriber",
                    ]
                )
            ]
        ).encode()
    )
    assert [report.suppress for report in reports] == [True, True, True, False, False]
    assert [report.soft for report in reports] == [False, False, False, True, True]


@pytest.mark.parametrize(
    "timestamp", ["2025-09-12 15:00:00", "1970-01-01", "not a time", 10**30, -5, None, "0000", True]
)
def test_an_incredible_time_is_no_time(timestamp: Any) -> None:
    (report,) = read(json.dumps({"id": 1, "status": "DELIVRD", "timestamp": timestamp}).encode())
    assert report.occurred_at is None


@pytest.mark.parametrize(
    ("mobile", "recipient"),
    [
        (254712345678, "+254712345678"),
        ("+254712345678", "+254712345678"),
        ("0712345678", "+254712345678"),
        ("712", None),
        ("hashed-8f3a", None),
    ],
)
def test_a_recipient_is_taken_when_it_is_a_number(mobile: Any, recipient: str | None) -> None:
    (report,) = read(json.dumps({"id": 1, "status": "DELIVRD", "mobile": mobile}).encode())
    assert report.recipient == recipient


@pytest.mark.parametrize(
    ("given", "state"),
    [
        (answer({"response-code": 1009, "response-description": "No dlr"}), PollState.PENDING),
        (answer({"response-code": 1008}), PollState.PENDING),
        (answer({"response-code": 4093}), PollState.UNKNOWN_ID),
        (answer({"response-code": 1006}), PollState.ACCOUNT),
        (answer({"response-code": 4092}), PollState.ACCOUNT),
        (answer({"response-code": 1005}), PollState.TRY_LATER),
        (
            answer({"response-code": 200, "message-id": "other", "delivery-description": "DELIVRD"}),
            PollState.TRY_LATER,
        ),
        (answer("<html>"), PollState.TRY_LATER),
        (answer({}, 500), PollState.TRY_LATER),
        (answer({}, 429, retry_after="3"), PollState.TRY_LATER),
        (answer({}, 403), PollState.ACCOUNT),
    ],
)
def test_what_polling_says_when_there_is_no_report(given: HttpAnswer, state: PollState) -> None:
    poll = CELCOM.read_poll(given, "8290842", RECEIVED)
    assert (poll.state, poll.report) == (state, None)


def test_polling_finds_the_report() -> None:
    poll = CELCOM.read_poll(
        HttpAnswer(200, {}, SHAPES["dashed, as getdlr"]), "1889191", RECEIVED + timedelta(days=3)
    )
    assert poll.state is PollState.READY
    assert poll.report is not None
    assert (poll.report.status, poll.report.network) == ("delivered", "1")
