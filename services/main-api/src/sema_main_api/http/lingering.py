"""How a refusal reaches a client that is still sending: answer first, then listen for a moment, then hang up.

To close with unread data in the socket is a TCP reset, and a reset takes the answer with it: the client would see a
broken connection in place of its 413.
"""

import asyncio
import contextlib
from typing import Final

from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

LINGER_SECONDS: Final = 2.0
LINGER_BYTES: Final = 32 << 20
"""What is read and thrown away at most; a stream without end is cut there."""


async def send_and_linger(response: Response, scope: Scope, receive: Receive, send: Send) -> None:
    """Send the whole answer, swallow what still comes, within bounds, and only then end the exchange."""

    async def hold_open(message: Message) -> None:
        if message["type"] == "http.response.body":
            message = {**message, "more_body": True}
        await send(message)

    await response(scope, receive, hold_open)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(LINGER_SECONDS):
            await _swallow(receive)
    await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _swallow(receive: Receive) -> None:
    taken = 0
    while taken < LINGER_BYTES:
        message = await receive()
        taken += len(message.get("body", b""))
        if not message.get("more_body", False):
            return
