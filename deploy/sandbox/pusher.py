"""Delivery reports on their way to dlr-webhook: few connections, kept alive, and no report given up.

A plain HTTP/1.1 client of its own: the sandbox shares two cores with all that it feeds, and a general client
costs several times as much. A receiver that is away or answers 5xx is asked again, ever more slowly.
"""

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

CONNECTIONS: Final = 16
ANSWER_SECONDS: Final = 10.0
FIRST_BACKOFF_SECONDS: Final = 0.2
MAX_BACKOFF_SECONDS: Final = 5.0
_MAX_HEAD: Final = 64 * 1024


@dataclass(slots=True)
class Counters:
    """`sent`: reports that left at least once; `acked`: answered 2xx; `refused`: answered 3xx or 4xx.

    `pending`: due or yet to become due, and neither acked nor refused; `retries`: further attempts.
    """

    sent: int = 0
    acked: int = 0
    refused: int = 0
    pending: int = 0
    retries: int = 0


Train = Sequence[bytes]
"""Bodies that travel one after the other: each is answered before the next one leaves."""


class Pusher:
    """Pushes trains of reports to one URL. An async context manager; leaving it drops what is pending."""

    def __init__(self, url: str | None, content_type: str) -> None:
        self.counters = Counters()
        self._url = url
        self._due: asyncio.Queue[tuple[Train, asyncio.Future[None] | None]] = asyncio.Queue()
        self._workers: list[asyncio.Task[None]] = []
        if url is not None:
            parts = urlsplit(url)
            if parts.scheme != "http" or not parts.hostname:
                raise ValueError(f"reports are pushed to an http:// URL, not {url!r}")
            self._host, self._port = parts.hostname, parts.port or 80
            target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
            self._head = (
                f"POST {target} HTTP/1.1\r\nHost: {parts.netloc}\r\n"
                f"Content-Type: {content_type}\r\nContent-Length: "
            ).encode()

    async def __aenter__(self) -> "Pusher":
        if self._url is not None:
            self._workers = [asyncio.create_task(self._work()) for _ in range(CONNECTIONS)]
        return self

    async def __aexit__(self, *_: object) -> None:
        for worker in self._workers:
            worker.cancel()
        await asyncio.gather(*self._workers, return_exceptions=True)

    def push(self, trains: Sequence[Train], delay: float = 0.0) -> None:
        """Let these leave in `delay` seconds."""
        if self._url is None:
            return
        self.counters.pending += sum(map(len, trains))
        if delay > 0:
            asyncio.get_running_loop().call_later(delay, self._enqueue, trains)
        else:
            self._enqueue(trains)

    async def push_and_wait(self, trains: Sequence[Train], patience: float) -> None:
        """Let these leave now, and return when all are answered, or after `patience` seconds."""
        if self._url is None or not trains:
            return
        self.counters.pending += sum(map(len, trains))
        answered = [asyncio.get_running_loop().create_future() for _ in trains]
        for train, done in zip(trains, answered, strict=True):
            self._due.put_nowait((train, done))
        await asyncio.wait(answered, timeout=patience)

    def _enqueue(self, trains: Sequence[Train]) -> None:
        for train in trains:
            self._due.put_nowait((train, None))

    async def _work(self) -> None:
        connection = _Connection(self._host, self._port)
        try:
            while True:
                train, done = await self._due.get()
                for body in train:
                    await self._deliver(connection, body)
                if done is not None and not done.done():
                    done.set_result(None)
        finally:
            connection.close()

    async def _deliver(self, connection: "_Connection", body: bytes) -> None:
        request = b"%s%d\r\n\r\n%s" % (self._head, len(body), body)
        backoff = FIRST_BACKOFF_SECONDS
        self.counters.sent += 1
        while True:
            try:
                async with asyncio.timeout(ANSWER_SECONDS):
                    status = await connection.ask(request)
            except (OSError, EOFError, ValueError, TimeoutError, asyncio.LimitOverrunError):
                connection.close()
                status = 503
            if status < 500:
                self.counters.pending -= 1
                if status < 300:
                    self.counters.acked += 1
                else:
                    self.counters.refused += 1
                return
            await asyncio.sleep(backoff * random.uniform(0.8, 1.2))
            backoff = min(backoff * 2, MAX_BACKOFF_SECONDS)
            self.counters.retries += 1


class _Connection:
    """One kept-alive connection, opened when it is needed."""

    def __init__(self, host: str, port: int) -> None:
        self._host, self._port = host, port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, request: bytes) -> int:
        """The status of the answer. Raises OSError, EOFError or ValueError when there is none."""
        if self._streams is not None and self._streams[0].at_eof():
            self.close()  # the receiver has tired of an idle connection
        if self._streams is None:
            self._streams = await asyncio.open_connection(self._host, self._port, limit=_MAX_HEAD)
        reader, writer = self._streams
        writer.write(request)
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        status = int(head[9:12])
        if b"\r\ntransfer-encoding: chunked" in head:
            while (size := int(await reader.readuntil(b"\r\n"), 16)) > 0:
                await reader.readexactly(size + 2)
            await reader.readuntil(b"\r\n")
        elif b"\r\ncontent-length:" in head:
            length = int(head.split(b"\r\ncontent-length:", 1)[1].split(b"\r\n", 1)[0])
            if length:
                await reader.readexactly(length)
        elif status not in (204, 304):
            self.close()
        if b"\r\nconnection: close" in head:
            self.close()
        return status

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None
