"""The mailbox: an SMTP server that takes every mail, and a page that shows what came.

`GET /_mail?to=ann@example.com&since=0` answers `{"data": [{"seq", "to", "from", "subject", "text", "at"}]}`, oldest
first. A mail to `refused@…` is refused for good (550), one to `later@…` for now (451).
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from email import message_from_bytes, policy
from typing import Any, Final

from aiosmtpd.smtp import SMTP, Envelope
from aiosmtpd.smtp import Session as SmtpSession
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

KEPT: Final = 10_000
REFUSED: Final = {"refused": "550 no such mailbox", "later": "451 try again later"}


class Mailbox:
    """While it is open it takes mail on this port of the loopback (None: none); `routes` show what came."""

    def __init__(self, port: int | None) -> None:
        self._port = port
        self._mails: deque[dict[str, Any]] = deque(maxlen=KEPT)
        self._count = 0
        self.routes = [Route("/_mail", self._show, methods=["GET"])]

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        if self._port is None:
            yield
            return
        loop = asyncio.get_running_loop()
        async with await loop.create_server(self._connection, "127.0.0.1", self._port):
            yield

    def _connection(self) -> SMTP:
        return SMTP(self, hostname="sandbox", ident="sandbox")

    async def handle_RCPT(
        self, _: SMTP, __: SmtpSession, envelope: Envelope, address: str, ___: list[str]
    ) -> str:
        if (refusal := REFUSED.get(address.partition("@")[0])) is not None:
            return refusal
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _: SMTP, __: SmtpSession, envelope: Envelope) -> str:
        raw = envelope.content or b""
        message = message_from_bytes(raw if isinstance(raw, bytes) else raw.encode(), policy=policy.default)
        text = message.get_body(("plain",))
        for to in envelope.rcpt_tos:
            self._count += 1
            self._mails.append(
                {
                    "seq": self._count,
                    "to": to,
                    "from": str(message["From"]),
                    "subject": str(message["Subject"]),
                    "text": text.get_content() if text is not None else "",
                    "at": datetime.now(UTC).isoformat(timespec="milliseconds"),
                }
            )
        return "250 taken"

    @property
    def received(self) -> list[dict[str, Any]]:
        return list(self._mails)

    async def _show(self, request: Request) -> Response:
        to = request.query_params.get("to")
        since = int(request.query_params.get("since", "0"))
        found = [mail for mail in self._mails if mail["seq"] > since and to in (None, mail["to"])]
        return JSONResponse({"data": found})
