"""From the pieces of a body to checked rows on disk, and from there into Postgres in one commit.

Reading takes as long as the customer's line; storing starts only when everything has been read, so no transaction
waits for a customer, and what is refused or cut off has left nothing behind. The spool is a file without a name: it
ends with the process.
"""

import asyncio
import hashlib
import tempfile
import threading
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final
from uuid import UUID
from weakref import WeakValueDictionary

from pydantic_core import to_json

from sema_common.values.errors import FieldError, Overloaded, Refused
from sema_common.values.ids import new_id
from sema_main_api.contacts import metrics, rules
from sema_main_api.http.bodies import invalid
from sema_main_api.http.tables import CsvReader, Row
from sema_main_api.http.uploads import Places

ROWS_AT_ONCE: Final = 1_000
"""Rows of one statement: some 20 ms of Postgres, and a fifth of a megabyte in our hands."""

PIECE: Final = 256 * 1024
"""Bytes read before a thread parses them: some 20 ms, in which the event loop keeps its turns."""

MAX_WRONG: Final = 100
"""Wrong rows that are named; all are counted."""

READING_AT_ONCE: Final = 32
READING_OF_ACCOUNT: Final = 8
STORING_AT_ONCE: Final = 2
"""Uploads that hold a connection of the pipeline pool; the others wait with their spool."""


class Disk:
    """What the spools of all uploads may take together, and take. For threads."""

    def __init__(self, capacity: int) -> None:
        self._left = capacity
        self._lock = threading.Lock()

    def take(self, size: int) -> None:
        """These bytes are about to be written; Overloaded where they are too many."""
        with self._lock:
            if size > self._left:
                raise Overloaded("too much of uploads is on disk", after=30)
            self._left -= size

    def give_back(self, size: int) -> None:
        """These bytes are gone."""
        with self._lock:
            self._left += size


class Upload:
    """What has been read of one upload. Not for two threads at a time."""

    def __init__(self, disk: Disk, country: str | None, digest: bytes = b"") -> None:
        self._disk = disk
        self._size = 0
        self._country = country
        self._hash = hashlib.sha256(digest)
        self._reader = CsvReader()
        self._columns: rules.Columns | None = None
        self._spool = tempfile.TemporaryFile("w+b")  # noqa: SIM115 - closed by `close`
        self._batch: dict[str, list[Any]] = {}
        self.received = 0
        self.rejected = 0
        self.fields: list[str] = []
        self.wrong: list[dict[str, Any]] = []

    def feed(self, piece: bytes) -> None:
        """Take a piece of a CSV; Refused for a table that cannot be taken as a whole."""
        self._hash.update(piece)
        self._take(self._reader.feed(piece))

    def finish(self) -> None:
        """The CSV has ended. Refused(422) when it held no row."""
        self._take(self._reader.finish())
        if self._columns is None:
            rules.columns([])
        self._flush()

    def take(self, phone: str, name: str | None, attributes: Mapping[str, str]) -> None:
        """One contact that came as JSON; raises like `rules.checked`."""
        self._put(rules.checked(phone, name, attributes, self._country))
        for field in attributes:
            if field not in self.fields:
                self.fields.append(field)
        self.received += 1

    def end_of_json(self, body: bytes) -> None:
        """All contacts of a JSON body were taken."""
        self._hash.update(body)
        self._flush()

    @property
    def fingerprint(self) -> bytes:
        """Of the request: its method and path, and every byte that was fed."""
        return self._hash.digest()

    def refuse_empty(self) -> None:
        """Refused(422) unless there is a contact to store."""
        if self.received == self.rejected:
            detail = "There is no contact in it." if not self.received else "None of its rows is a contact."
            wrong = [FieldError(f"line {w['line']}", w["code"], w["detail"]) for w in self.wrong]
            raise invalid(wrong or [FieldError("file", "empty", detail)])

    def batches(self) -> Iterator[str]:
        """The rows as they are stored: JSON arrays of at most ROWS_AT_ONCE."""
        self._spool.seek(0)
        for line in self._spool:
            yield line.decode()

    def close(self) -> None:
        """The spool is gone with it."""
        self._spool.close()
        self._disk.give_back(self._size)
        self._size = 0

    def _take(self, rows: list[Row]) -> None:
        for line, cells in rows:
            if self._columns is None:
                self._columns = rules.columns(cells)
                self.fields = [name for _, name in self._columns.fields]
                continue
            self.received += 1
            if self.received > rules.MAX_ROWS:
                raise Refused("body_too_large", f"A table has at most {rules.MAX_ROWS:,} rows.", 413)
            try:
                self._put(rules.contact(cells, self._columns, self._country))
            except rules.WrongRow as exc:
                self.rejected += 1
                if len(self.wrong) < MAX_WRONG:
                    self.wrong.append({"line": line, "code": exc.code, "detail": str(exc)})

    def _put(self, contact: rules.Contact) -> None:
        known = self._batch.get(contact.key)
        if known is not None:  # the same contact again: what it says last holds
            known[3] = contact.name or known[3]
            known[4] = {**known[4], **contact.attributes}
            return
        self._batch[contact.key] = [new_id(), contact.key, contact.phone, contact.name, contact.attributes]
        if len(self._batch) == ROWS_AT_ONCE:
            self._flush()

    def _flush(self) -> None:
        if self._batch:
            names = ("id", "key", "phone", "name", "attributes")
            rows = [dict(zip(names, row, strict=True)) for row in self._batch.values()]
            written = to_json(rows) + b"\n"
            self._disk.take(len(written))
            try:
                self._spool.write(written)
            except BaseException:
                self._disk.give_back(len(written))
                raise
            self._size += len(written)
            self._batch.clear()


class Uploads:
    """Reads and stores uploads, a bounded number at a time."""

    def __init__(self, disk_bytes: int) -> None:
        self._places = Places()
        self._disk = Disk(disk_bytes)
        self._storing = asyncio.Semaphore(STORING_AT_ONCE)
        self._lists: WeakValueDictionary[UUID, asyncio.Lock] = WeakValueDictionary()

    @asynccontextmanager
    async def reading(self, account_id: UUID, country: str | None, digest: bytes) -> AsyncIterator[Upload]:
        """An empty upload; Overloaded, or Refused(429) for an account that has too many of them open."""
        with self._places.taken(account_id, READING_OF_ACCOUNT, READING_AT_ONCE):
            upload = Upload(self._disk, country, digest)
            try:
                yield upload
            finally:
                upload.close()

    @asynccontextmanager
    async def storing(self, list_id: UUID) -> AsyncIterator[None]:
        """The right to store: one upload to a list at a time, a few in all. Those of another instance are met at the
        list's row: then it is a 503, to be tried again."""
        one = self._lists.setdefault(list_id, asyncio.Lock())
        async with one, self._storing:
            yield


async def read_csv(upload: Upload, pieces: AsyncIterator[bytes]) -> None:
    """Everything that a CSV holds, parsed in a thread so that nobody else waits for it."""
    held: list[bytes] = []
    size = 0
    async for piece in pieces:
        held.append(piece)
        size += len(piece)
        if size >= PIECE:
            await asyncio.to_thread(upload.feed, b"".join(held))
            held, size = [], 0
    await asyncio.to_thread(upload.feed, b"".join(held))
    await asyncio.to_thread(upload.finish)
    metrics.ROWS.labels("received").inc(upload.received)
    metrics.ROWS.labels("rejected").inc(upload.rejected)
