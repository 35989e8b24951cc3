"""CSV, as people bring it and as a spreadsheet may open it. Pure, and flat in memory however long the table is.

Read: UTF-8 with or without BOM, any kind of line end, comma, semicolon or tab, quoted cells over several lines
(RFC 4180, and what spreadsheets make of it). Anything else is refused in words that say what to do.
Written: a cell that a spreadsheet would run as a formula has an apostrophe in front and is quoted (OWASP ASVS 1.2.10);
reading takes that apostrophe off again.
"""

import codecs
import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from sema_common.values.errors import FieldError, Refused

Row = tuple[int, list[str]]
"""The line on which it begins, from 1, and its cells."""

MAX_RECORD: Final = 1 << 20
"""Characters of one row: a longer one has a quote that is never closed, or is no table at all."""

_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "\x00")
_DELIMITERS: Final = (",", ";", "\t")
_QUOTED: Final = re.compile('"[^"]*"?')
_QUOTE_FOR: Final = ('"', "\r", "\n", *_DELIMITERS)
_SIGNATURE_BYTES: Final = 4
# Programs that save tables in these are many; what is in them is never looked at.
_OTHER_FORMATS: Final = {
    b"PK": "a ZIP or an Excel workbook",
    b"\x1f\x8b": "compressed (gzip)",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook",
    b"%PDF": "a PDF",
    b"BZh": "compressed (bzip2)",
    b"7z\xbc\xaf": "compressed (7-Zip)",
    b"Rar!": "compressed (RAR)",
    b"\x28\xb5\x2f\xfd": "compressed (Zstandard)",
}


class CsvReader:
    """Rows of a table that comes in pieces of any size; empty rows are left out."""

    def __init__(self) -> None:
        utf8 = codecs.getincrementaldecoder("utf-8-sig")()
        self._decoder = io.IncrementalNewlineDecoder(utf8, translate=True)
        self._head: bytes | None = b""
        self._rest = ""
        self._line = 0
        self._delimiter = ""

    def feed(self, piece: bytes) -> list[Row]:
        """The rows that this piece completes; Refused(415 or 422) for what is no such table."""
        if self._head is not None:
            self._head += piece
            if len(self._head) < _SIGNATURE_BYTES:
                return []
            refuse_other_formats(self._head)
            piece, self._head = self._head, None
        return self._rows(self._decode(piece), final=False)

    def finish(self) -> list[Row]:
        """The rows that were still open when the table ended."""
        piece, self._head = self._head or b"", None
        refuse_other_formats(piece)
        return self._rows(self._decode(piece, final=True), final=True)

    def _decode(self, piece: bytes, *, final: bool = False) -> str:
        try:
            return self._decoder.decode(piece, final)
        except UnicodeDecodeError:
            raise unreadable("This file is not UTF-8: save it as CSV UTF-8.") from None

    def _rows(self, text: str, *, final: bool) -> list[Row]:
        text = self._rest + text
        end = len(text) if final else text.rfind("\n") + 1
        self._rest = text[end:]
        lines = _lines(text[:end])
        if not self._delimiter and lines:
            self._delimiter = max(_DELIMITERS, key=_QUOTED.sub("", lines[0]).count)
        source = _Source(lines)
        reader = csv.reader(source, delimiter=self._delimiter or ",")
        rows: list[Row] = []
        done = 0
        try:
            for cells in reader:
                if source.exhausted:  # it asked for more inside a quoted cell
                    break
                if any(cells):
                    rows.append((self._line + done + 1, cells))
                done = source.taken
        except csv.Error as exc:
            raise unreadable(f"Line {self._line + done + 1} is no CSV: {exc}.") from None
        unfinished = lines[done:]
        if unfinished and final:
            raise unreadable(f"On line {self._line + done + 1} begins a quoted cell that never ends.")
        self._rest = "".join(unfinished) + self._rest
        self._line += done
        if len(self._rest) > MAX_RECORD:
            raise unreadable(f"The row on line {self._line + 1} is longer than {MAX_RECORD} characters.")
        return rows


class _Source:
    """Lines for a reader, and whether it wanted more of them than there are."""

    def __init__(self, lines: Sequence[str]) -> None:
        self._lines = lines
        self.taken = 0
        self.exhausted = False

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        if self.taken == len(self._lines):
            self.exhausted = True
            raise StopIteration
        self.taken += 1
        return self._lines[self.taken - 1]


def _lines(text: str) -> list[str]:
    """By line feeds alone: `splitlines` also cuts at characters that stand inside cells."""
    lines = [line + "\n" for line in text.split("\n")]
    last = lines.pop()
    return [*lines, last[:-1]] if last != "\n" else lines


def refuse_other_formats(head: bytes) -> None:
    """Refused by the first bytes: 415 for what is no text, 422 for text in another encoding."""
    for signature, what in _OTHER_FORMATS.items():
        if head.startswith(signature):
            detail = f"This file is {what}, whatever its name says: save it as CSV UTF-8."
            raise Refused("unsupported_media_type", detail, 415, headers={"accept": "text/csv"})
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or b"\x00" in head[:_SIGNATURE_BYTES]:
        raise unreadable("This file is UTF-16: save it as CSV UTF-8.")


def unreadable(detail: str) -> Refused:
    """422 about a file as a whole."""
    return Refused("validation_failed", detail, errors=[FieldError("file", "unreadable", detail)])


def harmless(cell: str) -> str:
    """The cell with an apostrophe in front where a spreadsheet would calculate it; phone numbers too."""
    return f"'{cell}" if cell.startswith(_FORMULA) else cell


def plain(cell: str) -> str:
    """A cell as it was before `harmless`, without the blanks around it."""
    cell = cell.strip()
    return cell[1:].strip() if cell.startswith("'") and cell[1:].startswith(_FORMULA) else cell


def write(rows: Iterable[Sequence[str | None]]) -> str:
    """Rows as CSV (RFC 4180) that is safe to open; None is an empty cell."""
    return "".join(",".join(map(_written, row)) + "\r\n" for row in rows)


def _written(cell: str | None) -> str:
    if not cell:
        return ""
    safe = harmless(cell)
    if safe is cell and not any(character in cell for character in _QUOTE_FOR):
        return cell
    return '"' + safe.replace('"', '""') + '"'
