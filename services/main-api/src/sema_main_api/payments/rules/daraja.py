"""Daraja's wire format, both ways, as its portal documents it (STK push, STK query, C2B, Pull Transactions).

A result code is a number in callbacks and text in queries, and its description is no contract: only codes count.
"""

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal, InvalidOperation
from typing import Any, Final, Literal

from pydantic_core import from_json

from sema_common.billing.payments.receipts import Listed

NAIROBI: Final = timezone(timedelta(hours=3))
"""Daraja's times are local and name no zone; Kenya knows no summer time."""

RECEIPT: Final = re.compile(r"[A-Z0-9]{6,20}")
MAX_TEXT: Final = 100

PROCESSING: Final = "500.001.1001"
"""Of many meanings, by text: of the status query, that the payer has not decided."""

BUSY: Final = frozenset({"500.003.02", "500.003.03"})
"""System busy, spike arrest, quota: it was not looked at."""

EXPIRED_TOKEN: Final = frozenset({"404.001.03", "400.003.01", "401.003.01"})


@dataclass(frozen=True, slots=True)
class Business:
    """Whom the money goes to: a pay-bill number and what its calls are signed with."""

    short_code: str
    pass_key: str = field(repr=False)

    def signed(self, at: datetime) -> dict[str, str]:
        """The three members that every STK call begins with."""
        timestamp = at.astimezone(NAIROBI).strftime("%Y%m%d%H%M%S")
        password = base64.b64encode(f"{self.short_code}{self.pass_key}{timestamp}".encode()).decode()
        return {"BusinessShortCode": self.short_code, "Password": password, "Timestamp": timestamp}

    def push(
        self, at: datetime, amount: Decimal, msisdn: str, account_reference: str, callback_url: str
    ) -> dict[str, Any]:
        """The body of an STK push of whole shillings."""
        phone = msisdn.removeprefix("+")
        return {
            **self.signed(at),
            "TransactionType": "CustomerPayBillOnline",
            "Amount": int(amount),
            "PartyA": phone,
            "PartyB": self.short_code,
            "PhoneNumber": phone,
            "CallBackURL": callback_url,
            "AccountReference": account_reference,
            "TransactionDesc": "SMS credit",
        }

    def query(self, at: datetime, checkout_request_id: str) -> dict[str, Any]:
        """The body of the status query."""
        return {**self.signed(at), "CheckoutRequestID": checkout_request_id}

    def span(self, since: datetime, until: datetime, offset: int) -> dict[str, str]:
        """The body of a query for the list, from row `offset` on."""
        return {
            "ShortCode": self.short_code,
            "StartDate": since.astimezone(NAIROBI).strftime("%Y-%m-%d %H:%M:%S"),
            "EndDate": until.astimezone(NAIROBI).strftime("%Y-%m-%d %H:%M:%S"),
            "OffSetValue": str(offset),
        }


@dataclass(frozen=True, slots=True)
class Pushed:
    """What became of an STK push: `in_doubt` it may have lit the phone up, `not_now` and `refused` it did not."""

    outcome: Literal["accepted", "refused", "not_now", "in_doubt"]
    reason: str = ""
    merchant_request_id: str = ""
    checkout_request_id: str = ""


def read_push(status: int, body: bytes) -> Pushed:
    """The answer to an STK push."""
    answer = _object(body)
    checkout = str(answer.get("CheckoutRequestID") or "")
    if status == 200 and str(answer.get("ResponseCode")) == "0" and checkout:
        merchant = str(answer.get("MerchantRequestID") or "")
        return Pushed("accepted", "", merchant[:MAX_TEXT], checkout[:MAX_TEXT])
    code, text = str(answer.get("errorCode") or ""), str(answer.get("errorMessage") or "").lower()
    if code in BUSY or status == 429:
        return Pushed("not_now", "provider_busy")
    if code == PROCESSING:
        if "lock" in text or "in process" in text:
            return Pushed("refused", "phone_busy")
        return Pushed("refused", "provider_refused")  # wrong credentials, no such merchant: ours to mend
    if 400 <= status < 500 and code:
        return Pushed("refused", "phone_refused" if "phone" in text else "provider_refused")
    return Pushed("in_doubt")


@dataclass(frozen=True, slots=True)
class Result:
    """What the status query says; `code` is the provider's."""

    verdict: Literal["paid", "not_paid", "pending", "unknown"]
    code: str = ""
    reason: str = ""


# Reasons as customers see them. A code that is not here decides nothing: it is asked about again.
_NOT_PAID: Final[Mapping[str, str]] = {
    "1": "insufficient_funds",
    "2": "below_minimum",
    "3": "above_maximum",
    "4": "daily_limit",
    "8": "account_limit",
    "17": "repeated_too_soon",
    "26": "provider_busy",
    "1001": "phone_busy",
    "1019": "prompt_expired",
    "1025": "prompt_not_sent",
    "1032": "cancelled",
    "1037": "no_answer",
    "2001": "wrong_pin",
    "2028": "provider_refused",
    "8006": "pin_locked",
    "9999": "prompt_not_sent",
    "SFC_IC0003": "provider_refused",
}


def read_query(status: int, body: bytes) -> Result:
    """The answer of the status query: only a plain 0 means paid, and only a code that we know means not."""
    answer = _object(body)
    if status == 200 and str(answer.get("ResponseCode")) == "0" and "ResultCode" in answer:
        code = str(answer["ResultCode"]).strip()
        if code == "0":
            return Result("paid", code)
        if code == "4999":
            return Result("pending", code)
        if code in _NOT_PAID:
            return Result("not_paid", code, _NOT_PAID[code])
        return Result("unknown", code[:MAX_TEXT])
    code = str(answer.get("errorCode") or f"http_{status}")[:MAX_TEXT]
    pending = code == PROCESSING and "process" in str(answer.get("errorMessage") or "").lower()
    return Result("pending" if pending else "unknown", code)


@dataclass(frozen=True, slots=True)
class Callback:
    """What the callback of a push says. `amount` and `receipt` come with a payment only."""

    checkout_request_id: str
    code: str
    amount: Decimal | None
    receipt: str | None


def read_callback(body: bytes) -> Callback | None:
    """A push's callback; None for what cannot be read as one. Its items are found by name, in any order."""
    outer = _object(body).get("Body")
    told = outer.get("stkCallback") if isinstance(outer, dict) else None
    if (
        not isinstance(told, dict)
        or not isinstance(told.get("CheckoutRequestID"), str)
        or "ResultCode" not in told
    ):
        return None
    metadata = told.get("CallbackMetadata")
    items = metadata.get("Item") if isinstance(metadata, dict) else None
    named = (
        {i.get("Name"): i.get("Value") for i in items if isinstance(i, dict)}
        if isinstance(items, list)
        else {}
    )
    receipt = str(named.get("MpesaReceiptNumber") or "").strip().upper()
    return Callback(
        told["CheckoutRequestID"][:MAX_TEXT],
        str(told["ResultCode"])[:MAX_TEXT],
        _amount(named.get("Amount")),
        receipt if RECEIPT.fullmatch(receipt) else None,
    )


@dataclass(frozen=True, slots=True)
class Confirmation:
    """What validation and confirmation say; `receipt` is empty before the payment."""

    receipt: str
    amount: Decimal | None
    bill_reference: str
    short_code: str


def read_confirmation(body: bytes) -> Confirmation | None:
    """The flat payload of a pay-bill payment; None for what cannot be read as one."""
    told = _object(body)
    if "BillRefNumber" not in told or "TransAmount" not in told:
        return None
    receipt = str(told.get("TransID") or "").strip().upper()
    return Confirmation(
        receipt if RECEIPT.fullmatch(receipt) else "",
        _amount(told["TransAmount"]),
        str(told["BillRefNumber"] or "")[:MAX_TEXT],
        str(told.get("BusinessShortCode") or ""),
    )


def read_list(status: int, body: bytes) -> list[Listed] | None:
    """A page of the list, each receipt once; None: not to be had. Rows that move no money to us are left out."""
    answer = _object(body)
    code = str(answer.get("ResponseCode") or "")
    if status != 200 or code not in ("1000", "1001"):
        return None
    nested = answer.get("Response")
    rows = (
        [row for page in nested if isinstance(page, list) for row in page] if isinstance(nested, list) else []
    )
    found = {}
    for row in rows:
        if isinstance(row, dict) and (listed := _listed(row)) is not None:
            found[listed.receipt] = listed
    return list(found.values())


def count_rows(body: bytes) -> int:
    """Rows of a page, readable or not: the next page begins that much further."""
    nested = _object(body).get("Response")
    return sum(len(page) for page in nested if isinstance(page, list)) if isinstance(nested, list) else 0


def _listed(row: Mapping[str, Any]) -> Listed | None:
    receipt = str(row.get("transactionId") or "").strip().upper()
    amount, at = _amount(row.get("amount")), _moment(str(row.get("trxDate") or ""))
    kind = str(row.get("transactiontype") or "").lower()
    if not RECEIPT.fullmatch(receipt) or amount is None or at is None or not kind.startswith("c2b"):
        return None
    payer = str(row.get("msisdn") or "")
    return Listed(receipt, amount, str(row.get("billreference") or "")[:MAX_TEXT], _masked(payer), at)


def _masked(payer: str) -> str:
    """The list's newer versions mask the payer themselves; of the older ones we keep no more than they would."""
    digits = re.sub(r"\D", "", payer)
    return payer[:20] if "*" in payer else f"{digits[:4]} ***** {digits[-3:]}" if len(digits) > 7 else ""


def _moment(text: str) -> datetime | None:
    """`2026-11-20 12:30:00`, or as ISO with or without a zone: without one it is Nairobi's."""
    try:
        found = datetime.fromisoformat(text.strip())
    except ValueError:
        return None
    return (found if found.tzinfo else found.replace(tzinfo=NAIROBI)).astimezone(UTC)


def _amount(value: Any) -> Decimal | None:
    """A positive amount out of a number or text; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        amount = Decimal(str(value).strip())
    except InvalidOperation:
        return None
    return amount if amount.is_finite() and 0 < amount < 10**9 else None


def _object(body: bytes) -> dict[str, Any]:
    try:
        found = from_json(body)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
