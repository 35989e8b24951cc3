"""Outbound HTTP: one client per peer, every wait bounded, and one question answered: did the request leave?

A failure before the request left (`NOT_SENT`) may be tried again or elsewhere; after that (`MAYBE_SENT`) the
peer may have acted on it, and only the caller's policy can decide. The only module that imports httpx; its
transport is aiohttp's, since httpx's own slows down badly beyond a few parallel requests.

What must never happen here: a redirect followed, a retry, a response read without a bound, a URL logged.
"""

import asyncio
import enum
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final, Self

import aiohttp
import httpx
from httpx_aiohttp import AiohttpTransport
from pydantic_core import from_json, to_json

from sema_common.platform import faults

MAX_BODY: Final = 256 * 1024
"""Bytes of a response that are read; every documented answer of our peers is far smaller."""

KEEPALIVE_SECONDS: Final = 30.0
"""Idle connections are dropped before a typical peer does it, which would look like a request lost."""


class Sent(enum.Enum):
    """Whether the peer may have seen the request."""

    NOT_SENT = "not_sent"
    MAYBE_SENT = "maybe_sent"


class Failure(enum.Enum):
    """The moment at which a request failed; the first three are before it left."""

    DNS = "dns"
    CONNECT = "connect"
    """No free slot or no connection in time (the transport tells these two apart no further), or refused."""
    TLS = "tls"
    TIMEOUT = "timeout"
    RESET = "reset"
    PROTOCOL = "protocol"


_BEFORE: Final = frozenset({Failure.DNS, Failure.CONNECT, Failure.TLS})


class TransportError(Exception):
    """No usable answer: `failure` says when it broke, `detail` why, without a URL."""

    def __init__(self, failure: Failure, detail: str) -> None:
        super().__init__(f"{failure.value}: {detail}")
        self.failure = failure
        self.detail = detail

    @property
    def sent(self) -> Sent:
        """Whether the request may have been acted on."""
        return Sent.NOT_SENT if self.failure in _BEFORE else Sent.MAYBE_SENT


@dataclass(frozen=True, slots=True)
class Answer:
    """A complete response; header names are lower case. `truncated`: the body was longer than `max_body`."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    truncated: bool = False

    def json(self) -> Any:
        """The body as JSON; ValueError if it is none."""
        return from_json(self.body)

    @property
    def text(self) -> str:
        return self.body.decode("utf-8", "replace")


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds: `connect` for a slot, DNS, TCP and TLS; `read` for one silence; `total` for everything."""

    connect: float = 3.0
    read: float = 10.0
    total: float = 15.0


class Http:
    """A client for one peer (or, with an empty base URL, for whoever the caller names)."""

    def __init__(self, client: httpx.AsyncClient, timeouts: Timeouts, max_body: int) -> None:
        self._client = client
        self._timeouts = timeouts
        self._max_body = max_body

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        base_url: str = "",
        *,
        timeouts: Timeouts = Timeouts(),
        max_connections: int = 32,
        headers: Mapping[str, str] | None = None,
        max_body: int = MAX_BODY,
    ) -> "AsyncIterator[Self]":
        """A client with its own connections. Environment proxies are ignored."""
        tracing = []
        if faults.enabled():
            trace = aiohttp.TraceConfig()
            trace.on_request_chunk_sent.append(faults.after_sending)
            tracing.append(trace)
        connector = aiohttp.TCPConnector(
            limit=max_connections,
            keepalive_timeout=KEEPALIVE_SECONDS,
            ttl_dns_cache=10,
        )
        session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=("User-Agent", "Accept-Encoding"),
            trace_configs=tracing,
        )
        client = httpx.AsyncClient(
            base_url=base_url,
            transport=AiohttpTransport(client=session, trust_env=False),
            headers={"user-agent": "SemaLink/1", "accept-encoding": "identity", **(headers or {})},
            timeout=httpx.Timeout(
                timeouts.total, connect=timeouts.connect, read=timeouts.read, pool=timeouts.connect
            ),
            follow_redirects=False,
            trust_env=False,
        )
        try:
            yield cls(client, timeouts, max_body)
        finally:
            await client.aclose()

    async def request(
        self,
        method: str,
        url: str,
        *,
        json: Any = None,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        total: float | None = None,
    ) -> Answer:
        """Send once and read the whole answer, whatever its status; TransportError if there is none.

        `url` is a path below the base URL, or absolute. `total` shortens the client's own limit.
        """
        sent_headers = dict(headers or {})
        if json is not None:
            content = to_json(json)
            sent_headers.setdefault("content-type", "application/json")
        try:
            async with (
                asyncio.timeout(min(total or self._timeouts.total, self._timeouts.total)),
                self._client.stream(method, url, content=content, headers=sent_headers) as response,
            ):
                return await self._read(response)
        except (httpx.TransportError, aiohttp.ClientError, TimeoutError, OSError) as exc:
            raise _failure(exc) from exc
        except (httpx.InvalidURL, UnicodeError) as exc:
            raise TransportError(Failure.CONNECT, "the URL is malformed") from exc

    async def _read(self, response: httpx.Response) -> Answer:
        body = bytearray()
        async for chunk in response.aiter_bytes():
            body += chunk
            if len(body) > self._max_body:
                break
        return Answer(
            response.status_code, response.headers, bytes(body[: self._max_body]), len(body) > self._max_body
        )


# The first that fits decides. Judged by aiohttp's own exceptions: its httpx transport calls a reset after
# sending a failed connect.
_MEANINGS: Final[tuple[tuple[type[Exception], Failure], ...]] = (
    (aiohttp.ClientConnectorDNSError, Failure.DNS),
    (socket.gaierror, Failure.DNS),
    (aiohttp.ClientSSLError, Failure.TLS),  # handshake, certificate
    (aiohttp.ClientConnectorError, Failure.CONNECT),  # refused, unreachable
    (aiohttp.ConnectionTimeoutError, Failure.CONNECT),
    (aiohttp.InvalidURL, Failure.CONNECT),
    (httpx.UnsupportedProtocol, Failure.CONNECT),
    (TimeoutError, Failure.TIMEOUT),  # aiohttp's are built on it
    (httpx.TimeoutException, Failure.TIMEOUT),
    (aiohttp.ClientResponseError, Failure.PROTOCOL),
    (httpx.RemoteProtocolError, Failure.PROTOCOL),
)


def _failure(exc: Exception) -> TransportError:
    cause = exc if not isinstance(exc, httpx.TransportError) else (exc.__cause__ or exc)
    failure = next((meaning for kind, meaning in _MEANINGS if isinstance(cause, kind)), Failure.RESET)
    return TransportError(failure, type(cause).__name__)
