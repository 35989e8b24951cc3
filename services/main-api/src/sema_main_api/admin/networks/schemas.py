"""The MNO registry as it is asked for, changed and shown."""

from typing import Annotated, Literal

from pydantic import Field

from sema_main_api.http.bodies import Body, Query
from sema_main_api.http.paging import PageQuery
from sema_main_api.http.schemas import Answer, ListAnswer

Source = Literal["curated", "libphonenumber"]


class MnoPrefixQuery(PageQuery):
    """Filters are joined by *and*; the list is in the order of its prefixes."""

    prefix: Annotated[str | None, Field(max_length=16, description="How the prefix begins: `25474`.")] = None
    source: Source | None = None
    country: Annotated[str | None, Field(pattern="^[A-Z]{2}$", description="ISO 3166.")] = None
    mno: Annotated[str | None, Field(max_length=100, description="A part of the name, in any case.")] = None


class MnoPrefix(Answer):
    """Numbers that begin with `prefix` (E.164 without plus) were issued to `mno`. Curated rows win."""

    prefix: str
    source: Source
    country: str
    calling_code: str
    mno: str
    note: str | None


class MnoPrefixList(ListAnswer):
    data: list[MnoPrefix]


class PutMnoPrefix(Body):
    """A row to add, or to change when the source has that prefix already."""

    prefix: Annotated[str, Field(min_length=2, max_length=16)]
    country: Annotated[str, Field(min_length=2, max_length=2)]
    mno: Annotated[str, Field(min_length=1, max_length=100)]
    source: Source = "curated"
    note: Annotated[str | None, Field(max_length=100)] = None


class SourceQuery(Query):
    source: Source = "curated"


class ExportMnoPrefixes(Query):
    source: Source | None = None


class ImportMnoPrefixes(Query):
    """Of an upload of the registry."""

    dry_run: Annotated[bool, Field(description="Only show what would change.")] = False
    replace: Annotated[
        bool, Field(description="Rows of the sources in the table that it does not name are removed.")
    ] = False


class MnoPrefixChange(Answer):
    what: Literal["added", "changed", "removed"]
    before: MnoPrefix | None
    after: MnoPrefix | None


class ImportedMnoPrefixes(Answer):
    """`changes` names every one of them."""

    dry_run: bool
    rows: int
    added: int
    changed: int
    removed: int
    unchanged: int
    changes: list[MnoPrefixChange]


class MnoDisagreement(Answer):
    """For numbers that begin with `prefix` the curated row is in force, and the carrier data says otherwise."""

    prefix: str
    country: str
    curated: MnoPrefix
    carrier: MnoPrefix


class MnoDisagreements(Answer):
    data: list[MnoDisagreement]


class LookupQuery(Query):
    phone: Annotated[str, Field(min_length=1, max_length=64, description="E.164 with +.")]


class MnoLookup(Answer):
    """`tier`: 1 curated, 2 carrier data; null where neither knows the number."""

    phone: str
    country: str
    mno: str | None
    tier: int | None
