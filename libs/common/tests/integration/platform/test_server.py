"""The HTTP server over a real socket: what a head may be."""

import asyncio

import pytest
from starlette.types import Receive, Scope, Send

from sema_common.platform.server import MAX_HEAD, serving


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


async def exchange(request: bytes) -> bytes:
    """The first line of the answer."""
    async with serving(app, "127.0.0.1", 0, 1.0) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            writer.write(request)
            async with asyncio.timeout(10):
                return await reader.readline()
        finally:
            writer.close()


@pytest.mark.parametrize(
    "head",
    [
        b"GET /" + b"a" * (8 * MAX_HEAD),
        b"GET / HTTP/1.1\r\n" + b"x-filler: " + b"a" * (8 * MAX_HEAD),
        b"GET / HTTP/1.1\r\n" + b"x: y\r\n" * MAX_HEAD,
    ],
    ids=["request line", "one header", "many headers"],
)
async def test_a_head_that_never_ends_is_cut(head: bytes) -> None:
    assert b" 431 " in await exchange(head)


async def test_a_large_body_behind_a_small_head_is_no_matter() -> None:
    body = b"a" * (4 * MAX_HEAD)
    request = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % len(body)
    assert b" 200 " in await exchange(request + body)
