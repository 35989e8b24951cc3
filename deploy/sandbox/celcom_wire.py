"""Celcom's requests and answers, byte by byte: no decision, no state."""

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import parse_qsl

from pydantic_core import from_json, to_json
from starlette.types import Receive, Scope, Send

MAX_BODY: Final = 1 << 20
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
JSON: Final = (b"content-type", b"application/json")
HTML: Final = (b"content-type", b"text/html")
PAGE: Final = b"<html><head><title>502 Bad Gateway</title></head><body><h1>nginx</h1></body></html>"
AIRTEL: Final = frozenset({"73", "75", "78", "10"})

Fields = Mapping[str, Any]
Item = tuple[int | str | None, Any, Any, Any]
"""Client id, mobile, text, sender: as they came."""


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
        return [(None, one.strip(), message, sender) for one in str(mobile or "").split(",")]
    listed = fields.get("smslist")
    if not isinstance(listed, list) or not listed or fields.get("count") != len(listed):
        return None
    if not all(isinstance(item, dict) for item in listed):
        return None
    return [
        (item.get("clientsmsid"), item.get("mobile"), item.get("message"), item.get("shortcode"))
        for item in listed
    ]


def normal(number: str) -> str:
    """The form in which successes come back: 254…"""
    return "254" + number[1:] if number[0] == "0" else number


def refused_item(code: int, client_id: Any, mobile: Any, partner_id: str, bulk: bool) -> dict[str, Any]:
    """No id and no network; the number just as it came."""
    response = {"respose-code": code, "response-description": ANSWERS[code], "mobile": mobile}
    if bulk:
        response |= {"partnerID": partner_id, "shortcode": None, "clientsmsid": str(client_id)}
    return response


def whole(code: int) -> bytes:
    return to_json({"response-code": code, "response-description": ANSWERS[code]})


async def read_fields(scope: Scope, receive: Receive) -> Fields | None:
    """A JSON object out of the body, or the query string of a GET; None for anything else."""
    if scope["method"] == "GET":
        return dict(parse_qsl(scope["query_string"].decode("latin-1")))
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        chunk = message.get("body", b"")
        size += len(chunk)
        if size <= MAX_BODY:
            chunks.append(chunk)
        if not message.get("more_body", False):
            break
    if size > MAX_BODY:
        return None
    try:
        fields = from_json(b"".join(chunks), cache_strings="keys")
    except ValueError:
        return None
    return fields if isinstance(fields, dict) else None


async def answer(
    send: Send, body: bytes, status: int = 200, content_type: tuple[bytes, bytes] = JSON
) -> None:
    headers = [content_type, (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
