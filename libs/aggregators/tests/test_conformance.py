"""What every adapter must do, whoever wrote it. A new aggregator adds one `Case` to `CASES`."""

import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sema_aggregators import (
    READERS,
    AfricasTalking,
    Aggregator,
    Celcom,
    Credentials,
    HttpAnswer,
    Outcome,
    Pollable,
    RawReport,
    Report,
    Submit,
    SubmitOutcome,
    TestMode,
    Unreadable,
)

SECRET = "k3y-that-must-never-be-seen"
CREDENTIALS = Credentials("partner-77", SECRET)
TEXT = "Your code is 845991"
NUMBER = "+254712345678"
RECEIVED = datetime(2026, 11, 20, 9, 30, tzinfo=UTC)

Verdicts = list[tuple[Submit, int | str, int | str | None]]
"""Per submit: the aggregator's code and, when accepted, its id, as number or text."""


@dataclass(frozen=True)
class Case:
    """One adapter, and how to speak for its aggregator."""

    adapter: Aggregator
    accepted: int | str
    answer: Callable[[Verdicts], HttpAnswer]
    codes: Mapping[int | str, Outcome]
    report: Callable[[str, str], bytes]
    """A pushed report about (id, word)."""
    words: Mapping[str, str | None]
    """Every documented word, and its status."""
    refusals: list[tuple[HttpAnswer, Outcome]] = field(default_factory=list)
    """Answers about a whole call, and their outcome."""
    report_type: str = "application/json"


def body(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> HttpAnswer:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return HttpAnswer(status, headers or {}, raw)


def celcom_bulk(verdicts: Verdicts) -> HttpAnswer:
    responses: list[dict[str, Any]] = []
    for submit, code, aggregator_id in verdicts:
        item: dict[str, Any] = {"respose-code": code, "response-description": "as said"}
        if aggregator_id is not None:
            item |= {"messageid": aggregator_id, "networkid": "1"}
        responses.append(item | {"mobile": "254700000000", "clientsmsid": str(submit.client_id)})
    return body({"responses": responses})


def celcom_single(verdicts: Verdicts) -> HttpAnswer:
    whole: dict[str, Any] = json.loads(celcom_bulk(verdicts).body)
    for item in whole["responses"]:
        del item["clientsmsid"]
    return body(whole)


def africastalking_answer(verdicts: Verdicts) -> HttpAnswer:
    recipients = [
        {
            "statusCode": code,
            "number": submit.to,
            "status": "as said",
            "cost": "0" if aggregator_id is None else "KES 0.8000",
            "messageId": "None" if aggregator_id is None else aggregator_id,
        }
        for submit, code, aggregator_id in verdicts
    ]
    return africastalking_says("Sent to 1/1 Total Cost: KES 0.8000", recipients)


def africastalking_says(message: str, recipients: Any = ()) -> HttpAnswer:
    return body({"SMSMessageData": {"Message": message, "Recipients": list(recipients)}}, 201)


def test_mode_answer(verdicts: Verdicts) -> HttpAnswer:
    _, code, aggregator_id = verdicts[0]
    return body({"verdict": code} | ({"id": aggregator_id} if aggregator_id else {}))


test_mode_answer.__test__ = False  # type: ignore[attr-defined]

CELCOM_CODES: dict[int | str, Outcome] = {
    200: Outcome.ACCEPTED,
    1001: Outcome.REFUSED,
    1002: Outcome.REFUSED,
    1003: Outcome.REFUSED,
    1004: Outcome.ACCOUNT,
    1005: Outcome.NOT_SENT,
    1006: Outcome.ACCOUNT,
    1007: Outcome.NOT_SENT,
    1008: Outcome.IN_DOUBT,
    1009: Outcome.REFUSED,
    1010: Outcome.REFUSED,
    1012: Outcome.NOT_SENT,
    1104: Outcome.NOT_SENT,
    4090: Outcome.NOT_SENT,
    4091: Outcome.ACCOUNT,
    4092: Outcome.ACCOUNT,
    4093: Outcome.ACCOUNT,
    1000: Outcome.IN_DOUBT,
    7777: Outcome.IN_DOUBT,
}
CELCOM_WORDS: dict[str, str | None] = {
    "DeliveredToTerminal": "delivered",
    "DelivredToTerminal": "delivered",
    "DELIVRD": "delivered",
    "DELIVERED": "delivered",
    "delivered to terminal": "delivered",
    "SentToNetwork": "sent",
    "DeliveredToNetwork": "sent",
    "ForwardedToNetwork": "sent",
    "DeliveryUncertain": "sent",
    "MessageWaiting": "sent",
    "Queued": "sent",
    "Scheduled": "sent",
    "MessagePaused": "sent",
    "Submitted": "sent",
    "AbsentSubscriber": "failed",
    "DeliveryImpossible": "failed",
    "Delivery Impossible": "failed",
    "SenderName Blacklisted": "failed",
    "UserInBlacklist": "failed",
    "MessageRejected": "failed",
    "Unknown": "failed",
    "Invalid Source Address": "failed",
    "InvalidMsisdn": "failed",
    "InvalidMobile": "failed",
    "UserNotExist": "failed",
    "UserIsSuspended": "failed",
    "UserAbnormalState": "failed",
    "TeleserviceNotProvisioned": "failed",
    "Expired": "expired",
    "REJECTD": "failed",
    "Insufficient_Balance": "failed",
    "SomethingNobodyHasExplained": None,
}
CELCOM_REFUSALS = [
    (body({"response-code": 1006, "response-description": f"Invalid credentials {SECRET}"}), Outcome.ACCOUNT),
    (body({"response-code": 1004}), Outcome.ACCOUNT),
    (body({"response-code": 4090}), Outcome.NOT_SENT),
    (body({"response-code": 200}), Outcome.IN_DOUBT),
    (body({"responses": []}), Outcome.IN_DOUBT),
    (body(b"Too many", 429), Outcome.NO_WAY),
    (body(b"Internal error", 500), Outcome.IN_DOUBT),
    (body({"response-code": 1006}, 503), Outcome.IN_DOUBT),
    (body(b"", 408), Outcome.IN_DOUBT),
    (body(b"Forbidden", 403), Outcome.ACCOUNT),
    (body(b"<html>not here</html>", 404), Outcome.ACCOUNT),
    (body(b"", 302), Outcome.ACCOUNT),
    (body(b"Bad request", 400), Outcome.NOT_SENT),
    (body({"response-code": 4091}, 400), Outcome.ACCOUNT),
]


AFRICASTALKING_CODES: dict[int | str, Outcome] = {
    100: Outcome.ACCEPTED,
    101: Outcome.ACCEPTED,
    102: Outcome.ACCEPTED,
    "102": Outcome.ACCEPTED,
    401: Outcome.REFUSED,
    402: Outcome.REFUSED,
    403: Outcome.REFUSED,
    404: Outcome.REFUSED,
    405: Outcome.ACCOUNT,
    406: Outcome.REFUSED,
    407: Outcome.REFUSED,
    409: Outcome.REFUSED,
    500: Outcome.NOT_SENT,
    501: Outcome.NOT_SENT,
    502: Outcome.REFUSED,
    200: Outcome.IN_DOUBT,
    408: Outcome.IN_DOUBT,
    777: Outcome.IN_DOUBT,
}
AFRICASTALKING_WORDS: dict[str, str | None] = {
    "Sent": "sent",
    "Submitted": "sent",
    "Buffered": "sent",
    "Rejected": "failed",
    "Success": "delivered",
    "Failed": "failed",
    "AbsentSubscriber": "failed",
    "Expired": "expired",
    "SomethingNobodyHasExplained": None,
}
AFRICASTALKING_REFUSALS = [
    (africastalking_says("InvalidSenderId"), Outcome.REFUSED),
    (africastalking_says("InsufficientBalance"), Outcome.ACCOUNT),
    (africastalking_says("InternalServerError"), Outcome.NOT_SENT),
    (africastalking_says("Sent to 0/1 Total Cost: 0"), Outcome.IN_DOUBT),
    (africastalking_says(f"Something about {NUMBER} {SECRET}"), Outcome.IN_DOUBT),
    (body(b"The supplied authentication is invalid", 401), Outcome.ACCOUNT),
    (body(b"The supplied authentication is invalid", 201), Outcome.ACCOUNT),
    (body(b"Bad request", 400), Outcome.NOT_SENT),
    (body(b"Forbidden", 403), Outcome.ACCOUNT),
    (body(b"", 302), Outcome.ACCOUNT),
    (body(b"Too many", 429), Outcome.NO_WAY),
    (body(b"", 408), Outcome.IN_DOUBT),
    (body(b"Internal error", 500), Outcome.IN_DOUBT),
    (body({"SMSMessageData": {"Message": "InvalidSenderId", "Recipients": []}}, 502), Outcome.IN_DOUBT),
    (body(b"<AfricasTalkingResponse/>", 201), Outcome.IN_DOUBT),
]


def africastalking_report(aggregator_id: str, word: str) -> bytes:
    fields = {
        "id": aggregator_id,
        "status": word,
        "phoneNumber": NUMBER,
        "networkCode": "63902",
        "retryCount": "0",
    }
    return urlencode(fields).encode()


def celcom_report(aggregator_id: str, word: str) -> bytes:
    return json.dumps(
        {
            "description": word,
            "messageid": aggregator_id,
            "timeTaken": "22s",
            "timestamp": "2026-11-20 12:00:00",
        }
    ).encode()


def test_mode_report(aggregator_id: str, word: str) -> bytes:
    return json.dumps({"id": aggregator_id, "status": word}).encode()


test_mode_report.__test__ = False  # type: ignore[attr-defined]

CASES = {
    "celcom sendbulk": Case(
        Celcom(), 200, celcom_bulk, CELCOM_CODES, celcom_report, CELCOM_WORDS, CELCOM_REFUSALS
    ),
    "celcom sendsms": Case(
        Celcom(bulk=False), 200, celcom_single, CELCOM_CODES, celcom_report, CELCOM_WORDS, CELCOM_REFUSALS
    ),
    **{
        f"africastalking {bulk}": Case(
            AfricasTalking(bulk=bulk == "bulk"),
            101,
            africastalking_answer,
            AFRICASTALKING_CODES,
            africastalking_report,
            AFRICASTALKING_WORDS,
            AFRICASTALKING_REFUSALS,
            "application/x-www-form-urlencoded",
        )
        for bulk in ("bulk", "single")
    },
    "test mode": Case(
        TestMode(),
        "accepted",
        test_mode_answer,
        {
            "accepted": Outcome.ACCEPTED,
            "refused": Outcome.REFUSED,
            "not_sent": Outcome.NOT_SENT,
            "?": Outcome.IN_DOUBT,
        },
        test_mode_report,
        {"sent": "sent", "delivered": "delivered", "failed": "failed", "expired": "expired"},
    ),
}


@pytest.fixture(params=list(CASES.values()), ids=list(CASES))
def case(request: pytest.FixtureRequest) -> Case:
    found: Case = request.param
    return found


def submits(count: int) -> list[Submit]:
    # Out of order and far apart: nothing may lean on places or on small numbers.
    return [
        Submit(1000 - 7 * at, f"message-{at}", f"{NUMBER[:-2]}{(78 + at) % 100:02d}", "SEMALINK", TEXT)
        for at in range(count)
    ]


def bulks(case: Case) -> list[list[Submit]]:
    return [submits(count) for count in sorted({1, min(3, case.adapter.capabilities.max_bulk)})]


def read_one(case: Case, answer: HttpAnswer) -> SubmitOutcome:
    (outcome,) = case.adapter.read_submit(answer, submits(1))
    return outcome


def test_every_reader_is_in_this_suite() -> None:
    assert set(READERS) == {case.adapter.name for case in CASES.values()}


def test_a_call_is_complete(case: Case) -> None:
    for bulk in bulks(case):
        call = case.adapter.submit(CREDENTIALS, bulk)
        assert call.method == "POST"
        assert call.path.startswith("/")
        assert SECRET not in call.path
        assert "content-type" in call.headers
        assert call.body


def test_a_call_takes_one_to_max_bulk_submits_with_unique_ids(case: Case) -> None:
    most = case.adapter.capabilities.max_bulk
    case.adapter.submit(CREDENTIALS, submits(most))
    for wrong in ([], submits(most + 1), [submits(1)[0]] * 2):
        with pytest.raises(ValueError, match=r"submits|unique"):
            case.adapter.submit(CREDENTIALS, wrong)


def test_every_documented_code_has_its_outcome(case: Case) -> None:
    for code, outcome in case.codes.items():
        accepted = outcome is Outcome.ACCEPTED
        for bulk in bulks(case):
            answer = case.answer(
                [(submit, code, f"id-{submit.client_id}" if accepted else None) for submit in bulk]
            )
            read = case.adapter.read_submit(answer, bulk)
            assert [one.outcome for one in read] == [outcome] * len(bulk), code
            ids = [one.aggregator_id for one in read]
            assert ids == [f"id-{submit.client_id}" if accepted else None for submit in bulk]


@pytest.mark.parametrize("given", [8290842, "8290842", 12345678901234567890123, "ATXid_4b1"])
def test_ids_are_kept_as_text_whatever_they_came_as(case: Case, given: int | str) -> None:
    bulk = submits(1)
    (read,) = case.adapter.read_submit(case.answer([(bulk[0], case.accepted, given)]), bulk)
    assert (read.outcome, read.aggregator_id) == (Outcome.ACCEPTED, str(given))


def test_a_submit_that_the_answer_leaves_out_is_in_doubt(case: Case) -> None:
    bulk = submits(case.adapter.capabilities.max_bulk)
    if len(bulk) == 1:
        return  # who is left out of an answer about one has had none
    read = case.adapter.read_submit(
        case.answer([(submit, case.accepted, f"id-{submit.client_id}") for submit in bulk[1:]]), bulk
    )
    assert [one.outcome for one in read] == [Outcome.IN_DOUBT] + [Outcome.ACCEPTED] * (len(bulk) - 1)


def test_one_id_for_two_messages_leaves_both_in_doubt(case: Case) -> None:
    bulk = submits(case.adapter.capabilities.max_bulk)
    read = case.adapter.read_submit(case.answer([(submit, case.accepted, "id") for submit in bulk]), bulk)
    assert {one.outcome for one in read} == {Outcome.IN_DOUBT if len(bulk) > 1 else Outcome.ACCEPTED}


def test_outcomes_come_in_the_order_of_the_submits_whatever_the_order_of_the_answer(case: Case) -> None:
    bulk = submits(case.adapter.capabilities.max_bulk)
    verdicts: Verdicts = [(submit, case.accepted, f"id-{submit.client_id}") for submit in bulk]
    read = case.adapter.read_submit(case.answer(verdicts[::-1]), bulk)
    assert [one.aggregator_id for one in read] == [f"id-{submit.client_id}" for submit in bulk]


def test_partial_success_takes_no_neighbour_along(case: Case) -> None:
    bulk = submits(case.adapter.capabilities.max_bulk)
    refused = next(code for code, outcome in case.codes.items() if outcome is Outcome.REFUSED)
    verdicts: Verdicts = [
        (submit, refused, None) if at % 2 else (submit, case.accepted, f"id-{at}")
        for at, submit in enumerate(bulk)
    ]
    read = case.adapter.read_submit(case.answer(verdicts), bulk)
    assert [one.outcome for one in read] == [
        Outcome.REFUSED if at % 2 else Outcome.ACCEPTED for at in range(len(bulk))
    ]


def test_success_without_an_id_is_in_doubt(case: Case) -> None:
    bulk = submits(1)
    (read,) = case.adapter.read_submit(case.answer([(bulk[0], case.accepted, None)]), bulk)
    assert read.outcome is Outcome.IN_DOUBT


def test_answers_that_say_nothing_leave_all_in_doubt(case: Case) -> None:
    for bulk in bulks(case):
        whole = case.answer([(submit, case.accepted, f"id-{submit.client_id}") for submit in bulk]).body
        for nothing in (
            b"",
            b"OK",
            b"The service is busy",
            b"<html>502</html>",
            whole[: len(whole) // 2],
            b"null",
            b"[]",
            b"{}",
            b"\xff\x00",
        ):
            read = case.adapter.read_submit(body(nothing), bulk)
            assert [one.outcome for one in read] == [Outcome.IN_DOUBT] * len(bulk), nothing


def test_answers_about_a_whole_call(case: Case) -> None:
    for answer, outcome in case.refusals:
        for bulk in bulks(case):
            read = case.adapter.read_submit(answer, bulk)
            assert [one.outcome for one in read] == [outcome] * len(bulk), (answer, answer.body)


def test_every_documented_word_has_its_status(case: Case) -> None:
    for word, status in case.words.items():
        (report,) = case.adapter.read_reports(
            RawReport(case.report_type, "", case.report("id-1", word), RECEIVED)
        )
        assert (report.aggregator_id, report.status) == ("id-1", status), word
        assert report.description == word
        assert (report.error_code is not None) == (status in ("failed", "expired")), word


def test_what_is_no_report_is_unreadable(case: Case) -> None:
    for nothing in (
        b"",
        b"hello",
        b"<html>x</html>",
        b'{"id":',
        b"[]",
        b"{}",
        b"[1]",
        b'{"id":""}',
        b'{"id":true}',
    ):
        with pytest.raises(Unreadable) as raised:
            case.adapter.read_reports(RawReport("text/html", "", nothing, RECEIVED))
        assert raised.value.reason


def test_no_secret_number_or_text_is_ever_shown(case: Case, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    shown: list[object] = [CREDENTIALS]
    echo = f"{SECRET} {NUMBER} {TEXT}"
    for bulk in bulks(case):
        call = case.adapter.submit(CREDENTIALS, bulk)
        shown += [call, *bulk]
        answers = [case.answer([(submit, code, None) for submit in bulk]) for code in case.codes]
        answers += [answer for answer, _ in case.refusals]
        answers += [body({"response-code": 9999, "response-description": echo}), body(echo.encode())]
        for answer in answers:
            shown += [answer, *case.adapter.read_submit(answer, bulk)]
    if isinstance(case.adapter, Pollable):
        shown.append(case.adapter.poll(CREDENTIALS, "id-1"))
    written = " ".join(f"{one!r} {one}" for one in shown) + caplog.text
    for private in (SECRET, NUMBER, NUMBER[1:], TEXT):
        assert private not in written


KEYS = [
    *(
        "responses",
        "respose-code",
        "response-code",
        "clientsmsid",
        "messageid",
        "message-id",
        "id",
        "verdict",
    ),
    *("SMSMessageData", "Recipients", "Message", "statusCode", "number", "messageId", "failureReason"),
    *("status", "description", "delivery-status", "timestamp", "mobile", "networkid"),
]
JSONISH = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(KEYS),
            inner,
            max_size=5,
        )
    ),
    max_leaves=20,
)
BYTES = st.binary(max_size=300) | JSONISH.map(lambda value: json.dumps(value).encode())


@pytest.mark.parametrize("name", CASES)
@given(raw=BYTES, status=st.integers(100, 599), retry_after=st.text(max_size=30))
def test_no_answer_makes_it_raise(name: str, raw: bytes, status: int, retry_after: str) -> None:
    adapter = CASES[name].adapter
    bulk = submits(adapter.capabilities.max_bulk)
    read = adapter.read_submit(HttpAnswer(status, {"retry-after": retry_after}, raw), bulk)
    assert len(read) == len(bulk)
    assert all((one.outcome is Outcome.ACCEPTED) == (one.aggregator_id is not None) for one in read)


@pytest.mark.parametrize("name", CASES)
@given(raw=BYTES, query=st.text(max_size=50), content_type=st.text(max_size=20))
def test_no_report_makes_it_raise_anything_but_unreadable(
    name: str, raw: bytes, query: str, content_type: str
) -> None:
    adapter = CASES[name].adapter
    try:
        reports = adapter.read_reports(RawReport(content_type, query, raw, RECEIVED))
    except Unreadable as unreadable:
        reports = list(unreadable.reports)
    else:
        assert reports
    for report in reports:
        assert isinstance(report, Report)
        assert "\x00" not in report.aggregator_id + report.description
        assert report.occurred_at is None or report.occurred_at.utcoffset() == timedelta(0)
    if isinstance(adapter, Pollable):
        adapter.read_poll(HttpAnswer(200, {}, raw), "id-1", RECEIVED)
