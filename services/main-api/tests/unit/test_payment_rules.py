"""What may be asked for, what the provider's answers mean, and where a payment belongs."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from sema_common.billing.payments.receipts import Payment
from sema_common.billing.payments.top_ups import TopUp
from sema_common.values.ids import new_id
from sema_main_api.payments.rules import daraja, top_ups

AT = datetime(2026, 11, 21, 9, 30, tzinfo=UTC)
UNIT = timedelta(minutes=1)
TOP_UP = TopUp(
    new_id(AT), new_id(), new_id(), Decimal(100), "KES", "+254712345678", "ABCDEFGHJK", "pending", None, None,
    "ws_CO_1", None, False, 1, AT, None,
)  # fmt: skip
PAYMENT = Payment("TAB1234567", Decimal(100), "abcde fghjk", "", AT, AT, "listed", None, None, None, None)


@pytest.mark.parametrize(
    ("amount", "currency", "msisdn", "found"),
    [
        ("10.0000", "KES", "+254112345678", []),
        ("250000", "KES", "+254712345678", []),
        ("0", "KES", "+254712345678", [("amount.amount", "out_of_range")]),
        ("-5", "KES", "+254712345678", [("amount.amount", "invalid")]),
        ("1.5", "KES", "+254712345678", [("amount.amount", "not_whole")]),
        ("250001", "KES", "+254712345678", [("amount.amount", "out_of_range")]),
        ("1e3", "KES", "+254712345678", [("amount.amount", "invalid")]),
        ("NaN", "KES", "+254712345678", [("amount.amount", "invalid")]),
        ("10", "USD", "+254712345678", [("amount.currency", "invalid_choice")]),
        ("10", "KES", "+255712345678", [("phone", "invalid_phone_number")]),
        ("10", "KES", None, [("phone", "invalid_phone_number")]),
    ],
)
def test_only_what_m_pesa_can_move_is_taken(
    amount: str, currency: str, msisdn: str | None, found: list[tuple[str, str]]
) -> None:
    flaws = top_ups.flaws(amount, currency, "KES", msisdn)
    assert [(flaw.field, flaw.code) for flaw in flaws] == found


def test_a_reference_is_short_and_survives_how_people_type() -> None:
    reference = top_ups.account_reference(bytes(range(16)))
    assert len(reference) == 10
    assert reference.isalnum()
    typed = f" {reference[:4].lower()} - {reference[4:]}\n"
    assert top_ups.normal_reference(typed) == reference


def error(code: str, message: str) -> dict[str, str]:
    return {"requestId": "1", "errorCode": code, "errorMessage": message}


@pytest.mark.parametrize(
    ("status", "body", "outcome", "reason"),
    [
        (200, {"ResponseCode": "0", "CheckoutRequestID": "ws_CO_1", "MerchantRequestID": "1"}, "accepted", ""),
        (200, {"ResponseCode": "0"}, "in_doubt", ""),
        (200, "OK", "in_doubt", ""),
        (502, "<html>", "in_doubt", ""),
        (400, error("400.002.02", "Bad Request - Invalid PhoneNumber"), "refused", "phone_refused"),
        (400, error("400.002.02", "Bad Request - Invalid Amount"), "refused", "provider_refused"),
        (500, error("500.001.1001", "Unable to lock subscriber, a transaction is in process"), "refused", "phone_busy"),
        (500, error("500.001.1001", "Wrong credentials"), "refused", "provider_refused"),
        (500, error("500.003.02", "System is busy"), "not_now", "provider_busy"),
        (500, error("500.003.03", "Quota Violation"), "not_now", "provider_busy"),
        (500, error("500.003.1001", "Internal Server Error"), "in_doubt", ""),
    ],
)  # fmt: skip
def test_an_answer_to_a_push_says_whether_the_phone_lit_up(
    status: int, body: Any, outcome: str, reason: str
) -> None:
    found = daraja.read_push(status, body.encode() if isinstance(body, str) else json.dumps(body).encode())
    assert (found.outcome, found.reason) == (outcome, reason)


@pytest.mark.parametrize(
    ("status", "body", "verdict"),
    [
        (200, {"ResponseCode": "0", "ResultCode": "0"}, "paid"),
        (200, {"ResponseCode": "0", "ResultCode": 0}, "paid"),
        (200, {"ResponseCode": "1", "ResultCode": "0"}, "unknown"),
        (200, {"ResponseCode": "0", "ResultCode": "1032"}, "not_paid"),
        (200, {"ResponseCode": "0", "ResultCode": "SFC_IC0003"}, "not_paid"),
        (200, {"ResponseCode": "0", "ResultCode": "4999"}, "pending"),
        (200, {"ResponseCode": "0", "ResultCode": "7777"}, "unknown"),
        (500, {"errorCode": "500.001.1001", "errorMessage": "The transaction is being processed"}, "pending"),
        (500, {"errorCode": "500.001.1001", "errorMessage": "Wrong credentials"}, "unknown"),
        (200, "nonsense", "unknown"),
    ],
)
def test_only_a_plain_zero_means_paid_and_only_a_known_code_means_not(
    status: int, body: Any, verdict: str
) -> None:
    content = body.encode() if isinstance(body, str) else json.dumps(body).encode()
    assert daraja.read_query(status, content).verdict == verdict


def callback(code: Any, items: list[Any] | None = None) -> bytes:
    told: dict[str, Any] = {"CheckoutRequestID": "ws_CO_1", "MerchantRequestID": "1", "ResultCode": code}
    if items is not None:
        told["CallbackMetadata"] = {"Item": items}
    return json.dumps({"Body": {"stkCallback": told}}).encode()


def test_a_callback_is_read_by_name_whatever_its_order_and_types() -> None:
    items = [
        {"Name": "Balance"},
        {"Name": "MpesaReceiptNumber", "Value": "nlj7rt61sv"},
        {"Name": "Amount", "Value": 1.0},
    ]
    told = daraja.read_callback(callback(0, items))
    assert told is not None
    assert (told.code, told.amount, told.receipt) == ("0", Decimal("1.0"), "NLJ7RT61SV")
    failed = daraja.read_callback(callback("1032"))
    assert failed is not None
    assert (failed.code, failed.amount, failed.receipt) == ("1032", None, None)
    for nonsense in (
        b"",
        b"[]",
        b"{}",
        b'{"Body": []}',
        b'{"Body": {"stkCallback": {"ResultCode": 0}}}',
        b"\xff",
    ):
        assert daraja.read_callback(nonsense) is None
    odd = daraja.read_callback(callback(0, [None, 3, {"Name": "Amount", "Value": True}]))
    assert odd is not None
    assert odd.amount is None


def test_the_list_is_flattened_and_its_times_are_nairobis() -> None:
    row = {
        "transactionId": "yzl1rEsRG1", "trxDate": "2026-11-21 12:30:00", "msisdn": 254722000123,
        "transactiontype": "c2b-pay-bill-debit", "billreference": "ref", "amount": "168.00",
    }  # fmt: skip
    rows = [
        row,
        row,
        row | {"transactionId": "X"},
        row | {"transactiontype": "b2c", "transactionId": "OTHER12345"},
    ]
    body = json.dumps({"ResponseCode": "1000", "Response": [[*rows], [], "?"]}).encode()
    [listed] = daraja.read_list(200, body) or []
    assert (listed.receipt, listed.amount, listed.paid_at) == ("YZL1RESRG1", Decimal("168.00"), AT)
    assert listed.payer == "2547 ***** 123"
    assert daraja.count_rows(body) == 4
    assert daraja.read_list(200, b'{"ResponseCode": "1001", "Response": "[[]]"}') == []
    assert daraja.read_list(500, body) is None
    assert daraja.read_list(200, b'{"ResponseCode": "9"}') is None


@pytest.mark.parametrize(
    ("change", "verdict", "age", "action"),
    [
        ({}, "paid", 1, "credit"),
        ({"held": True}, "paid", 1, "wait"),
        ({"held": True}, "paid", 1440, "expire"),
        ({}, "not_paid", 1, "fail"),
        ({}, "unknown", 1439, "wait"),
        ({}, "unknown", 1440, "expire"),
        ({}, "pending", 1440, "expire"),
        ({"checkout_request_id": None}, None, 59, "wait"),
        ({"checkout_request_id": None}, None, 60, "expire"),
        ({"status": "failed"}, "paid", 1, "credit"),
        ({"status": "expired"}, "paid", 2000, "credit"),
        ({"status": "failed"}, "not_paid", 1, "rest"),
        ({"status": "failed"}, "unknown", 1, "wait"),
        ({"status": "failed"}, "unknown", 1440, "rest"),
        ({"status": "succeeded"}, "not_paid", 1, "rest"),
        ({"status": "succeeded"}, "paid", 1, "rest"),
    ],
)
def test_a_payment_wins_and_what_nobody_knows_is_asked_again(
    change: dict[str, Any], verdict: Any, age: int, action: str
) -> None:
    result = None if verdict is None else daraja.Result(verdict, "1", "why")
    step = top_ups.step(replace(TOP_UP, **change), result, AT + UNIT * age, UNIT)
    assert step.action == action


def test_a_callback_that_is_about_something_else_is_known() -> None:
    def against(checkout: str, code: str, amount: str | None) -> str | None:
        return top_ups.contradicts(TOP_UP, checkout, code, None if amount is None else Decimal(amount))

    assert against("ws_CO_1", "0", "100.00") is None
    assert against("ws_CO_1", "1032", None) is None
    assert against("ws_CO_2", "0", "100") == "other_request"
    assert against("ws_CO_1", "0", "100000") == "amount_differs"
    assert against("ws_CO_1", "0", None) == "no_amount"


def test_each_top_up_has_one_payment_and_what_is_more_stands_beside_it() -> None:
    told = replace(PAYMENT, receipt="FORGED1234", listed_at=None, state="told")
    other = replace(PAYMENT, receipt="TAC1234567")
    assert top_ups.place(PAYMENT, None, None) == "nobody"
    assert top_ups.place(PAYMENT, TOP_UP, None) == "own"
    assert top_ups.place(PAYMENT, TOP_UP, told) == "own"
    assert top_ups.place(PAYMENT, TOP_UP, PAYMENT) == "own"
    assert top_ups.place(PAYMENT, TOP_UP, other) == "beside"
    assert top_ups.place(replace(PAYMENT, amount=Decimal(70)), TOP_UP, None) == "beside"
    assert top_ups.place(replace(PAYMENT, amount=Decimal(70)), TOP_UP, PAYMENT) == "mismatched"


def test_the_third_look_is_within_ten_minutes() -> None:
    assert 1 + sum(top_ups.GAPS[1:3]) <= 10


def test_days_are_nairobis() -> None:
    [(today, start, end), (yesterday, *_)] = top_ups.days(datetime(2026, 11, 20, 22, 0, tzinfo=UTC), 2)
    assert (str(today), str(yesterday)) == ("2026-11-21", "2026-11-20")
    assert start.astimezone(UTC) == datetime(2026, 11, 20, 21, 0, tzinfo=UTC)
    assert end - start == timedelta(days=1)
