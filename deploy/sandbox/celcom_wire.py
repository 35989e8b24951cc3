"""Celcom's requests and answers, byte by byte: no decision, no state."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import parse_qsl

from pydantic_core import from_json, to_json
from starlette.types import Receive, Scope

from deploy.sandbox.asgi import JSON, ContentType, read_body
from deploy.sandbox.clock import nairobi_time
from deploy.sandbox.simulated import Codes, Item, Response, Taken

ANSWERS: Final = {
    1001: "Invalid sender id",
    1003: "Invalid mobile number",
    1004: "Low bulk credits",
    1005: "System error",
    1006: "Invalid credentials",
    1008: "No dlr",
    1009: "No dlr",
    1010: "Unsupported request type",
    1012: "Too many in list",
    4091: "No partner ID is set",
    4092: "No API key is set",
    4093: "Details not found",
}
DESCRIPTIONS: Final = {
    "sent": "SentToNetwork",
    "delivered": "DeliveredToTerminal",
    "failed": "DeliveryImpossible",
    "expired": "Expired",
}
AIRTEL: Final = frozenset({"73", "75", "78", "10"})

Fields = Mapping[str, Any]


def render(message_id: int, status: str, stamp: str, seconds: int) -> bytes:
    return (
        f'{{"description":"{DESCRIPTIONS[status]}","messageid":"{message_id}",'
        f'"timeTaken":"{seconds}s","timestamp":"{stamp}"}}'
    ).encode()


def read_items(fields: Fields | None, bulk: bool) -> list[Item] | None:
    """The messages of a call, or None when it is not shaped like one."""
    if fields is None:
        return None
    if not bulk:
        mobile, message, sender = fields.get("mobile"), fields.get("message"), fields.get("shortcode")
        return [Item(None, one.strip(), message, sender) for one in str(mobile or "").split(",")]
    listed = fields.get("smslist")
    if not isinstance(listed, list) or not listed or fields.get("count") != len(listed):
        return None
    if not all(isinstance(item, dict) for item in listed):
        return None
    return [
        Item(item.get("clientsmsid"), item.get("mobile"), item.get("message"), item.get("shortcode"))
        for item in listed
    ]


def normal(number: str) -> str:
    """The form in which successes come back: 254…"""
    return "254" + number[1:] if number[0] == "0" else number


class Wire:
    """The answers of `sendbulk`, or of `sendsms`, and the report."""

    codes: Codes = Codes(wrong_number=1003, no_credit=1004, try_again=1005)
    status: int = 200
    content_type: ContentType = JSON

    def __init__(self, partner_id: str, bulk: bool) -> None:
        self._partner_id = partner_id
        self._bulk = bulk

    def flaw(self, item: Item) -> int | None:
        number = str(item.to)
        if not (number.isascii() and number.isdigit() and 9 <= len(number) <= 15):
            return 1003
        if not isinstance(item.sender, str) or not item.sender:
            return 1001
        if not isinstance(item.text, str) or not item.text:
            return 1009
        return None

    def number(self, to: Any) -> str:
        return "+" + normal(str(to))

    def accepted(self, item: Item, taken: Taken) -> Response:
        digits = taken.number[1:]
        response: Response = {
            "respose-code": 200,
            "response-description": "Success",
            "mobile": digits if self._bulk else int(digits),
            "messageid": taken.id,
        }
        if self._bulk:
            response["clientsmsid"] = str(item.client_id)
        response["networkid"] = "2" if digits[3:5] in AIRTEL else "1"
        return response

    def refused(self, item: Item, code: int) -> Response:
        """No id and no network; the number just as it came."""
        response = {"respose-code": code, "response-description": ANSWERS[code], "mobile": item.to}
        if self._bulk:
            response |= {
                "partnerID": self._partner_id,
                "shortcode": None,
                "clientsmsid": str(item.client_id),
            }
        return response

    def whole(self, responses: Sequence[Response]) -> bytes:
        return to_json({"responses": responses})

    def without_id(self, response: Response) -> Response:
        return {key: value for key, value in response.items() if key != "messageid"}

    def with_id(self, response: Response, message_id: int) -> Response:
        return response | {"messageid": message_id}

    def report(self, taken: Taken, status: str) -> bytes:
        return render(taken.id, status, nairobi_time(int(taken.due)), math.ceil(taken.delay) or 1)


def whole(code: int) -> bytes:
    return to_json({"response-code": code, "response-description": ANSWERS[code]})


async def read_fields(scope: Scope, receive: Receive) -> Fields | None:
    """A JSON object out of the body, or the query string of a GET; None for anything else."""
    if scope["method"] == "GET":
        return dict(parse_qsl(scope["query_string"].decode("latin-1")))
    body = await read_body(receive)
    try:
        fields = from_json(body or b"", cache_strings="keys")
    except ValueError:
        return None
    return fields if isinstance(fields, dict) else None
