"""The witness: every message that was accepted, in order, on disk, so that memory stays flat.

Entries are kept as the JSON that readers get, one after the other in an unlinked temporary file, with eight
bytes of memory each: a page is one read, whatever the length of the book.
"""

import os
import tempfile
from array import array
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Final

from pydantic_core import to_json
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from deploy.sandbox.clock import wire_time

MAX_PAGE: Final = 100_000
"""Entries in one answer; a reader goes on from the last `seq` until it gets none."""

_CHUNK: Final = 2_000
"""Entries between two turns of the event loop while a page is written."""


class Witness:
    """One book, of one aggregator."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile(prefix="sema-witness-", buffering=1 << 16)  # noqa: SIM115  # closed by `close`
        self._ends = array("Q", [0])
        self._flushed = 0

    def close(self) -> None:
        self._file.close()

    def __len__(self) -> int:
        return len(self._ends) - 1

    def accept(self, entries: Sequence[tuple[int | None, str, str]], at: float) -> None:
        """Write down (client id, recipient, text) of messages accepted `at` (Unix seconds)."""
        when = wire_time(at)
        end = self._ends[-1]
        seq = len(self._ends)
        for client_id, to, text in entries:
            line = to_json({"seq": seq, "client_id": client_id, "to": to, "text": text, "at": when})
            self._file.write(b"," + line)
            end += len(line) + 1
            seq += 1
            self._ends.append(end)

    def write(self, entry: Mapping[str, Any], at: float) -> None:
        """Write down one thing of another kind that happened `at` (Unix seconds)."""
        line = to_json({"seq": len(self._ends), **entry, "at": wire_time(at)})
        self._file.write(b"," + line)
        self._ends.append(self._ends[-1] + len(line) + 1)

    def read(self, since: int, limit: int) -> bytes:
        """The entries with a `seq` above `since`, joined by commas."""
        if self._flushed < len(self):
            self._file.flush()
            self._flushed = len(self)
        first = min(max(since, 0), len(self))
        last = min(first + limit, len(self))
        start, end = self._ends[first], self._ends[last]
        return os.pread(self._file.fileno(), end - start, start)[1:]

    async def serve(self, request: Request) -> Response:
        """`?since=` (default 0) and `?limit=` (default and at most 100,000): `{"data": [...]}`."""
        try:
            since = int(request.query_params.get("since") or 0)
            limit = int(request.query_params.get("limit") or MAX_PAGE)
        except ValueError:
            return JSONResponse({"title": "since and limit are whole numbers", "status": 422}, 422)
        last = min(max(since, 0) + min(max(limit, 1), MAX_PAGE), len(self))
        return StreamingResponse(self._pages(max(since, 0), last), media_type="application/json")

    async def _pages(self, since: int, last: int) -> AsyncIterator[bytes]:
        yield b'{"data":['
        for first in range(since, last, _CHUNK):
            page = self.read(first, min(_CHUNK, last - first))
            yield page if first == since else b"," + page
        yield b"]}"
