"""Reading and writing suppressions as CSV."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from sema_common.values.msisdn import InvalidMsisdn, Msisdn, parse_msisdn
from sema_main_api.http.tables import CsvReader, plain, unreadable, write

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
    msisdn = parse_msisdn(row.get("phone") or "", country)
    scope = (row.get("scope") or "").strip().lower() or SCOPES[0]
    if scope not in SCOPES:
        raise ValueError("the scope is promotional or all")
    reason = (row.get("reason") or "").strip() or None
    if reason and (len(reason) > MAX_REASON or "\x00" in reason):
        raise ValueError(f"a reason has at most {MAX_REASON} characters, none of them NUL")
    return OptOut(msisdn, scope, reason)


def rows(raw: bytes) -> Iterator[tuple[int, dict[str, str | None]]]:
    """(line, row) of a CSV, by its header; Refused for what is no such table."""
    reader = CsvReader()
    found = iter(reader.feed(raw) + reader.finish())
    _, first = next(found, (1, []))
    header = [name.strip().lower() for name in first]
    if "phone" not in header:
        raise unreadable("The first row names the columns; one of them is `phone`.")
    for line, cells in found:
        yield line, dict(zip(header, map(plain, cells), strict=False))


def table(optouts: Iterable[tuple[str, str, str | None]], *, header: bool) -> str:
    """Rows as CSV, safe to open in a spreadsheet."""
    return write([*([COLUMNS] if header else []), *optouts])
