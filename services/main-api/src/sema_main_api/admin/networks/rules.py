"""The MNO registry as a table, and where its two tiers disagree. Pure."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from sema_common.values.errors import FieldError
from sema_common.values.msisdn import AFRICAN_COUNTRIES
from sema_common.values.networks import Source
from sema_main_api.http.bodies import invalid
from sema_main_api.http.tables import CsvReader, plain, unreadable

COLUMNS: Final = ("country_iso2", "country_code", "prefix_e164_digits", "mno", "source", "note")
NEEDED: Final = ("country_iso2", "prefix_e164_digits", "mno")
MAX_ROWS: Final = 10_000
MAX_WRONG: Final = 100
MAX_TEXT: Final = 100
CORRECTED: Final = "corrected to the carrier data"

_PREFIX: Final = re.compile(r"[1-9][0-9]{1,14}", re.ASCII)

Key = tuple[str, Source]


@dataclass(frozen=True, slots=True)
class Prefix:
    """A row of the registry: numbers that begin with these E.164 digits were issued to this MNO."""

    prefix: str
    source: Source
    country: str
    mno: str
    note: str | None

    @property
    def key(self) -> Key:
        return self.prefix, self.source

    @property
    def calling_code(self) -> str:
        return AFRICAN_COUNTRIES[self.country]


@dataclass(frozen=True, slots=True)
class Change:
    """What an import does to one row; None: there is no such row before, or after."""

    before: Prefix | None
    after: Prefix | None

    @property
    def of(self) -> Prefix:
        row = self.after or self.before
        assert row is not None
        return row

    @property
    def what(self) -> str:
        return "added" if self.before is None else "removed" if self.after is None else "changed"


@dataclass(frozen=True, slots=True)
class Disagreement:
    """Numbers that begin with `prefix`: the curated row that decides, and what the carrier data says."""

    prefix: str
    curated: Prefix
    carrier: Prefix


def prefix(row: Mapping[str, str]) -> Prefix:
    """One row of a table or body; ValueError says what is wrong with it."""
    country, digits, mno = (
        row["country_iso2"].upper(),
        row["prefix_e164_digits"].removeprefix("+"),
        row["mno"],
    )
    code = AFRICAN_COUNTRIES.get(country)
    if code is None:
        raise ValueError("the country is the ISO 3166 code of one of the 54 African countries")
    if row.get("country_code") not in (None, "", code):
        raise ValueError(f"the calling code of {country} is {code}")
    if not _PREFIX.fullmatch(digits) or not digits.startswith(code):
        raise ValueError(f"a prefix of {country} has 2 to 15 digits and begins with {code}")
    if not 1 <= len(mno) <= MAX_TEXT or not mno.isprintable():
        raise ValueError(f"the name of an MNO has 1 to {MAX_TEXT} characters")
    source, note = _source(row.get("source") or "curated")
    note = row.get("note") or note
    if note and (len(note) > MAX_TEXT or not note.isprintable()):
        raise ValueError(f"a note has at most {MAX_TEXT} characters")
    if source == "curated" and digits == code:
        raise ValueError("a curated row for a whole calling code would hide all carrier data of its country")
    return Prefix(digits, source, country, mno, note)


def _source(text: str) -> tuple[Source, str | None]:
    """Ours, or as the published tables call it: `project-table:0740-0756`, `libphonenumber-9.0.43`."""
    name, _, detail = text.partition(":" if ":" in text else "-")
    if text == "curated" or (name == "project-table" and ":" in text):
        return "curated", detail or None
    if name == "libphonenumber":
        return "libphonenumber", detail or None
    raise ValueError("the source is curated or libphonenumber")


def read_table(raw: bytes) -> dict[Key, Prefix]:
    """Every row of a CSV; Refused(422) naming each wrong line, for then nothing of it is taken."""
    reader = CsvReader()
    rows = reader.feed(raw) + reader.finish()
    header = [plain(cell).lower() for cell in rows[0][1]] if rows else []
    missing = [name for name in NEEDED if name not in header]
    if missing or len(set(header)) < len(header):
        raise unreadable(
            f"The first row names the columns: {', '.join(COLUMNS)}; the last two may be missing."
        )
    if len(rows) > MAX_ROWS + 1:
        raise unreadable(f"A registry has at most {MAX_ROWS} rows.")
    found: dict[Key, Prefix] = {}
    wrong: list[FieldError] = []
    for line, cells in rows[1:]:
        values = dict.fromkeys(NEEDED, "") | dict(zip(header, map(plain, cells), strict=False))
        try:
            row = prefix(values)
            known = found.setdefault(row.key, row)
            if known.mno != row.mno:
                raise ValueError(f"another line says that {row.prefix} is {known.mno}'s")
        except ValueError as exc:
            wrong.append(FieldError(f"line {line}", "invalid_row", f"{exc}."))
    if wrong:
        raise invalid(wrong[:MAX_WRONG])
    if not found:
        raise unreadable("There is no row below the header.")
    return found


def changes(now: Mapping[Key, Prefix], wanted: Mapping[Key, Prefix], *, replace: bool) -> list[Change]:
    """What taking `wanted` does, by prefix. `replace`: rows of the sources in it that it does not name go."""
    sources = {source for _, source in wanted}
    found = [Change(now.get(key), row) for key, row in wanted.items() if now.get(key) != row]
    if replace:
        found += [Change(row, None) for key, row in now.items() if key[1] in sources and key not in wanted]
    return sorted(found, key=lambda change: change.of.key)


def table(rows: Iterable[Prefix]) -> list[Sequence[str | None]]:
    """Rows in the form that `read_table` takes, with a header."""
    cells = [(r.country, r.calling_code, r.prefix, r.mno, r.source, r.note) for r in rows]
    return [COLUMNS, *cells]


def disagreements(rows: Iterable[Prefix]) -> list[Disagreement]:
    """Prefixes for which the two tiers name different MNOs, by prefix; the curated row is the one in force."""
    tiers: dict[Source, dict[str, Prefix]] = {"curated": {}, "libphonenumber": {}}
    for row in rows:
        tiers[row.source][row.prefix] = row
    found: dict[str, Disagreement] = {}
    for digits in sorted({*tiers["curated"], *tiers["libphonenumber"]}):
        curated, carrier = _longest(tiers["curated"], digits), _longest(tiers["libphonenumber"], digits)
        if curated and carrier and curated.mno.casefold() != carrier.mno.casefold():
            found[digits] = Disagreement(digits, curated, carrier)
    return list(found.values())


def _longest(tier: Mapping[str, Prefix], digits: str) -> Prefix | None:
    for length in range(len(digits), 1, -1):
        if (row := tier.get(digits[:length])) is not None:
            return row
    return None
