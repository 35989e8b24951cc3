"""Requests by the clock: each leaves when its time has come, and its latency counts from that time.

So a slow answer delays nobody else's start and cannot hide in the numbers.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Final, Self

ANSWER_SECONDS: Final = 30.0


@dataclass
class Answers:
    """Milliseconds of each answered request; statuses from 300 on and lost connections count as failed."""

    milliseconds: list[float] = field(default_factory=list)
    failed: int = 0

    @property
    def answered(self) -> int:
        return len(self.milliseconds)

    def percentile(self, wanted: float) -> float:
        return percentile(self.milliseconds, wanted)


def percentile(values: list[float], wanted: float) -> float:
    """Nearest rank; NaN of nothing."""
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * wanted // 100).__int__() - 1)] if ordered else float("nan")


def post(path: str, body: bytes, headers: Mapping[str, str]) -> bytes:
    """A whole HTTP/1.1 request with a JSON body."""
    lines = [f"POST {path} HTTP/1.1", "Host: 127.0.0.1", "Content-Type: application/json"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""]).encode() + body


class OpenLoop:
    """Connections to one address, as many as there are requests in flight, kept alive in between."""

    def __init__(self, host: str, port: int) -> None:
        self._address = host, port
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        for _, writer in self._idle:
            writer.close()

    async def run(
        self,
        per_second: float,
        seconds: float,
        request: Callable[[int], bytes],
        answered: Callable[[bytes], None] = lambda _: None,
    ) -> Answers:
        """Send request(n) at n / per_second; `answered` gets each body of a 2xx."""
        answers = Answers()
        started = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for n in range(int(per_second * seconds)):
                due = started + n / per_second
                await asyncio.sleep(max(0.0, due - time.perf_counter()))
                group.create_task(self._one(request(n), due, answers, answered))
        return answers

    async def _one(
        self, request: bytes, due: float, answers: Answers, answered: Callable[[bytes], None]
    ) -> None:
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                status, body = await self._ask(request)
        except (OSError, EOFError, TimeoutError):
            answers.failed += 1
            return
        if status >= 300:
            answers.failed += 1
            return
        answers.milliseconds.append((time.perf_counter() - due) * 1000)
        answered(body)

    async def _ask(self, request: bytes) -> tuple[int, bytes]:
        reader, writer = self._idle.pop() if self._idle else await asyncio.open_connection(*self._address)
        writer.write(request)
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        length = int(head.split(b"\r\ncontent-length:", 1)[1].split(b"\r\n", 1)[0])
        body = await reader.readexactly(length)
        self._idle.append((reader, writer))
        return int(head[9:12]), body
