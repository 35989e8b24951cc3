"""One request as handlers see it: starlette's, with a body that is bounded in size and in time."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Final
from uuid import UUID

from starlette.requests import ClientDisconnect
from starlette.requests import Request as StarletteRequest
from starlette.types import Receive, Scope, Send

from sema_common.platform.server import BODY_COMPLETE
from sema_common.values.errors import Refused
from sema_main_api.http.problems import not_found

BODY_SECONDS: Final = 30.0
"""A client that has not sent its whole body by then is not going to."""


class Request(StarletteRequest):
    """`request_id` is the id that the answer bears; `noted` holds what the handler adds to the one log line."""

    def __init__(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
        headers: dict[bytes, bytes],
        request_id: str,
        cap: int,
    ) -> None:
        super().__init__(scope, receive, send)
        self.request_id = request_id
        self.noted: dict[str, Any] = {}
        self._by_name = headers
        self.cap = cap

    def header(self, name: bytes) -> bytes | None:
        """A header by its lower-case name."""
        return self._by_name.get(name)

    def path_id(self, name: str = "id") -> UUID:
        """An id out of the path; what is no UUID names nothing: 404."""
        try:
            return UUID(self.path_params[name])
        except ValueError:
            raise not_found() from None

    def path_number(self, name: str = "id") -> int:
        """A row's number out of the path; what no bigint holds names nothing: 404."""
        text: str = self.path_params[name]
        if not (text.isascii() and text.isdigit() and len(text) <= 18):
            raise not_found()
        return int(text)

    @property
    def body_was_read(self) -> bool:
        return hasattr(self, "_body")

    def address(self, trusted_proxies: int) -> str:
        """Who is at the other end: what the outermost of our own proxies saw, or the connection without any."""
        seen = ",".join(self.headers.getlist("x-forwarded-for")).split(",") if trusted_proxies else []
        if trusted_proxies and len(seen) >= trusted_proxies and (address := seen[-trusted_proxies].strip()):
            return address[:64]
        return self.client.host if self.client else ""

    async def body(self) -> bytes:
        """The whole body. Refused(413) as soon as it is longer than this operation takes, 408 when it never ends."""
        if not hasattr(self, "_body"):
            try:
                if BODY_COMPLETE in self.scope:  # nearly always, and a timeout costs more than the reading
                    self._body = await self._read()
                else:
                    async with asyncio.timeout(BODY_SECONDS):
                        self._body = await self._read()
            except TimeoutError:
                raise Refused("request_timeout", "The body did not arrive in time.", 408) from None
        return self._body

    async def pieces(self) -> AsyncIterator[bytes]:
        """The body as it comes, for what is too large to be held; bounded like `body`, each piece in time."""
        size = 0
        more = True
        while more:
            try:
                async with asyncio.timeout(BODY_SECONDS):
                    message = await self._receive()
            except TimeoutError:
                raise Refused("request_timeout", "The body did not arrive in time.", 408) from None
            if message["type"] == "http.disconnect":
                raise ClientDisconnect
            piece: bytes = message.get("body", b"")
            more = message.get("more_body", False)
            size += len(piece)
            if size > self.cap:
                raise too_large(self.cap)
            if not more:
                self._body = b""  # nothing is left to be swallowed before a refusal
            if piece:
                yield piece

    async def _read(self) -> bytes:
        chunks: list[bytes] = []
        size = 0
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise ClientDisconnect
            chunk: bytes = message.get("body", b"")
            size += len(chunk)
            if size > self.cap:
                raise too_large(self.cap)
            chunks.append(chunk)
            if not message.get("more_body", False):
                return b"".join(chunks) if len(chunks) > 1 else chunk


def too_large(cap: int) -> Refused:
    """413 for a body beyond `cap` bytes."""
    return Refused("body_too_large", f"The body is larger than {cap} bytes.", 413)
