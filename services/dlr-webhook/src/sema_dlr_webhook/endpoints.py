"""The public door, a raw ASGI application: with one kind of route a framework would be most of the cost.

What must never happen here: a 200 before the confirm, a refusal for what a body says, a path in a log line
or an answer (the path holds the token).
"""

import asyncio
import json
from base64 import b64encode
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any, Final

from sema_common.platform import telemetry
from sema_common.values import clock
from sema_common.values.errors import Overloaded, Refused, RetryLater
from sema_common.wire.dlr import RawDlr
from sema_dlr_webhook import metrics, rules

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Submit = Callable[[RawDlr], Awaitable[None]]

BODY_SECONDS: Final = 10.0
"""How long a body may take to arrive: whoever is slower holds a connection for nothing."""

RETRY_AFTER: Final = "5"
"""Seconds that a 503 asks the aggregator to wait; a broker's restart takes about that long."""

HANG_UP: Final = {"connection": "close"}


class Disconnected(Exception):
    """The caller went away before its body was complete: there is nobody to answer."""


class Door:
    """`/{aggregator}/{token}`, `/healthz` and `/readyz`.

    `submit(report)` returns once the broker has confirmed and raises RetryLater when it cannot;
    `check()` raises RetryLater when the room cannot do its job.
    """

    def __init__(
        self,
        tokens: Mapping[str, tuple[str, ...]],
        submit: Submit,
        check: Callable[[], Awaitable[None]],
        max_held_bytes: int,
    ) -> None:
        self._tokens = {name: tuple(token.encode() for token in each) for name, each in tokens.items()}
        self._submit = submit
        self._check = check
        self._max_held = max_held_bytes
        self._held = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path: str = scope["path"]
        try:
            if path == "/readyz":
                await self._check()
            elif path != "/healthz":
                await self._take(scope, receive)
        except Refused as refused:
            await _problem(send, refused.status, refused.code, refused.detail, refused.headers)
        except Disconnected:
            metrics.REFUSED.labels("disconnected").inc()
        except RetryLater as later:
            code = "overloaded" if isinstance(later, Overloaded) else "unavailable"
            await _problem(send, 503, code, "not taken, please send it again", {"retry-after": RETRY_AFTER})
        else:
            await _answer(send, 200, b"OK", {"content-type": "text/plain"})

    async def _take(self, scope: Scope, receive: Receive) -> None:
        """Read one report, put it on the queue, wait for the confirm."""
        aggregator, _, token = scope["path"][1:].partition("/")
        if not rules.admits(self._tokens, aggregator, token.encode()):
            raise Refused("not_found", "there is nothing here", status=404)
        if scope["method"] not in ("POST", "GET"):
            raise Refused("method_not_allowed", "POST or GET", status=405, headers={"allow": "GET, POST"})
        query: bytes = scope["query_string"]
        body = bytearray()
        try:
            with telemetry.span("dlr.receive", "server", attributes={"aggregator": aggregator}) as span:
                await self._read(receive, body, limit=rules.MAX_BODY - len(query))
                await self._submit(
                    RawDlr(
                        aggregator=aggregator,
                        content_type=_content_type(scope),
                        query=query.decode("latin-1"),
                        body=b64encode(body),
                        received_at=clock.now(),
                        traceparent=span.traceparent,
                    )
                )
        finally:
            self._held -= len(body)
        metrics.RECEIVED.labels(aggregator).inc()

    async def _read(self, receive: Receive, body: bytearray, limit: int) -> None:
        """Fill `body` with up to `limit` bytes; a stream that is too long or too slow is cut, not drained."""
        try:
            async with asyncio.timeout(BODY_SECONDS):
                more = True
                while more:
                    event = await receive()
                    if event["type"] == "http.disconnect":
                        raise Disconnected
                    chunk: bytes = event.get("body", b"")
                    if len(body) + len(chunk) > limit:
                        raise Refused(
                            "body_too_large", f"at most {rules.MAX_BODY} bytes", 413, headers=HANG_UP
                        )
                    body += chunk
                    self._held += len(chunk)
                    if self._held > self._max_held:
                        raise Overloaded("too many bytes in hand")
                    more = event.get("more_body", False)
        except TimeoutError:
            raise Refused(
                "request_timeout", "the body did not arrive in time", 408, headers=HANG_UP
            ) from None


def _content_type(scope: Scope) -> str:
    """As it was sent, shortened: it is only a hint for whoever reads the body."""
    for name, value in scope["headers"]:
        if name == b"content-type":
            text: str = value[:200].decode("latin-1")
            return text
    return ""


async def _problem(send: Send, status: int, code: str, detail: str, headers: Mapping[str, str]) -> None:
    """RFC 9457, without `instance`: that would be the path."""
    metrics.REFUSED.labels(code).inc()
    body = json.dumps(
        {
            "type": "about:blank",
            "title": code.replace("_", " "),
            "status": status,
            "detail": detail,
            "code": code,
        }
    ).encode()
    await _answer(send, status, body, {"content-type": "application/problem+json", **headers})


async def _answer(send: Send, status: int, body: bytes, headers: Mapping[str, str]) -> None:
    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    raw.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": status, "headers": raw})
    await send({"type": "http.response.body", "body": body})
