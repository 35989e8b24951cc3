"""Bodies and answers about suppressions."""

from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field

from sema_main_api.http.bodies import Body, Query
from sema_main_api.http.paging import PageQuery
from sema_main_api.http.schemas import Answer, ListAnswer, Moment

Scope = Annotated[
    Literal["promotional", "all"],
    Field(description="promotional: the normal lane and campaigns; all: the priority lane too."),
]


class CreateSuppression(Body):
    phone: Annotated[str, Field(min_length=1, max_length=64, description="E.164 with +.")]
    scope: Scope = "promotional"
    reason: Annotated[
        str | None, Field(max_length=500, description="For yourself: who said so, and where.")
    ] = None


class Suppression(Answer):
    id: UUID
    phone: str
    scope: Scope
    reason: str | None
    created_at: Moment
    updated_at: Moment


class SuppressionQuery(PageQuery):
    phone: Annotated[str | None, Field(max_length=64)] = None
    scope: Literal["promotional", "all"] | None = None


class SuppressionList(ListAnswer):
    data: list[Suppression]


class ImportQuery(Query):
    """Of a CSV upload."""

    default_country: Annotated[
        str | None,
        Field(pattern="^[A-Z]{2}$", description="Reads national numbers (0712…) as this country's."),
    ] = None


class WrongRow(Answer):
    """A row of the CSV that was left out; `line` counts from 1, the header's."""

    line: int
    code: str
    detail: str


class Imported(Answer):
    """`errors` names the first 100 rows that were left out; all others are in force."""

    received: int
    added: int
    updated: int
    duplicates: int
    invalid: int
    errors: list[WrongRow]
