"""Reading and writing suppressions as CSV."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from sema_common.values.errors import Refused
from sema_common.values.msisdn import InvalidMsisdn, Msisdn, parse_msisdn
from sema_main_api.http.tables import CsvReader, Row, plain, unreadable, write

SCOPES: Final = ("promotional", "all")
COLUMNS: Final = ("phone", "scope", "reason")
MAX_ERRORS: Final = 100
MAX_REASON: Final = 500


@dataclass(frozen=True, slots=True)
class OptOut:
    """One line of the list."""

    msisdn: Msisdn
    scope: str
    reason: str | None


@dataclass(slots=True)
class Table:
    """What a CSV holds: the last row of a number decides; the first wrong rows are named. Fed in pieces."""

    country: str | None = None
    received: int = 0
    duplicates: int = 0
    invalid: int = 0
    wanted: dict[Msisdn, OptOut] = field(default_factory=dict)
    errors: list[tuple[int, str, str]] = field(default_factory=list)

    _header: list[str] | None = None
    _reader: CsvReader = field(default_factory=CsvReader)

    def feed(self, piece: bytes) -> None:
        """Take a piece of the CSV; Refused for what is no such table."""
        self._rows(self._reader.feed(piece))

    def finish(self) -> None:
        """The CSV has ended; Refused when it held no row."""
        self._rows(self._reader.finish())
        if self._header is None:
            raise _headless()
        if not self.received:
            raise unreadable("There is no row below the header.")

    def _rows(self, rows: Iterable[Row]) -> None:
        for line, cells in rows:
            if self._header is None:
                self._header = [name.strip().lower() for name in cells]
                if "phone" not in self._header:
                    raise _headless()
                continue
            self._take(line, dict(zip(self._header, map(plain, cells), strict=False)))

    def _take(self, line: int, row: Mapping[str, str | None]) -> None:
        self.received += 1
        try:
            found = opt_out(row, self.country)
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
    msisdn = parse_msisdn(row.get("phone") or "", country)
    scope = (row.get("scope") or "").strip().lower() or SCOPES[0]
    if scope not in SCOPES:
        raise ValueError("the scope is promotional or all")
    reason = (row.get("reason") or "").strip() or None
    if reason and (len(reason) > MAX_REASON or "\x00" in reason):
        raise ValueError(f"a reason has at most {MAX_REASON} characters, none of them NUL")
    return OptOut(msisdn, scope, reason)


def _headless() -> Refused:
    return unreadable("The first row names the columns; one of them is `phone`.")


def table(optouts: Iterable[tuple[str, str, str | None]], *, header: bool) -> str:
    """Rows as CSV, safe to open in a spreadsheet."""
    return write([*([COLUMNS] if header else []), *optouts])
