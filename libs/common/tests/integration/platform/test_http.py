"""Outbound HTTP: whether a failed request may have been acted on, and nothing read or waited for without bound."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from sema_common.platform.http import Http, Sent, Timeouts, TransportError

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def peer(serve: Serve) -> AsyncIterator[str]:
    async def each(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve(reader, writer)
        finally:
            writer.close()

    server = await asyncio.start_server(each, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


def answering(payload: bytes) -> Serve:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(payload)
        await writer.drain()

    return serve


def response(body: bytes, status: str = "200 OK", *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


async def refused(url: str, timeouts: Timeouts | None = None) -> TransportError:
    async with Http.open(url, timeouts=timeouts or Timeouts()) as http:
        with pytest.raises(TransportError) as caught:
            await http.request("POST", "/submit", json={"a": 1})
    assert "127.0.0.1" not in caught.value.detail
    return caught.value


async def test_an_answer_is_whole_whatever_its_status() -> None:
    serve = answering(response(b'{"ok": true}', "503 Busy", "X-Trace: one"))
    async with peer(serve) as url, Http.open(url) as http:
        answer = await http.request("POST", "/submit", json={"text": "ü"})
    assert (answer.status, answer.json(), answer.headers["x-trace"], answer.truncated) == (
        503,
        {"ok": True},
        "one",
        False,
    )


async def test_what_is_sent_is_what_was_given() -> None:
    seen: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await reader.readuntil(b"\r\n\r\n") + await reader.readexactly(14))
        writer.write(response(b""))

    async with peer(serve) as url, Http.open(url, headers={"apikey": "k"}) as http:
        await http.request("POST", "/submit", form={"to": "+2547", "m": "x"}, params={"a": "b c"})
    request = seen[0].decode().lower()
    assert request.startswith(("post /submit?a=b%20c ", "post /submit?a=b+c "))
    assert "apikey: k" in request
    assert "content-type: application/x-www-form-urlencoded" in request
    assert request.endswith("to=%2b2547&m=x")


async def test_a_refused_connection_was_not_sent() -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        failure = await refused(f"http://127.0.0.1:{sock.getsockname()[1]}")
    assert failure.sent is Sent.NOT_SENT


async def test_an_unknown_name_was_not_sent() -> None:
    failure = await refused("http://no-such-host.invalid")
    assert failure.sent is Sent.NOT_SENT


async def test_a_failed_tls_handshake_was_not_sent() -> None:
    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"this is not TLS")

    async with peer(serve) as url:
        failure = await refused(url.replace("http:", "https:"))
    assert failure.sent is Sent.NOT_SENT


async def test_a_connection_reset_after_the_request_may_have_been_sent() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.transport.abort()

    async with peer(serve) as url:
        assert (await refused(url)).sent is Sent.MAYBE_SENT


async def test_silence_after_the_request_may_have_been_sent() -> None:
    async def serve(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read()

    async with peer(serve) as url:
        assert (await refused(url, timeouts=Timeouts(read=0.1))).sent is Sent.MAYBE_SENT


async def test_an_answer_that_trickles_ends_with_the_total_time() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        while not writer.is_closing():
            writer.write(b"x")
            await asyncio.sleep(0.01)

    async with asyncio.timeout(5), peer(serve) as url:
        assert (await refused(url, timeouts=Timeouts(read=1.0, total=0.2))).sent is Sent.MAYBE_SENT


async def test_a_cut_answer_is_no_answer() -> None:
    async with peer(answering(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")) as url:
        assert (await refused(url)).sent is Sent.MAYBE_SENT


async def test_a_redirect_is_an_answer_and_not_followed() -> None:
    serve = answering(response(b"", "302 Found", "Location: http://169.254.169.254/"))
    async with peer(serve) as url, Http.open(url) as http:
        assert (await http.request("GET", "/")).status == 302


async def test_a_body_is_read_only_so_far() -> None:
    async with peer(answering(response(b"x" * 5000))) as url, Http.open(url, max_body=1000) as http:
        answer = await http.request("GET", "/")
    assert (len(answer.body), answer.truncated) == (1000, True)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_a_guard_sees_the_address_that_is_dialled(host: str) -> None:
    dialled: list[str] = []

    def guard(ip: str, port: int) -> None:
        dialled.append(ip)
        raise PermissionError("not there")

    async with peer(answering(response(b""))) as url, Http.open(dial_guard=guard) as http:
        with pytest.raises(TransportError) as caught:
            await http.request("GET", url.replace("127.0.0.1", host))
    assert caught.value.sent is Sent.NOT_SENT
    assert set(dialled) <= {"127.0.0.1", "::1"}
    assert dialled


async def test_a_malformed_url_was_not_sent() -> None:
    async with Http.open() as http:
        with pytest.raises(TransportError) as caught:
            await http.request("GET", "http://exa mple/\x00")
    assert caught.value.sent is Sent.NOT_SENT
