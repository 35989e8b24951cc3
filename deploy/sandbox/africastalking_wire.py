"""Africa's Talking's requests and answers, byte by byte: no decision, no state."""

from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode
from xml.sax.saxutils import escape

from pydantic_core import to_json

from deploy.sandbox.asgi import JSON, ContentType
from deploy.sandbox.simulated import Codes, Item, Response, Taken

SENT: Final = 101
NAMES: Final = {403: "InvalidPhoneNumber", 405: "InsufficientBalance", 500: "InternalServerError"}
REPORTS: Final[Mapping[str, dict[str, str]]] = {
    "sent": {"status": "Submitted"},
    "delivered": {"status": "Success"},
    "failed": {"status": "Failed", "failureReason": "DeliveryFailure"},
    "expired": {"status": "Expired"},
}
BAD_KEY: Final = b"The supplied authentication is invalid"
SAFARICOM: Final = "63902"
AIRTEL: Final = "63903"
_OF_AIRTEL: Final = frozenset({"73", "75", "78", "10"})


def read_form(body: bytes | None) -> dict[str, str]:
    return dict(parse_qsl((body or b"").decode("utf-8", "replace")))


def read_items(form: Mapping[str, str]) -> list[Item]:
    """One per number of `to`: one text to all of them, and no client id in the format."""
    text, sender = form["message"], form.get("from")
    return [Item(None, one.strip(), text, sender) for one in form["to"].split(",")]


class Wire:
    """The answer of `messaging` in JSON, and the report."""

    codes: Codes = Codes(wrong_number=403, no_credit=405, try_again=500)
    status: int = 201
    content_type: ContentType = JSON

    def flaw(self, item: Item) -> int | None:
        digits = item.to[1:]
        right = item.to[:1] == "+" and digits.isascii() and digits.isdigit() and 9 <= len(digits) <= 15
        return None if right else 403

    def number(self, to: Any) -> str:
        return str(to)

    def accepted(self, item: Item, taken: Taken) -> Response:
        return self.with_id(self._recipient(item, SENT, "Success", "KES 0.8000"), taken.id)

    def refused(self, item: Item, code: int) -> Response:
        return self.without_id(self._recipient(item, code, NAMES[code], "0"))

    def _recipient(self, item: Item, code: int, status: str, cost: str) -> Response:
        return {"statusCode": code, "number": item.to, "status": status, "cost": cost, "messageId": ""}

    def whole(self, responses: Sequence[Response]) -> bytes:
        return to_json(_said(responses))

    def without_id(self, response: Response) -> Response:
        return response | {"messageId": "None"}

    def with_id(self, response: Response, message_id: int) -> Response:
        return response | {"messageId": _id(message_id)}

    def report(self, taken: Taken, status: str) -> bytes:
        network = AIRTEL if taken.number[4:6] in _OF_AIRTEL else SAFARICOM
        fields = {"id": _id(taken.id), "phoneNumber": taken.number, "networkCode": network} | REPORTS[status]
        return urlencode(fields).encode()


class XmlWire(Wire):
    """What those get who do not ask for JSON."""

    content_type = (b"content-type", b"application/xml")

    def whole(self, responses: Sequence[Response]) -> bytes:
        data = _said(responses)["SMSMessageData"]
        recipients = "".join(
            "<Recipient>"
            + "".join(f"<{key}>{escape(str(value))}</{key}>" for key, value in response.items())
            + "</Recipient>"
            for response in responses
        )
        return (
            f"<AfricasTalkingResponse><SMSMessageData><Message>{data['Message']}</Message>"
            f"<Recipients>{recipients}</Recipients></SMSMessageData></AfricasTalkingResponse>"
        ).encode()


def _said(responses: Sequence[Response]) -> dict[str, Any]:
    sent = sum(response["statusCode"] == SENT for response in responses)
    message = f"Sent to {sent}/{len(responses)} Total Cost: KES {0.8 * sent:.4f}"
    return {"SMSMessageData": {"Message": message, "Recipients": list(responses)}}


def _id(message_id: int) -> str:
    return f"ATXid_{message_id:032x}"
