"""Africa's Talking's own peculiarities, beyond what every adapter must do."""

import json
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urlencode

import pytest

from sema_aggregators import (
    AfricasTalking,
    Credentials,
    HttpAnswer,
    Outcome,
    Pollable,
    RawReport,
    Report,
    Submit,
    Unreadable,
)

AT = AfricasTalking(bulk=True)
CREDENTIALS = Credentials("semalink", "atsk_the-key")
RECEIVED = datetime(2026, 11, 20, 9, 30, tzinfo=UTC)


def submit(at: int, **changes: Any) -> Submit:
    given = {"to": f"+2547123456{at:02d}", "sender": "SEMALINK", "text": "Habari & karibu €"} | changes
    return Submit(at, f"message-{at}", **given)


def answer(*recipients: dict[str, Any], message: str = "Sent to 1/1 Total Cost: KES 0.8000") -> HttpAnswer:
    body = {"SMSMessageData": {"Message": message, "Recipients": list(recipients)}}
    return HttpAnswer(201, {}, json.dumps(body).encode())


def recipient(
    number: str, code: Any = 101, message_id: Any = "ATXid_1", status: str = "Success"
) -> dict[str, Any]:
    return {
        "statusCode": code,
        "number": number,
        "status": status,
        "cost": "KES 0.8000",
        "messageId": message_id,
    }


def read(query: str = "", **fields: str) -> Report:
    raw = RawReport("application/x-www-form-urlencoded", query, urlencode(fields).encode(), RECEIVED)
    (report,) = AT.read_reports(raw)
    return report


def test_messaging_as_documented() -> None:
    call = AT.submit(CREDENTIALS, [submit(1), submit(2)])
    assert (call.method, call.path) == ("POST", "/version1/messaging")
    assert call.headers == {
        "apiKey": "atsk_the-key",
        "content-type": "application/x-www-form-urlencoded",
        "accept": "application/json",
    }
    assert b"atsk" not in call.body
    assert b"to=%2B254712345601%2C%2B254712345602" in call.body
    assert parse_qs(call.body.decode(), strict_parsing=True) == {
        "username": ["semalink"],
        "to": ["+254712345601,+254712345602"],
        "message": ["Habari & karibu €"],
        "from": ["SEMALINK"],
        "bulkSMSMode": ["1"],
        "enqueue": ["0"],
    }


@pytest.mark.parametrize(
    "other", [submit(2, text="another"), submit(2, sender="OTHER"), submit(2, to=submit(1).to)]
)
def test_a_call_carries_one_text_of_one_sender_to_numbers_that_differ(other: Submit) -> None:
    with pytest.raises(ValueError, match=r"share|unique"):
        AT.submit(CREDENTIALS, [submit(1), other])


@pytest.mark.parametrize("number", ["+254711XXXYYY", "", None, "254712345601", "+254712345601"])
def test_a_lone_answer_to_a_lone_submit_may_mask_its_number(number: Any) -> None:
    (outcome,) = AT.read_submit(answer(recipient(number)), [submit(1)])
    assert (outcome.outcome, outcome.aggregator_id) == (Outcome.ACCEPTED, "ATXid_1")


def test_an_answer_about_another_number_says_nothing() -> None:
    (outcome,) = AT.read_submit(answer(recipient("+254799999999")), [submit(1)])
    assert (outcome.outcome, outcome.code) == (Outcome.IN_DOUBT, "not_in_answer")


def test_the_code_decides_and_not_the_text() -> None:
    (refused,) = AT.read_submit(answer(recipient(submit(1).to, 406, "None", "Success")), [submit(1)])
    assert (refused.outcome, refused.code) == (Outcome.REFUSED, "recipient_opted_out")
    assert refused.suppress
    (accepted,) = AT.read_submit(answer(recipient(submit(1).to, "100", 7, "Failed")), [submit(1)])
    assert (accepted.outcome, accepted.aggregator_id) == (Outcome.ACCEPTED, "7")
    (unknown,) = AT.read_submit(answer(recipient(submit(1).to, None, "ATXid_1")), [submit(1)])
    assert (unknown.outcome, unknown.code) == (Outcome.IN_DOUBT, "unreadable_answer")


@pytest.mark.parametrize("message_id", ["None", "", None, True])
def test_success_with_the_word_none_for_an_id_is_in_doubt(message_id: Any) -> None:
    (outcome,) = AT.read_submit(answer(recipient(submit(1).to, 101, message_id)), [submit(1)])
    assert (outcome.outcome, outcome.code) == (Outcome.IN_DOUBT, "no_aggregator_id")


def test_a_refusal_of_a_whole_call_gives_no_message_up_unless_it_is_about_what_they_share() -> None:
    number = answer(message="InvalidPhoneNumber")
    assert [one.outcome for one in AT.read_submit(number, [submit(1), submit(2)])] == [Outcome.NOT_SENT] * 2
    assert [one.outcome for one in AT.read_submit(number, [submit(1)])] == [Outcome.REFUSED]
    sender = answer(message="InvalidSenderId")
    read = AT.read_submit(sender, [submit(1), submit(2)])
    assert [(one.outcome, one.code) for one in read] == [(Outcome.REFUSED, "invalid_sender")] * 2


def test_do_not_disturb_as_a_status_of_http() -> None:
    (outcome,) = AT.read_submit(HttpAnswer(409, {}, b"<h1>Conflict</h1>"), [submit(1)])
    assert (outcome.outcome, outcome.code) == (Outcome.REFUSED, "do_not_disturb")


def test_a_delivery_report_as_documented() -> None:
    assert read(id="ATXid_1", status="Success", phoneNumber="+254712345601", networkCode="63902") == Report(
        "ATXid_1", "delivered", "Success", network="Safaricom", recipient="+254712345601"
    )


@pytest.mark.parametrize(
    ("reason", "code", "suppress"),
    [
        ("InsufficientCredit", "insufficient_balance_at_network", False),
        ("InvalidLinkId", "invalid_link_id", False),
        ("UserIsInactive", "subscriber_inactive", False),
        ("UserInBlackList", "recipient_opted_out", True),
        ("UserInBlacklist", "recipient_opted_out", True),
        ("UserAccountSuspended", "subscriber_suspended", False),
        ("NotNetworkSubcriber", "not_a_subscriber_of_the_network", False),
        ("UserNotSubscribedToProduct", "not_subscribed_to_product", False),
        ("UserDoesNotExist", "unknown_subscriber", False),
        ("DeliveryFailure", "delivery_impossible", False),
        ("DoNotDisturbRejection", "do_not_disturb", True),
        ("SomethingNew", "delivery_impossible", False),
    ],
)
def test_every_documented_reason_of_a_failure(reason: str, code: str, suppress: bool) -> None:
    report = read(id="ATXid_1", status="Failed", failureReason=reason)
    assert (report.status, report.error_code, report.suppress) == ("failed", code, suppress)
    assert report.description == f"Failed: {reason}"


@pytest.mark.parametrize("reason", ["", "None", "null"])
def test_no_reason_is_none(reason: str) -> None:
    report = read(id="ATXid_1", status="Rejected", failureReason=reason)
    assert (report.error_code, report.description) == ("rejected_by_network", "Rejected")


def test_a_reason_never_turns_a_delivery_into_a_failure() -> None:
    report = read(id="ATXid_1", status="Success", failureReason="UserInBlackList")
    assert (report.status, report.error_code, report.suppress) == ("delivered", None, False)


def test_an_absent_subscriber_may_come_back() -> None:
    assert read(id="ATXid_1", status="AbsentSubscriber").soft
    assert not read(id="ATXid_1", status="Failed").soft


def test_retries_are_told() -> None:
    report = read(id="ATXid_1", status="Buffered", retryCount="2")
    assert (report.status, report.description) == ("sent", "Buffered (retry 2)")
    assert read(id="ATXid_1", status="Success", retryCount="0").description == "Success"


@pytest.mark.parametrize(
    ("given", "network"),
    [
        ("63902", "Safaricom"),
        ("63907", "Telkom"),
        ("64110", "MTN"),
        ("99999", "Athena"),
        ("12345", "12345"),
        ("", None),
    ],
)
def test_a_network_code_is_told_by_name(given: str, network: str | None) -> None:
    assert read(id="ATXid_1", status="Sent", networkCode=given).network == network


@pytest.mark.parametrize(
    "fields",
    [
        {"date": "2026-11-20", "from": "+254712345601", "id": "b1", "text": "STOP", "to": "22395"},
        {"senderId": "SEMALINK", "phoneNumber": "+254712345601"},
        {"phoneNumber": "+254712345601", "shortCode": "22395", "keyword": "x", "updateType": "addition"},
    ],
    ids=["incoming text", "opt-out", "subscription"],
)
def test_its_other_callbacks_are_no_reports(fields: dict[str, str]) -> None:
    with pytest.raises(Unreadable):
        read(**fields)


def test_a_json_body_and_a_query_are_read_as_well() -> None:
    raw = RawReport(
        "application/json", "", b'{"id":"ATXid_1","status":"success","retryCount":null}', RECEIVED
    )
    assert AT.read_reports(raw)[0].status == "delivered"
    assert read(query="id=ATXid_1&status=Failed").status == "failed"


def test_it_answers_no_questions_about_a_report() -> None:
    assert not isinstance(AT, Pollable)
