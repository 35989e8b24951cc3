"""What a row of an uploaded table says, and when two rows are the same contact. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from sema_common.values.errors import FieldError
from sema_common.values.msisdn import InvalidMsisdn, parse_msisdn
from sema_main_api.http.bodies import invalid
from sema_main_api.http.tables import plain, unreadable

MAX_ROWS: Final = 1_000_000
MAX_FIELDS: Final = 50
"""Attributes that the contacts of one list have between them: columns of its export."""

MAX_FIELD_NAME: Final = 64
MAX_CELL: Final = 1_000
MAX_PHONE: Final = 100
MAX_NAME: Final = 200

OWN_COLUMNS: Final = (
    "sema_msisdn",
    "sema_validity",
    "sema_country",
    "sema_mno",
    "sema_reason",
    "sema_suggestion",
)
"""Columns that an export adds; an upload passes over everything that begins like them."""

_OWN: Final = "sema_"


@dataclass(frozen=True, slots=True)
class Contact:
    """A contact as a customer gave it; `key` is the same for two spellings of one number."""

    phone: str
    key: str
    name: str | None
    attributes: Mapping[str, str]


class WrongRow(ValueError):
    """A row that is no contact: a stable code, a sentence."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code


@dataclass(frozen=True, slots=True)
class Columns:
    """Where a table's cells belong."""

    width: int
    phone: int
    name: int | None
    fields: tuple[tuple[int, str], ...]


def columns(header: Sequence[str]) -> Columns:
    """What the first row says; Refused(422) when there is no column `phone`, or one name twice."""
    names = [plain(name) for name in header]
    while names and not names[-1]:
        names.pop()
    lowered = [name.lower() for name in names]
    if "phone" not in lowered:
        raise unreadable("The first row names the columns; one of them is `phone`.")
    known = [name if name in ("phone", "name") else names[i] for i, name in enumerate(lowered) if name]
    if twice := sorted({name for name in known if known.count(name) > 1}):
        raise unreadable(f"Two columns are called `{twice[0][:MAX_FIELD_NAME]}`.")
    fields = tuple(
        (i, name)
        for i, name in enumerate(names)
        if name and lowered[i] not in ("phone", "name") and not lowered[i].startswith(_OWN)
    )
    for _, name in fields:
        if problem := field_problem(name):
            raise unreadable(f"The column `{name[:MAX_FIELD_NAME]}`: {problem}.")
    if len(fields) > MAX_FIELDS:
        raise unreadable(f"A table has at most {MAX_FIELDS} columns besides `phone` and `name`.")
    name_at = lowered.index("name") if "name" in lowered else None
    return Columns(len(names), lowered.index("phone"), name_at, fields)


def contact(cells: Sequence[str], where: Columns, country: str | None) -> Contact:
    """One row of a table; WrongRow when it is no contact at all. An impossible number is one: it is validated later."""
    if len(cells) > where.width and any(cells[where.width :]):
        raise WrongRow("too_many_cells", f"It has {len(cells)} cells, the header has {where.width}.")
    values = [plain(cell) for cell in cells]
    values.extend([""] * (where.width - len(values)))
    for value in values:
        if "\x00" in value:
            raise WrongRow("invalid_characters", "NUL is no text.")
        if len(value) > MAX_CELL:
            raise WrongRow("too_long", f"A cell has at most {MAX_CELL} characters.")
    name = values[where.name] if where.name is not None else ""
    attributes = {field: values[i] for i, field in where.fields if values[i]}
    return checked(values[where.phone], name or None, attributes, country)


def checked(phone: str, name: str | None, attributes: Mapping[str, str], country: str | None) -> Contact:
    """A contact with its key; WrongRow for a phone or name that cannot be kept."""
    phone = phone.strip()
    if not phone:
        raise WrongRow("empty", "There is no number.")
    if len(phone) > MAX_PHONE:
        raise WrongRow("too_long", f"A phone has at most {MAX_PHONE} characters.")
    if name is not None and len(name) > MAX_NAME:
        raise WrongRow("too_long", f"A name has at most {MAX_NAME} characters.")
    return Contact(phone, phone_key(phone, country), name, attributes)


def phone_key(phone: str, country: str | None) -> str:
    """The number, where it can be read as one; else the text without blanks, which is never a number."""
    try:
        return parse_msisdn(phone, country)
    except InvalidMsisdn:
        return "".join(phone.lower().split())


def field_problem(name: str) -> str | None:
    """Why this cannot be an attribute's name, if it cannot."""
    if not 1 <= len(name) <= MAX_FIELD_NAME or name != name.strip():
        return f"a name has 1 to {MAX_FIELD_NAME} characters, no blanks around them"
    if any(character in name for character in "{}\x00\n"):
        return "a name has no braces, line ends or NUL"
    return None


def merged_fields(known: Sequence[str], new: Sequence[str]) -> list[str]:
    """The list's attributes after an upload, in order of appearance; Refused(422) beyond MAX_FIELDS."""
    fields = list(dict.fromkeys((*known, *new)))
    if len(fields) > MAX_FIELDS:
        detail = f"The contacts of a list have at most {MAX_FIELDS} attributes between them."
        raise invalid([FieldError("attributes", "too_many", detail)])
    return fields
