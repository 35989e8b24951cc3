"""Plain ASGI for the send paths: a bench wants 8,000 texts a second out of a fraction of a core."""

import socket
import struct
from typing import Final

from starlette.types import Receive, Scope, Send

MAX_BODY: Final = 1 << 20

ContentType = tuple[bytes, bytes]
JSON: Final[ContentType] = (b"content-type", b"application/json")
HTML: Final[ContentType] = (b"content-type", b"text/html")
TEXT: Final[ContentType] = (b"content-type", b"text/plain")


async def read_body(receive: Receive) -> bytes | None:
    """The whole body; None when it is longer than MAX_BODY."""
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        chunk = message.get("body", b"")
        size += len(chunk)
        if size <= MAX_BODY:
            chunks.append(chunk)
        if not message.get("more_body", False):
            return b"".join(chunks) if size <= MAX_BODY else None


def header(scope: Scope, name: bytes) -> str:
    """The header of that lower-case name, or nothing."""
    return next((value.decode("latin-1") for key, value in scope["headers"] if key == name), "")


async def answer(send: Send, body: bytes, status: int = 200, content_type: ContentType = JSON) -> None:
    headers = [content_type, (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def until_gone(receive: Receive) -> None:
    """Until the caller has hung up."""
    while (await receive())["type"] != "http.disconnect":
        pass


def reset(send: Send) -> None:
    """Cut the connection with a TCP reset. ASGI has no word for it, but uvicorn's `send` is its request's."""
    transport = send.__self__.transport  # type: ignore[attr-defined]
    transport.get_extra_info("socket").setsockopt(
        socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
    )
    transport.abort()
