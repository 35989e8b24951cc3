"""Celcom, simulated: `sendsms`, `sendbulk`, `getdlr`, `getbalance`, and the report it pushes.

Misspelt keys, mixed types and HTTP 200 on refusals are the real one's.
"""

import time
from collections.abc import Mapping
from typing import Any, Final

from pydantic_core import to_json
from starlette.types import Receive, Scope, Send

from deploy.sandbox.asgi import answer
from deploy.sandbox.celcom_wire import DESCRIPTIONS, Fields, Wire, read_fields, read_items, whole
from deploy.sandbox.clock import nairobi_time
from deploy.sandbox.pusher import Pusher
from deploy.sandbox.simulated import App, Simulated, Taken
from sema_aggregators import Credentials

MAX_BULK: Final = 20

REMEMBERED: Final = 200_000
"""Messages at least that `getdlr` still knows."""


class Celcom(Simulated):
    """Its doors; `credentials.user` is the partner id."""

    name = "celcom"

    def __init__(self, pusher: Pusher, credentials: Credentials) -> None:
        super().__init__(pusher)
        self.paths: Mapping[str, App] = {
            "/api/services/sendbulk/": self._send,
            "/api/services/sendsms/": self._send,
            "/api/services/getdlr/": self._ask,
            "/api/services/getbalance/": self._ask,
        }
        self._partner_id = credentials.user
        self._api_key = credentials.secret
        self._wires: Final = {bulk: Wire(self._partner_id, bulk) for bulk in (False, True)}
        self._reports: dict[str, tuple[float, tuple[str, ...]]] = {}
        self._older_reports: dict[str, tuple[float, tuple[str, ...]]] = {}

    async def _send(self, scope: Scope, receive: Receive, send: Send) -> None:
        fields = await read_fields(scope, receive)
        bulk = scope["path"] == "/api/services/sendbulk/"
        items = read_items(fields, bulk)
        refusal = 1010 if items is None else self._wrong_credentials(fields, bulk)
        if items is None or refusal is not None:
            return await answer(send, whole(refusal or 1010))
        if bulk and len(items) > MAX_BULK:
            return await answer(send, whole(1012))
        if not bulk and self.mode(items) == "low_credit":
            return await answer(send, whole(1004))
        return await self.play(self._wires[bulk], items, receive, send)

    async def _ask(self, scope: Scope, receive: Receive, send: Send) -> None:
        fields = await read_fields(scope, receive)
        if fields is None:
            return await answer(send, whole(1010))
        refusal = self._wrong_credentials(fields, bulk=False)
        if refusal is not None:
            return await answer(send, whole(refusal))
        if scope["path"] == "/api/services/getbalance/":
            credit = "0.00" if self.script.mode == "low_credit" else "100000.00"
            body = {"response-code": 200, "credit": credit, "partner-id": self._partner_id}
            return await answer(send, to_json(body))
        return await answer(send, self._report(str(fields.get("messageID", ""))))

    def _wrong_credentials(self, fields: Fields | None, bulk: bool) -> int | None:
        """The real one takes those of item 1 for the whole list."""
        holder: Any = fields["smslist"][0] if bulk and fields is not None else fields
        if not isinstance(holder, dict) or not holder.get("partnerID"):
            return 4091
        if not holder.get("apikey"):
            return 4092
        if str(holder["partnerID"]) != self._partner_id or holder["apikey"] != self._api_key:
            return 1006
        return None

    def remember(self, taken: Taken, statuses: tuple[str, ...]) -> None:
        if len(self._reports) >= REMEMBERED:
            self._older_reports, self._reports = self._reports, {}
        self._reports[str(taken.id)] = (taken.due, statuses)

    def _report(self, message_id: str) -> bytes:
        found = self._reports.get(message_id) or self._older_reports.get(message_id)
        if found is None:
            return whole(4093)
        due, statuses = found
        if not statuses or time.time() < due:
            return whole(1009)
        body: dict[str, Any] = {
            "response-code": 200,
            "message-id": message_id,
            "response-description": "Success",
        }
        # What came after the end (0011's late "sent") is no news to whoever asks.
        truth = next((status for status in reversed(statuses) if status != "sent"), statuses[-1])
        if truth == "delivered":
            body["delivery-status"] = 32
        return to_json(
            body
            | {
                "delivery-description": DESCRIPTIONS[truth],
                "delivery-tat": "00:00:01",
                "delivery-networkid": 1,
                "delivery-time": nairobi_time(int(due)),
            }
        )
