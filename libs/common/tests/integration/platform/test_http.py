"""Outbound HTTP: whether a failed request may have been acted on, and nothing read or waited for without bound."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from sema_common.platform.http import Failure, Http, Sent, Timeouts, TransportError

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
        seen.append(await reader.readuntil(b"\r\n\r\n") + await reader.readexactly(4))
        writer.write(response(b""))

    async with peer(serve) as url, Http.open(url, headers={"apikey": "k"}) as http:
        await http.request("POST", "/submit", content=b"k=v1", headers={"X-Own": "1"})
    request = seen[0].decode().lower()
    assert request.startswith("post /submit ")
    assert "apikey: k" in request
    assert "x-own: 1" in request
    assert request.endswith("k=v1")


async def test_a_refused_connection_was_not_sent() -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        failure = await refused(f"http://127.0.0.1:{sock.getsockname()[1]}")
    assert (failure.failure, failure.sent) == (Failure.CONNECT, Sent.NOT_SENT)


async def test_an_unknown_name_was_not_sent() -> None:
    failure = await refused("http://no-such-host.invalid")
    assert (failure.failure, failure.sent) == (Failure.DNS, Sent.NOT_SENT)


async def test_a_failed_tls_handshake_was_not_sent() -> None:
    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"this is not TLS")

    async with peer(serve) as url:
        failure = await refused(url.replace("http:", "https:"))
    assert (failure.failure, failure.sent) == (Failure.TLS, Sent.NOT_SENT)


async def test_no_free_slot_in_time_was_not_sent() -> None:
    asked, hang = asyncio.Event(), asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        asked.set()
        await hang.wait()
        writer.write(response(b""))

    async with peer(serve) as url, Http.open(url, timeouts=Timeouts(connect=0.1), max_connections=1) as http:
        first = asyncio.create_task(http.request("GET", "/"))
        await asked.wait()
        with pytest.raises(TransportError) as caught:
            await http.request("GET", "/")
        hang.set()
        await first
    assert (caught.value.failure, caught.value.sent) == (Failure.CONNECT, Sent.NOT_SENT)


async def test_what_is_not_http_may_have_been_sent() -> None:
    async with peer(answering(b"SSH-2.0-OpenSSH_9.6\r\n\r\n")) as url:
        failure = await refused(url)
    assert (failure.failure, failure.sent) == (Failure.PROTOCOL, Sent.MAYBE_SENT)


async def test_a_connection_reset_after_the_request_may_have_been_sent() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.transport.abort()

    async with peer(serve) as url:
        failure = await refused(url)
    assert (failure.failure, failure.sent) == (Failure.RESET, Sent.MAYBE_SENT)


async def test_silence_after_the_request_may_have_been_sent() -> None:
    async def serve(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read()

    async with peer(serve) as url:
        failure = await refused(url, timeouts=Timeouts(read=0.1))
    assert (failure.failure, failure.sent) == (Failure.TIMEOUT, Sent.MAYBE_SENT)


async def test_an_answer_that_trickles_ends_with_the_total_time() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        while not writer.is_closing():
            writer.write(b"x")
            await asyncio.sleep(0.01)

    async with asyncio.timeout(5), peer(serve) as url:
        assert (await refused(url, timeouts=Timeouts(read=1.0, total=0.2))).failure is Failure.TIMEOUT


async def test_a_cut_answer_is_no_answer() -> None:
    async with peer(answering(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")) as url:
        assert (await refused(url)).failure is Failure.RESET


async def test_a_redirect_is_an_answer_and_not_followed() -> None:
    serve = answering(response(b"", "302 Found", "Location: http://169.254.169.254/"))
    async with peer(serve) as url, Http.open(url) as http:
        assert (await http.request("GET", "/")).status == 302


async def test_a_body_is_read_only_so_far() -> None:
    async with peer(answering(response(b"x" * 5000))) as url, Http.open(url, max_body=1000) as http:
        answer = await http.request("GET", "/")
    assert (len(answer.body), answer.truncated) == (1000, True)


async def test_a_malformed_url_was_not_sent() -> None:
    async with Http.open() as http:
        with pytest.raises(TransportError) as caught:
            await http.request("GET", "http://exa mple/\x00")
    assert caught.value.sent is Sent.NOT_SENT
