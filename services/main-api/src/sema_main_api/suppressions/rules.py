"""Reading and writing suppressions as CSV."""

import csv
import io
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from sema_common.values.errors import FieldError, Refused
from sema_common.values.msisdn import InvalidMsisdn, Msisdn, parse_msisdn

SCOPES: Final = ("promotional", "all")
COLUMNS: Final = ("phone", "scope", "reason")
MAX_ERRORS: Final = 100
MAX_REASON: Final = 500
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


@dataclass(frozen=True, slots=True)
class OptOut:
    """One line of the list."""

    msisdn: Msisdn
    scope: str
    reason: str | None


@dataclass(slots=True)
class Table:
    """What a CSV holds: the last row of a number decides; the first wrong rows are named."""

    received: int = 0
    duplicates: int = 0
    invalid: int = 0
    wanted: dict[Msisdn, OptOut] = field(default_factory=dict)
    errors: list[tuple[int, str, str]] = field(default_factory=list)

    def take(self, line: int, row: Mapping[str, str | None], country: str | None) -> None:
        """Read one row into the table."""
        self.received += 1
        try:
            found = opt_out(row, country)
        except InvalidMsisdn as exc:
            self._wrong(line, exc.reason, str(exc))
        except ValueError as exc:
            self._wrong(line, "invalid_row", str(exc))
        else:
            self.duplicates += found.msisdn in self.wanted
            self.wanted[found.msisdn] = found

    def _wrong(self, line: int, code: str, detail: str) -> None:
        self.invalid += 1
        if len(self.errors) < MAX_ERRORS:
            self.errors.append((line, code, detail))


def opt_out(row: Mapping[str, str | None], country: str | None = None) -> OptOut:
    """One row; InvalidMsisdn for its number, ValueError for the rest."""
    msisdn = parse_msisdn((row.get("phone") or "").lstrip("'"), country)
    scope = (row.get("scope") or "").strip().lower() or SCOPES[0]
    if scope not in SCOPES:
        raise ValueError("the scope is promotional or all")
    reason = (row.get("reason") or "").strip() or None
    if reason and (len(reason) > MAX_REASON or "\x00" in reason):
        raise ValueError(f"a reason has at most {MAX_REASON} characters, none of them NUL")
    return OptOut(msisdn, scope, reason)


def rows(raw: bytes) -> Iterator[tuple[int, dict[str, str | None]]]:
    """(line, row) of a CSV in UTF-8, with or without BOM, by its header; Refused for what is no such table."""
    if raw[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise unreadable("This file is UTF-16: save it as CSV UTF-8.")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise unreadable("This file is not UTF-8: save it as CSV UTF-8.") from None
    lines = csv.reader(io.StringIO(text, newline=""))
    try:
        header = [name.strip().lower() for name in next(lines, [])]
        if "phone" not in header:
            raise unreadable("The first row names the columns; one of them is `phone`.")
        for cells in lines:
            if any(cells):
                yield lines.line_num, dict(zip(header, cells, strict=False))
    except csv.Error as exc:
        raise unreadable(f"Line {lines.line_num} is no CSV: {exc}.") from None


def unreadable(detail: str) -> Refused:
    """422 about a file as a whole."""
    return Refused("validation_failed", detail, errors=[FieldError("file", "unreadable", detail)])


def table(optouts: Iterable[tuple[str, str, str | None]], *, header: bool) -> str:
    """Rows as CSV, safe to open in a spreadsheet: what it would run as a formula is quoted, numbers too."""
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    if header:
        writer.writerow(COLUMNS)
    writer.writerows([harmless(phone), scope, harmless(reason or "")] for phone, scope, reason in optouts)
    return out.getvalue()


def harmless(cell: str) -> str:
    """The cell with an apostrophe in front where a spreadsheet would calculate it."""
    return f"'{cell}" if cell.startswith(_FORMULA) else cell
