"""The price list as a table: rows out of CSV, and what taking them would do. Pure."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final
from uuid import UUID

from sema_common.values.errors import FieldError
from sema_common.values.msisdn import AFRICAN_COUNTRIES
from sema_main_api.http.bodies import invalid
from sema_main_api.http.tables import CsvReader, plain, unreadable

COLUMNS: Final = (
    "account_id", "tier", "account_type", "country", "mno", "min_segments", "currency", "price", "valid_from",
    "valid_to",
)  # fmt: skip
NEEDED: Final = ("country", "price")
TIERS: Final = ("starter", "growth", "enterprise")
TYPES: Final = ("direct", "agent")
MAX_ROWS: Final = 10_000
MAX_WRONG: Final = 100
MAX_MNO: Final = 100

_PRICE: Final = re.compile(r"[0-9]{1,14}(\.[0-9]{1,4})?", re.ASCII)
_CURRENCY: Final = re.compile("[A-Z]{3}", re.ASCII)

Scope = tuple[UUID | None, str | None, str | None, str, str, int, str]


@dataclass(frozen=True, slots=True)
class Tariff:
    """A row of the price list; `id` is None before it is kept. None for account, tier or account type: everybody."""

    account_id: UUID | None
    tier: str | None
    account_type: str | None
    country: str
    mno: str
    min_segments: int
    currency: str
    price: Decimal
    valid_from: datetime
    valid_to: datetime | None
    id: int | None = None

    @property
    def scope(self) -> Scope:
        """Whom it is for: of two rows of one scope the younger holds."""
        return (
            self.account_id,
            self.tier,
            self.account_type,
            self.country,
            self.mno,
            self.min_segments,
            self.currency,
        )


@dataclass(frozen=True, slots=True)
class Change:
    """What an import does to one row; `before` None: it begins, `after` None: it ends."""

    before: Tariff | None
    after: Tariff | None

    @property
    def what(self) -> str:
        return "added" if self.before is None else "ended" if self.after is None else "changed"


def tariff(row: Mapping[str, str], now: datetime) -> Tariff:
    """One row of a table; ValueError says what is wrong with it. None begins before now: what was charged stays."""
    price = row["price"]
    if not _PRICE.fullmatch(price):
        raise ValueError("a price is a decimal number of at most four places")
    volume = row.get("min_segments") or "0"
    if not volume.isdecimal() or len(volume) > len("1000000000000"):
        raise ValueError("min_segments is a whole number of segments")
    return checked(
        Tariff(
            account_id=UUID(row["account_id"]) if row.get("account_id") else None,
            tier=row.get("tier") or None,
            account_type=row.get("account_type") or None,
            country=row["country"].upper(),
            mno=row.get("mno") or "*",
            min_segments=int(volume),
            currency=row.get("currency") or "KES",
            price=Decimal(price),
            valid_from=max(_moment(row.get("valid_from")) or now, now),
            valid_to=_moment(row.get("valid_to")),
        )
    )


def checked(row: Tariff) -> Tariff:
    """The row; ValueError where it names nobody or nothing that there is."""
    if row.country not in AFRICAN_COUNTRIES:
        raise ValueError("the country is the ISO 3166 code of one of the 54 African countries")
    if not 1 <= len(row.mno) <= MAX_MNO or not row.mno.isprintable():
        raise ValueError(f"the name of an MNO has 1 to {MAX_MNO} characters; * is every other")
    if row.tier is not None and row.tier not in TIERS:
        raise ValueError(f"a tier is one of {', '.join(TIERS)}")
    if row.account_type is not None and row.account_type not in TYPES:
        raise ValueError(f"an account type is one of {', '.join(TYPES)}")
    if not _CURRENCY.fullmatch(row.currency):
        raise ValueError("a currency is three capital letters")
    if row.valid_to is not None and row.valid_to <= row.valid_from:
        raise ValueError("valid_to is after valid_from")
    return row


def _moment(text: str | None) -> datetime | None:
    if not text:
        return None
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def read_table(raw: bytes, now: datetime) -> list[Tariff]:
    """Every row of a CSV; Refused(422) naming each wrong line, for then nothing of it is taken."""
    reader = CsvReader()
    rows = reader.feed(raw) + reader.finish()
    header = [plain(cell).lower() for cell in rows[0][1]] if rows else []
    if any(name not in header for name in NEEDED) or len(set(header)) < len(header):
        raise unreadable(
            f"The first row names the columns: {', '.join(COLUMNS)}; all but country and price may miss."
        )
    if unknown := [name for name in header if name not in (*COLUMNS, "id")]:
        raise unreadable(f"There is no column {unknown[0]!r}.")
    if len(rows) > MAX_ROWS + 1:
        raise unreadable(f"A price list has at most {MAX_ROWS} rows.")
    found: dict[tuple[Scope, datetime], Tariff] = {}
    wrong: list[FieldError] = []
    for line, cells in rows[1:]:
        values = dict.fromkeys(NEEDED, "") | dict(zip(header, map(plain, cells), strict=False))
        try:
            row = tariff(values, now)
            if found.setdefault((row.scope, row.valid_from), row) is not row:
                raise ValueError("another line is for the same and from the same moment on")
        except ValueError as exc:
            wrong.append(FieldError(f"line {line}", "invalid_row", f"{exc}."))
    if wrong:
        raise invalid(wrong[:MAX_WRONG])
    if not found:
        raise unreadable("There is no row below the header.")
    return sorted(found.values(), key=lambda row: row.valid_from)


def changes(now: Sequence[Tariff], wanted: Sequence[Tariff], *, replace_all: bool) -> list[Change]:
    """What taking `wanted` does to the rows that hold now or later.

    A price that is there already stays; another price of the same scope takes its place from its own `valid_from` on.
    `replace_all`: what the table does not name ends.
    """
    found: list[Change] = []
    standing = list(now)
    for row in wanted:
        before = holding(standing, row)
        if before is not None and before.price == row.price and before.valid_to == row.valid_to:
            continue
        found.append(Change(before, row))
        standing = [each for each in standing if each is not before] + [row]
    if replace_all:
        named = {row.scope for row in wanted}
        found += [Change(row, None) for row in now if row.scope not in named]
    return found


def holding(rows: Sequence[Tariff], wanted: Tariff) -> Tariff | None:
    """The row of the same scope that holds when `wanted` begins: the youngest of them."""
    at = wanted.valid_from
    found = [
        row
        for row in rows
        if row.scope == wanted.scope and row.valid_from <= at and (row.valid_to is None or at < row.valid_to)
    ]
    return max(found, key=lambda row: row.valid_from, default=None)


def table(rows: Iterable[Tariff]) -> list[Sequence[str | None]]:
    """Rows in the form that `read_table` takes, with a header."""

    def cells(row: Tariff) -> list[str | None]:
        return [
            str(row.account_id) if row.account_id else None,
            row.tier,
            row.account_type,
            row.country,
            row.mno,
            str(row.min_segments),
            row.currency,
            f"{row.price:f}",
            row.valid_from.isoformat(),
            row.valid_to.isoformat() if row.valid_to else None,
        ]

    return [COLUMNS, *map(cells, rows)]
