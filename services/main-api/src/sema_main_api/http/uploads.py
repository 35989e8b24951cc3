"""A file that comes with a request: as the body itself, or as the one part of a form. Streamed, never held."""

from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Final
from uuid import UUID

from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser, parse_options_header

from sema_common.values.errors import Overloaded, Refused
from sema_main_api.http.bodies import malformed
from sema_main_api.http.problems import retry_after
from sema_main_api.http.requests import Request

# Windows calls a .csv file the third where Excel is installed, and the fourth where it is not.
_KINDS: Final = ("text/csv", "text/plain", "application/vnd.ms-excel", "application/octet-stream", "")
_MAX_BOUNDARY: Final = 200


class Places:
    """How many files are on their way in."""

    def __init__(self) -> None:
        self._taken: Counter[UUID] = Counter()

    @contextmanager
    def taken(self, account_id: UUID, of_account: int, in_all: int) -> Iterator[None]:
        """One place; Refused(429) for an account that has too many files open, Overloaded for all together."""
        if self._taken[account_id] >= of_account:
            detail = f"An account uploads at most {of_account} files at a time."
            raise Refused("rate_limited", detail, 429, headers=retry_after(5))
        if self._taken.total() >= in_all:
            raise Overloaded("too many uploads are being read", after=5)
        self._taken[account_id] += 1
        try:
            yield
        finally:
            self._taken[account_id] -= 1
            if not self._taken[account_id]:
                del self._taken[account_id]


async def csv_pieces(request: Request) -> AsyncIterator[bytes]:
    """The bytes of an uploaded CSV, `text/csv` or a form with one file; Refused(415) for any other content type."""
    kind, options = parse_options_header(request.headers.get("content-type", ""))
    if request.headers.get("content-encoding", "identity") != "identity":
        raise unsupported("A compressed body is not taken.")
    if kind == b"multipart/form-data":
        boundary = options.get(b"boundary", b"")
        if not 0 < len(boundary) <= _MAX_BOUNDARY:
            raise malformed()
        form = _Form(boundary)
        async for piece in request.pieces():
            for part in form.feed(piece):
                yield part
        form.finish()
        return
    if kind != b"text/csv" or options.get(b"charset", b"utf-8").lower() not in (b"utf-8", b"utf8"):
        raise unsupported(
            "A file is sent as text/csv in UTF-8, or as the only part of a multipart/form-data body."
        )
    async for piece in request.pieces():
        yield piece


def unsupported(detail: str) -> Refused:
    """415, naming what is taken."""
    accept = {"accept": "text/csv, multipart/form-data"}
    return Refused("unsupported_media_type", detail, 415, headers=accept)


class _Form:
    """The data of the one part that a form has."""

    def __init__(self, boundary: bytes) -> None:
        self._parts = 0
        self._name = b""
        self._value = b""
        self._found: list[bytes] = []
        self._ended = False
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._begin,
                "on_header_field": self._header_field,
                "on_header_value": self._header_value,
                "on_header_end": self._header_end,
                "on_part_data": self._data,
                "on_end": self._end,
            },
        )

    def feed(self, piece: bytes) -> list[bytes]:
        """Data of the file in this piece of the body."""
        try:
            self._parser.write(piece)
        except MultipartParseError:
            raise malformed() from None
        found, self._found = self._found, []
        return found

    def finish(self) -> None:
        """Refused(400) unless the form came to its end."""
        if not self._ended:
            raise malformed()

    def _begin(self) -> None:
        self._parts += 1
        if self._parts > 1:
            raise Refused("validation_failed", "The form has more than one part: send the file alone.")

    def _header_field(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _header_end(self) -> None:
        if self._name.lower() == b"content-type":
            kind, options = parse_options_header(self._value)
            charset = options.get(b"charset", b"utf-8").lower()
            if kind.decode("latin-1") not in _KINDS or charset not in (b"utf-8", b"utf8"):
                raise unsupported("The file in this form is no CSV in UTF-8.")
        self._name = self._value = b""

    def _data(self, data: bytes, start: int, end: int) -> None:
        self._found.append(data[start:end])

    def _end(self) -> None:
        self._ended = True
