"""Daraja's bytes: answers and callbacks as its portal documents them, spelling and mixed types included."""

import re
from base64 import b64encode
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, Final, NamedTuple

NAIROBI: Final = timezone(timedelta(hours=3))

MAX_AMOUNT: Final = 250_000

RESULTS: Final = {
    0: "The service request is processed successfully.",
    1: "The balance is insufficient for the transaction.",
    17: "M-PESA system internal error.",
    1019: "Transaction has expired",
    1025: "An error occurred while sending a push request",
    1032: "Request cancelled by user",
    1037: "DS timeout user cannot be reached",
    2001: "The initiator information is invalid.",
    4999: "The transaction is still under processing",
}

_MAGIC: Final = re.compile(r"999(\d{4})")
"""A number ending in 999 and four digits: the digits are the ResultCode, whatever the script says."""

ODDITIES: Final = {8001: "lost", 8002: "twice", 8003: "early", 8004: "unanswered"}
"""Magic endings that pay, and whose callback or answer goes wrong."""


class Account(NamedTuple):
    """A business at Safaricom: what its calls have to prove."""

    key: str
    secret: str
    short_code: str
    pass_key: str

    @property
    def basic(self) -> str:
        return "Basic " + b64encode(f"{self.key}:{self.secret}".encode()).decode()

    def password(self, timestamp: str) -> str:
        return b64encode(f"{self.short_code}{self.pass_key}{timestamp}".encode()).decode()


@dataclass(slots=True)
class Push:
    """One accepted STK push; `result` is None until the payer has decided."""

    merchant_id: str
    checkout_id: str
    phone: str
    amount: int
    reference: str
    callback_url: str
    code: int
    oddity: str = ""
    result: int | None = None
    receipt: str = ""
    decided: float = 0.0


class Payment(NamedTuple):
    """Money that has moved, `at` Unix seconds; `listed` is when the list has it."""

    receipt: str
    at: float
    amount: str
    reference: str
    phone: str
    listed: float


def magic(phone: str) -> int | None:
    """The four digits after 999 at the end of a number."""
    found = _MAGIC.search(phone[-7:])
    return int(found[1]) if found else None


def refusal(code: str, message: str, request_id: str) -> dict[str, str]:
    return {"requestId": request_id, "errorCode": code, "errorMessage": message}


def flaw(body: dict[str, Any], account: Account) -> tuple[int, str, str] | None:
    """What is wrong with a push: (HTTP status, errorCode, errorMessage)."""

    def invalid(name: str) -> tuple[int, str, str]:
        return 400, "400.002.02", f"Bad Request - Invalid {name}"

    amount = body.get("Amount")
    if body.get("BusinessShortCode") != account.short_code or body.get("PartyB") != account.short_code:
        return invalid("BusinessShortCode")
    if body.get("TransactionType") != "CustomerPayBillOnline":
        return invalid("TransactionType")
    if (
        isinstance(amount, bool)
        or not re.fullmatch(r"[1-9]\d*", str(amount))
        or int(str(amount)) > MAX_AMOUNT
    ):
        return invalid("Amount")
    if not re.fullmatch(r"254[17]\d{8}", str(body.get("PhoneNumber"))) or body["PhoneNumber"] != body.get(
        "PartyA"
    ):
        return invalid("PhoneNumber")
    if not str(body.get("CallBackURL")).startswith("http"):
        return invalid("CallBackURL")
    if re.search("m-?pesa|safaricom|exec?|cmd|sql|query", str(body["CallBackURL"]), re.IGNORECASE):
        return invalid("CallBackURL")
    if not re.fullmatch(r"[A-Za-z0-9]{1,12}", str(body.get("AccountReference"))):
        return invalid("AccountReference")
    if len(str(body.get("TransactionDesc", ""))) > 13:
        return invalid("TransactionDesc")
    return proof(body, account)


def proof(body: dict[str, Any], account: Account) -> tuple[int, str, str] | None:
    """Whether Password fits ShortCode, passkey and Timestamp."""
    timestamp = str(body.get("Timestamp"))
    if not re.fullmatch(r"\d{14}", timestamp):
        return 400, "400.002.02", "Bad Request - Invalid Timestamp"
    if body.get("Password") != account.password(timestamp):
        return 500, "500.001.1001", "Wrong credentials"
    return None


def accepted(push: Push) -> dict[str, str]:
    return {
        "MerchantRequestID": push.merchant_id,
        "CheckoutRequestID": push.checkout_id,
        "ResponseCode": "0",
        "ResponseDescription": "Success. Request accepted for processing",
        "CustomerMessage": "Success. Request accepted for processing",
    }


def status(push: Push, code: int) -> dict[str, str]:
    """The answer of the status query: codes are text, and neither amount nor receipt is in it."""
    return {
        "ResponseCode": "0",
        "ResponseDescription": "The service request has been accepted successsfully",
        "MerchantRequestID": push.merchant_id,
        "CheckoutRequestID": push.checkout_id,
        "ResultCode": str(code),
        "ResultDesc": RESULTS.get(code, "The transaction failed."),
    }


def callback(push: Push, amount: int) -> dict[str, Any]:
    """What goes to CallBackURL: codes are numbers here, and items come in no promised order."""
    code = push.result or 0
    told: dict[str, Any] = {
        "MerchantRequestID": push.merchant_id,
        "CheckoutRequestID": push.checkout_id,
        "ResultCode": code,
        "ResultDesc": RESULTS.get(code, "The transaction failed."),
    }
    if code == 0:
        told["CallbackMetadata"] = {
            "Item": [
                {"Name": "Amount", "Value": float(amount)},
                {"Name": "MpesaReceiptNumber", "Value": push.receipt},
                {"Name": "Balance"},
                {"Name": "TransactionDate", "Value": int(local(push.decided, "%Y%m%d%H%M%S"))},
                {"Name": "PhoneNumber", "Value": int(push.phone)},
            ]
        }
    return {"Body": {"stkCallback": told}}


def confirmation(payment: Payment, short_code: str, amount: str | None = None) -> dict[str, str]:
    """The flat payload of validation and confirmation: all text, and nobody's whole number."""
    return {
        "TransactionType": "Pay Bill",
        "TransID": payment.receipt,
        "TransTime": local(payment.at, "%Y%m%d%H%M%S"),
        "TransAmount": amount or payment.amount,
        "BusinessShortCode": short_code,
        "BillRefNumber": payment.reference,
        "InvoiceNumber": "",
        "OrgAccountBalance": "",
        "ThirdPartyTransID": "",
        "MSISDN": f"{payment.phone[:4]} ***** {payment.phone[-3:]}",
        "FirstName": "JANE",
        "MiddleName": "",
        "LastName": "",
    }


def listed(payment: Payment) -> dict[str, Any]:
    """A row of the list: lower-case names, unlike everything else of Daraja."""
    return {
        "transactionId": payment.receipt,
        "trxDate": local(payment.at, "%Y-%m-%d %H:%M:%S"),
        "msisdn": f"{payment.phone[:4]} ***** {payment.phone[-3:]}",
        "sender": "MPESA",
        "transactiontype": "c2b-pay-bill-debit",
        "billreference": payment.reference,
        "amount": payment.amount,
        "organizationname": "Sema Link",
    }


def local(at: float, form: str) -> str:
    """Unix seconds as Daraja writes times: in Nairobi, without saying so."""
    return datetime.fromtimestamp(at, NAIROBI).strftime(form)


def moment(text: str) -> float | None:
    """The same back, out of a query for the list; None: malformed."""
    try:
        return (
            datetime.strptime(text, "%Y-%m-%d %H:%M:%S").replace(tzinfo=NAIROBI).astimezone(UTC).timestamp()
        )
    except ValueError:
        return None
