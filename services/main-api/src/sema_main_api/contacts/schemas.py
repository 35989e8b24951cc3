"""Bodies and answers about contact lists."""

from typing import Annotated, Final, Literal
from uuid import UUID

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from sema_common.values.msisdn import AFRICAN_COUNTRIES
from sema_main_api.contacts import rules
from sema_main_api.http.bodies import Body, Query
from sema_main_api.http.paging import PageQuery
from sema_main_api.http.schemas import Answer, ListAnswer, Moment

MAX_JSON: Final = 10_000


def _known(country: str) -> str:
    if country not in AFRICAN_COUNTRIES:
        raise PydanticCustomError("invalid_choice", "This is no ISO 3166 code of an African country.")
    return country


Country = Annotated[str, AfterValidator(_known)]
Validity = Literal["pending", "valid", "invalid"]
Text = Annotated[str, Field(max_length=rules.MAX_CELL)]
FieldName = Annotated[str, Field(min_length=1, max_length=rules.MAX_FIELD_NAME)]
Attributes = Annotated[
    dict[FieldName, Text],
    Field(max_length=rules.MAX_FIELDS, description="Merge fields of campaigns: `{{town}}`."),
]
Phone = Annotated[str, Field(min_length=1, max_length=rules.MAX_PHONE)]
Name = Annotated[str, Field(max_length=rules.MAX_NAME)]


class CreateList(Body):
    name: Annotated[str, Field(min_length=1, max_length=200)]
    default_country: Annotated[
        Country | None,
        Field(description="ISO 3166: reads national numbers (0712…) as this country's. It never changes."),
    ] = None


class ListQuery(PageQuery):
    name: Annotated[str | None, Field(max_length=200, description="A part of the name, in any case.")] = None


class ContactList(Answer):
    """`fields`: the attributes that its contacts have between them."""

    id: UUID
    name: str
    default_country: str | None
    fields: list[str]
    created_at: Moment


class Counts(Answer):
    total: int
    valid: int
    invalid: int
    pending: int


class ContactListDetail(ContactList):
    """`validation_jobs`: those that are queued or running; while there is one, no campaign can be sent to the list."""

    contacts: Counts
    validation_jobs: list[UUID]


class ContactLists(ListAnswer):
    data: list[ContactList]


class NewContact(Body):
    phone: Phone
    name: Name | None = None
    attributes: Attributes = Field(default_factory=dict)


class AddContacts(Body):
    contacts: Annotated[list[NewContact], Field(min_length=1, max_length=MAX_JSON)]


class WrongLine(Answer):
    """A row of the CSV that was left out; `line` counts from 1, the header's."""

    line: int
    code: str
    detail: str


class Added(Answer):
    """`received` = `added` + `duplicates` + `rejected`. `duplicates` were merged into the contact that the list had,
    or got from an earlier row; `errors` names the first 100 rows that are no contact at all."""

    validation_job_id: UUID
    received: int
    added: int
    duplicates: int
    rejected: int
    errors: list[WrongLine]


class ContactQuery(PageQuery):
    validity: Validity | None = None
    search: Annotated[
        str | None,
        Field(min_length=1, max_length=100, description="A part of the number or the name, in any case."),
    ] = None
    reason: Annotated[str | None, Field(max_length=50, description="Invalid for this reason.")] = None
    mno: Annotated[str | None, Field(max_length=100)] = None


class ExportQuery(Query):
    validity: Validity | None = None


class Contact(Answer):
    """`phone` is as it was given, `msisdn` what it means in E.164.

    `suggestion`: how to write it, where that is sure and it is written otherwise.
    """

    id: UUID
    phone: str
    name: str | None
    attributes: dict[str, str]
    validity: Validity
    msisdn: str | None
    country: str | None
    mno: str | None
    reason: str | None
    suggestion: str | None
    validation_job_id: UUID | None
    created_at: Moment
    validated_at: Moment | None


class ContactPage(ListAnswer):
    data: list[Contact]


class ChangeContact(Body):
    """Members that are absent stay as they are; a `phone` is validated again, even the same."""

    phone: Phone | None = None
    name: Name | None = None
    attributes: Attributes | None = None


class Discarded(Answer):
    discarded: int


class ValidationJob(Answer):
    """`processed` = `valid` + `invalid`; `by_mno` counts the valid ones, `by_reason` the others."""

    id: UUID
    contact_list_id: UUID
    status: Literal["queued", "running", "completed", "failed", "aborted"]
    total: int
    processed: int
    valid: int
    invalid: int
    by_mno: dict[str, int]
    by_reason: dict[str, int]
    failure: str | None
    created_at: Moment
    started_at: Moment | None
    finished_at: Moment | None


class ValidationJobs(ListAnswer):
    data: list[ValidationJob]


class Corrected(Answer):
    """`corrected` contacts took their suggestion and are validated again; `merged` ones were in the list already."""

    validation_job_id: UUID
    corrected: int
    merged: int
