"""Bodies and answers about dead letters."""

from typing import Any, Literal, Self
from uuid import UUID

from pydantic import Field, model_validator

from sema_main_api.admin.dead_letters.rules.effects import Does
from sema_main_api.http.bodies import Body, Query
from sema_main_api.http.paging import PageQuery
from sema_main_api.http.schemas import Answer, Instant, ListAnswer, Moment

MAX_MANY = 200


class DeadQueue(Answer):
    """The letters of one queue. `oldest_open_at` is when the oldest undecided one was set aside."""

    queue: str
    open: int
    republished: int
    discarded: int
    oldest_open_at: Moment | None


class DeadQueues(Answer):
    data: list[DeadQueue]


class LetterFilter(Body):
    """Joined by *and*. `reason` is how it begins."""

    reason: str | None = Field(default=None, max_length=200, description="How the reason begins.")
    type: str | None = Field(default=None, max_length=100, description="The wire type, such as `sms.jobs`.")
    dead_after: Instant | None = Field(default=None, description="Set aside from then on.")
    dead_before: Instant | None = Field(default=None, description="Set aside before then.")


class LetterQuery(PageQuery):
    state: Literal["open", "republished", "discarded"] = "open"
    reason: str | None = Field(default=None, max_length=200, description="How the reason begins.")
    type: str | None = Field(default=None, max_length=100, description="The wire type, such as `sms.jobs`.")
    dead_after: Instant | None = Field(default=None, description="Set aside from then on.")
    dead_before: Instant | None = Field(default=None, description="Set aside before then.")

    @property
    def filter(self) -> LetterFilter:
        return LetterFilter(
            reason=self.reason, type=self.type, dead_after=self.dead_after, dead_before=self.dead_before
        )


class DeadLetterEntry(Answer):
    """`deliveries`: how often its room had it. `told_at`: when what was decided had been published."""

    id: UUID
    queue: str
    state: Literal["open", "republished", "discarded"]
    reason: str
    type: str
    version: str
    size: int
    deliveries: int
    dead_at: Moment
    decided_at: Moment | None
    decided_by: str | None
    told_at: Moment | None


class DeadLetterList(ListAnswer):
    data: list[DeadLetterEntry]


class LetterProblem(Answer):
    """What is wrong in a body that cannot be read; never the value itself."""

    field: str
    code: str
    detail: str


class LetterEffect(Answer):
    """What would become of one part. `does`: submit, expire, repeat, settle, process, nothing, park."""

    subject: str | None
    does: Does
    detail: str


class DeadLetter(DeadLetterEntry):
    """`payload` is the body as JSON, masked unless `revealed`; None where it is no JSON: then `text` holds it when
    revealed. `replay` and `discard` say what either would do now."""

    headers: dict[str, Any]
    payload: Any
    text: str | None
    sha256: str
    revealed: bool
    problems: list[LetterProblem]
    replay: list[LetterEffect]
    discard: list[LetterEffect]


class RevealQuery(Query):
    reveal: bool = Field(
        default=False, description="Show numbers and texts: for `staff_admin`, and a line of the audit log."
    )


class Reasoned(Body):
    reason: str | None = Field(default=None, min_length=1, max_length=500, description="For the audit log.")


class Republish(Reasoned):
    """A corrected payload may mend the form; a number, a text or a price is what it was."""

    payload: dict[str, Any] | None = None
    type: str | None = Field(
        default=None, max_length=100, description="Of the payload, where the letter's is wrong."
    )
    version: int | None = Field(default=None, ge=1, le=1000)

    @model_validator(mode="after")
    def _with_payload(self) -> Self:
        if self.payload is None and (self.type is not None or self.version is not None):
            raise ValueError("a type or version goes with a payload")
        return self


class RepublishMany(Reasoned):
    """By `ids`, or the open letters that a `filter` finds, oldest first, from `cursor` on."""

    ids: list[UUID] | None = Field(default=None, min_length=1, max_length=MAX_MANY)
    filter: LetterFilter | None = None
    limit: int = Field(default=50, ge=1, le=MAX_MANY)
    cursor: str | None = Field(default=None, max_length=100)

    @model_validator(mode="after")
    def _one_of(self) -> Self:
        if (self.ids is None) == (self.filter is None):
            raise ValueError("either ids or a filter")
        return self


class RepublishResult(Answer):
    """`code` is None for one that was sent again, else why it was not."""

    id: UUID
    republished: bool
    code: str | None
    detail: str | None


class RepublishResults(Answer):
    """`next_cursor`: where the filter goes on, None when it has found all."""

    data: list[RepublishResult]
    republished: int
    skipped: int
    next_cursor: str | None
