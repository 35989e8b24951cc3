"""Celcom, simulated: `sendsms`, `sendbulk`, `getdlr`, `getbalance`, and the report it pushes.

Misspelt keys, mixed types and HTTP 200 on refusals are the real one's. The send path is plain ASGI: a bench
wants 8,000 texts a second out of a fraction of a core. Magic recipients (the table of
`sema_aggregators.test_mode`) act by themselves: neither the mode nor `dlr` moves them, only what ends a call
that they share with others does.
"""

import asyncio
import math
import random
import socket
import struct
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from pydantic_core import to_json
from starlette.types import Receive, Scope, Send

from deploy.sandbox.celcom_wire import (
    AIRTEL,
    DESCRIPTIONS,
    HTML,
    JSON,
    PAGE,
    Fields,
    Item,
    answer,
    normal,
    read_fields,
    read_items,
    refused_item,
    render,
    whole,
)
from deploy.sandbox.clock import nairobi_time
from deploy.sandbox.control import Script
from deploy.sandbox.pusher import Pusher, Train
from deploy.sandbox.witness import Witness
from sema_aggregators.test_mode import NOT_SENT_ATTEMPTS, ORDINARY, Reaction, script_of

DEFAULT_PARTNER_ID: Final = "1000"
DEFAULT_API_KEY: Final = "sandbox-api-key"

MAX_BULK: Final = 20
EARLY_SECONDS: Final = 5.0
"""How long an answer waits for reports that must come before it."""

REMEMBERED: Final = 200_000
"""Messages at least that `getdlr` still knows."""


@dataclass(slots=True)
class _Call:
    """One send call: what is answered per message, and what follows from it."""

    responses: list[dict[str, Any]] = field(default_factory=list)
    accepted: list[tuple[Any, str, str]] = field(default_factory=list)
    early: list[Train] = field(default_factory=list)
    trains: list[Train] = field(default_factory=list)
    hangs: bool = False


class Celcom:
    """One simulated account. `script` may be replaced at any moment."""

    name: Final = "celcom"

    def __init__(self, pusher: Pusher, partner_id: str, api_key: str) -> None:
        self.script = Script()
        self.witness = Witness()
        self.paths: Final[Mapping[str, Callable[[Scope, Receive, Send], Awaitable[None]]]] = {
            "/api/services/sendbulk/": self._send,
            "/api/services/sendsms/": self._send,
            "/api/services/getdlr/": self._ask,
            "/api/services/getbalance/": self._ask,
        }
        self._pusher = pusher
        self._partner_id = partner_id
        self._api_key = api_key
        # Microseconds since 1970: a restarted sandbox never gives an id twice, and JSON floats still hold it.
        self._next_id = time.time_ns() // 1000
        self._garbage = 0
        self._attempts: dict[str, int] = {}
        self._reports: dict[str, tuple[float, tuple[str, ...]]] = {}
        self._older_reports: dict[str, tuple[float, tuple[str, ...]]] = {}

    def stats(self) -> dict[str, int]:
        counters = self._pusher.counters
        return {
            "submitted": len(self.witness),
            "dlr_sent": counters.sent,
            "dlr_acked": counters.acked,
            "dlr_pending": counters.pending,
            "dlr_refused": counters.refused,
            "dlr_retries": counters.retries,
        }

    # The calls

    async def _send(self, scope: Scope, receive: Receive, send: Send) -> None:
        fields = await read_fields(scope, receive)
        script = self.script
        bulk = scope["path"] == "/api/services/sendbulk/"
        items = read_items(fields, bulk)
        refusal = 1010 if items is None else self._wrong_credentials(fields, bulk)
        if items is None or refusal is not None:
            return await answer(send, whole(refusal or 1010))
        if bulk and len(items) > MAX_BULK:
            return await answer(send, whole(1012))
        mode = "ok" if all(script_of(str(item[1])) is not ORDINARY for item in items) else script.mode
        if mode == "http_500":
            await asyncio.sleep(script.latency_ms / 1000)
            return await answer(send, PAGE, 500, HTML)
        if mode == "low_credit" and not bulk:
            return await answer(send, whole(1004))
        call = self._take(items, script, mode, bulk)
        if script.latency_ms:
            await asyncio.sleep(script.latency_ms / 1000)
        if call.early:
            await self._pusher.push_and_wait(call.early, EARLY_SECONDS)
        hangs = call.hangs or mode == "timeout_after_accept"
        if not hangs and mode == "garbage":
            body, content_type = self._nonsense(call.responses)
            await answer(send, body, content_type=content_type)
        elif not hangs and mode != "reset_after_accept":
            await answer(send, to_json({"responses": call.responses}))
        self._pusher.push(call.trains, script.dlr.delay_ms / 1000)
        if not hangs and mode == "reset_after_accept":
            _reset(send)
        if hangs or mode == "reset_after_accept":
            # The call is over when the caller is gone; a return before that would answer 500.
            while (await receive())["type"] != "http.disconnect":
                pass
        return None

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

    # Decisions

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

    def _take(self, items: Sequence[Item], script: Script, mode: str, bulk: bool) -> _Call:
        """Decide each message, write the accepted ones down, prepare answers and reports."""
        call = _Call()
        now = time.time()
        delay = script.dlr.delay_ms / 1000
        due = now + delay
        stamp = nairobi_time(int(due))
        taken = math.ceil(delay) or 1
        for client_id, mobile, message, sender in items:
            code = self._verdict(mobile, message, sender, script, mode)
            if code != 200:
                call.responses.append(refused_item(code, client_id, mobile, self._partner_id, bulk))
                continue
            number = normal(str(mobile))
            act = script_of(number)
            message_id = self._next_id
            self._next_id += 1
            response: dict[str, Any] = {
                "respose-code": 200,
                "response-description": "Success",
                "mobile": number if bulk else int(number),
                "messageid": message_id,
            }
            if bulk:
                response["clientsmsid"] = str(client_id)
            response["networkid"] = "2" if number[3:5] in AIRTEL else "1"
            call.responses.append(response)
            call.accepted.append((client_id, "+" + number, message))
            call.hangs = call.hangs or act.reaction is Reaction.TIMEOUT
            self._remember(str(message_id), due, act.reports)
            statuses: Iterable[str] = act.reports
            if act is ORDINARY:
                statuses = _travelling(act.reports, script)
            train = [render(message_id, status, stamp, taken) for status in statuses]
            if train:
                early = act.early or (act is ORDINARY and script.dlr.before_response)
                (call.early if early else call.trains).append(train)
        self.witness.accept(call.accepted, now)
        if script.dlr.shuffle:
            for trains in (call.early, call.trains):
                trains[:] = [[body] for train in trains for body in train]
                random.shuffle(trains)
        return call

    def _verdict(self, mobile: Any, message: Any, sender: Any, script: Script, mode: str) -> int:
        number = str(mobile)
        if not (number.isascii() and number.isdigit() and 9 <= len(number) <= 15):
            return 1003
        if not isinstance(sender, str) or not sender:
            return 1001
        if not isinstance(message, str) or not message:
            return 1009
        act = script_of(number)
        if act.reaction is Reaction.REFUSE:
            return 1003
        if act.reaction is Reaction.NOT_SENT_TWICE:
            seen = self._attempts.pop(number, 0)
            if seen < NOT_SENT_ATTEMPTS:
                self._attempts[number] = seen + 1
                return 1005
        if act is not ORDINARY:
            return 200
        if mode == "refuse":
            return 1003
        if mode == "low_credit":
            return 1004
        if script.error_rate and random.random() < script.error_rate:
            return 1005
        return 200

    def _remember(self, message_id: str, due: float, statuses: tuple[str, ...]) -> None:
        if len(self._reports) >= REMEMBERED:
            self._older_reports, self._reports = self._reports, {}
        self._reports[message_id] = (due, statuses)

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
        if statuses[-1] == "delivered":
            body["delivery-status"] = 32
        return to_json(
            body
            | {
                "delivery-description": DESCRIPTIONS[statuses[-1]],
                "delivery-tat": "00:00:01",
                "delivery-networkid": 1,
                "delivery-time": nairobi_time(int(due)),
            }
        )

    def _nonsense(self, responses: list[dict[str, Any]]) -> tuple[bytes, tuple[bytes, bytes]]:
        """Six answers that say nothing, in turn."""
        self._garbage += 1
        kind = self._garbage % 6
        if kind == 1:
            return PAGE, HTML
        if kind == 2:
            whole = to_json({"responses": responses})
            return whole[: len(whole) // 2], JSON
        if kind == 3:
            return b"OK", (b"content-type", b"text/plain")
        if kind == 4:
            return b"", JSON
        for response in responses:
            response.pop("messageid", None)
            if kind == 0:
                response["messageid"] = 1
        return to_json({"responses": responses}), JSON


def _travelling(statuses: tuple[str, ...], script: Script) -> list[str]:
    """What is pushed for an ordinary message: copies made, losses taken."""
    dlr = script.dlr
    if not dlr.enabled:
        return []
    if dlr.shuffle:
        statuses = ("sent", *statuses)
    travelling: list[str] = []
    for status in statuses:
        copies = int(dlr.duplicate) + (random.random() < dlr.duplicate % 1)
        travelling += [status] * (1 + copies)
    if dlr.drop_rate:
        travelling = [status for status in travelling if random.random() >= dlr.drop_rate]
    return travelling


def _reset(send: Send) -> None:
    """Cut the connection with a TCP reset. ASGI has no word for it, but uvicorn's `send` is its request's."""
    transport = send.__self__.transport  # type: ignore[attr-defined]
    transport.get_extra_info("socket").setsockopt(
        socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
    )
    transport.abort()
