"""The customers' endpoints: one request, bounded in every direction, to an address that was checked.

This room uses aiohttp itself, since httpx cannot say which address it connects to. A name is resolved in
threads of our own, every answer is checked, and each socket is checked once more at the moment it is made: there
is no gap in which a name could be pointed elsewhere. TLS and the Host header keep the customer's name.

What must never happen here: a redirect followed, a cookie kept, a proxy used, a body decompressed, an answer
read beyond its bound, a decision about retrying.
"""

import asyncio
import socket
import ssl
import time
from collections.abc import AsyncIterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from ipaddress import ip_address
from types import SimpleNamespace
from typing import Any, Final, Self

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from sema_common.values.public_url import UnsafeUrl, check_public_url, is_public_address
from sema_webhook_delivery.rules import CONNECT_SECONDS, TOTAL_SECONDS

RESOLVE_SECONDS: Final = 2.0
RESOLVER_THREADS: Final = 32
"""libc's resolver blocks, at its worst for longer than we wait for it; a name's answer is shared and cached, so
32 stuck look-ups are 32 different dead names."""

DNS_CACHE_SECONDS: Final = 10
STALE_SECONDS: Final = 1.0
"""A kept connection that was already dead says so within a moment; what ends later was a real attempt."""

KEEPALIVE_SECONDS: Final = 4.0
"""Below the five seconds after which common servers drop an idle connection."""

READ_BYTES: Final = 16 * 1024
KEEP_BYTES: Final = 1024


class AddressRefused(OSError):
    """The name leads to an address that is not on the public internet."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back. Either `status`, with the first KEEP_BYTES of the body, or `error`: a stable word."""

    status: int | None
    error: str | None
    response: str | None
    retry_after: str | None
    seconds: float


class WebhookClient:
    """Posts signed bodies; made by `WebhookClient.open`."""

    def __init__(self, session: aiohttp.ClientSession, *, allow_loopback: bool) -> None:
        self._session = session
        self._allow_loopback = allow_loopback

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        *,
        allow_loopback: bool = False,
        tls: ssl.SSLContext | None = None,
        resolver: AbstractResolver | None = None,
        connect_seconds: float = CONNECT_SECONDS,
        total_seconds: float = TOTAL_SECONDS,
    ) -> "AsyncIterator[Self]":
        """`tls` and `resolver` replace the system's trust store and resolver; limits can only be lowered."""

        def dial(info: Any) -> socket.socket:
            family, kind, proto, _, target = info
            _check(target[0], allow_loopback)
            return socket.socket(family, kind, proto)

        connector = aiohttp.TCPConnector(
            limit=0,  # `turns` bounds what is open
            resolver=CheckedResolver(resolver or ThreadedResolver(), allow_loopback),
            socket_factory=dial,
            ssl=tls or ssl.create_default_context(),
            ttl_dns_cache=DNS_CACHE_SECONDS,
            keepalive_timeout=KEEPALIVE_SECONDS,
        )
        session = aiohttp.ClientSession(
            connector=connector,
            timeout=aiohttp.ClientTimeout(
                total=min(total_seconds, TOTAL_SECONDS),
                connect=min(connect_seconds, CONNECT_SECONDS),
                ceil_threshold=60.0,  # aiohttp rounds long timeouts up to whole seconds: not ours
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,
            skip_auto_headers=("Accept-Encoding", "User-Agent"),
            read_bufsize=READ_BYTES,
            trace_configs=[_noting_reuse()],
        )
        async with session:
            yield cls(session, allow_loopback=allow_loopback)

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        """One attempt. Never raises for anything that a customer's side can do."""
        started = time.perf_counter()
        try:
            check_public_url(url, self._allow_loopback)
            return await self._post(url, body, headers, started)
        except UnsafeUrl:
            error = "unsafe_url"
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as exc:
            error = _word(exc)
        return Answer(None, error, None, None, time.perf_counter() - started)

    async def _post(self, url: str, body: bytes, headers: Mapping[str, str], started: float) -> Answer:
        """A kept connection may be closed by the peer just as it is used; that is no attempt, so it is replaced."""
        connection = SimpleNamespace(reused=False)
        try:
            return await self._request(url, body, headers, started, connection)
        except (aiohttp.ServerDisconnectedError, ConnectionError):
            if not connection.reused or time.perf_counter() - started > STALE_SECONDS:
                raise
        return await self._request(url, body, {**headers, "connection": "close"}, started, SimpleNamespace())

    async def _request(
        self, url: str, body: bytes, headers: Mapping[str, str], started: float, connection: SimpleNamespace
    ) -> Answer:
        async with self._session.post(
            url, data=body, headers=headers, allow_redirects=False, trace_request_ctx=connection
        ) as response:
            content = bytearray()
            try:
                while len(content) < READ_BYTES and (chunk := await response.content.readany()):
                    content += chunk
            except (aiohttp.ClientError, OSError, TimeoutError):
                pass  # the status has been given, and the status is the answer
            if not response.content.at_eof():
                response.close()  # too much, or cut off: not a connection to keep
            return Answer(
                response.status,
                None,
                _text(bytes(content[:KEEP_BYTES])),
                response.headers.get("Retry-After"),
                time.perf_counter() - started,
            )


class ThreadedResolver(AbstractResolver):
    """libc's resolver in threads of its own: slow names hold up neither the event loop nor anybody's executor."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(RESOLVER_THREADS, thread_name_prefix="resolve")

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        def look_up() -> list[ResolveResult]:
            return [
                ResolveResult(
                    hostname=host, host=str(target[0]), port=port, family=family, proto=proto,
                    flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
                )
                for family, _, proto, _, target in socket.getaddrinfo(host, port, family, socket.SOCK_STREAM)
            ]  # fmt: skip

        return await asyncio.get_running_loop().run_in_executor(self._threads, look_up)

    async def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)


class CheckedResolver(AbstractResolver):
    """Any resolver, in at most RESOLVE_SECONDS; one address that is not public condemns the whole answer."""

    def __init__(self, resolver: AbstractResolver, allow_loopback: bool) -> None:
        self._resolver = resolver
        self._allow_loopback = allow_loopback

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        try:
            async with asyncio.timeout(RESOLVE_SECONDS):
                answers = await self._resolver.resolve(host, port, family)
        except TimeoutError:
            raise socket.gaierror(socket.EAI_AGAIN, "no answer in time") from None
        for answer in answers:
            _check(answer["host"], self._allow_loopback)
        return answers

    async def close(self) -> None:
        await self._resolver.close()


def _check(host: str, allow_loopback: bool) -> None:
    address = ip_address(host.partition("%")[0])
    if not (is_public_address(address) or (allow_loopback and address.is_loopback)):
        raise AddressRefused("the address is not on the public internet")


def _noting_reuse() -> aiohttp.TraceConfig:
    async def note(_: aiohttp.ClientSession, context: SimpleNamespace, __: Any) -> None:
        context.trace_request_ctx.reused = True

    trace = aiohttp.TraceConfig()
    trace.on_connection_reuseconn.append(note)
    return trace


def _text(body: bytes) -> str:
    """What Postgres can store of any bytes: text without NUL."""
    return body.decode("utf-8", "replace").replace("\0", "\ufffd")


def _word(exc: Exception) -> str:
    """The word that a customer's delivery log and our metrics show for a request without an answer."""
    cause = exc.os_error if isinstance(exc, aiohttp.ClientConnectorError) else exc
    if isinstance(cause, AddressRefused):
        return "address_refused"
    if isinstance(exc, TimeoutError):
        return "connect_timeout" if isinstance(exc, aiohttp.ConnectionTimeoutError) else "timeout"
    if isinstance(cause, socket.gaierror):
        return "name_not_resolved"
    if isinstance(exc, aiohttp.ClientSSLError) or isinstance(cause, ssl.SSLError):
        return "tls"
    if isinstance(exc, aiohttp.ClientConnectorError):
        return "connect"
    if isinstance(exc, aiohttp.ServerDisconnectedError | OSError):
        return "disconnected"
    return "not_http"
