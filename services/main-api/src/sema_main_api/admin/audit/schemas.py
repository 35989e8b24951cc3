"""The audit log as it is asked for and shown."""

from typing import Any
from uuid import UUID

from pydantic import Field

from sema_main_api.http.paging import PageQuery
from sema_main_api.http.schemas import Answer, Instant, ListAnswer, Moment


class AuditQuery(PageQuery):
    """Filters are joined by *and*."""

    actor: str | None = Field(
        default=None,
        max_length=200,
        description="`staff`, `user`, `key`, or the name of a command line's user.",
    )
    actor_id: UUID | None = Field(default=None, description="The user's or the key's id.")
    action: str | None = Field(
        default=None, max_length=100, description="`dead_letter.discarded`, or how it begins: `dead_letter.`"
    )
    subject_type: str | None = Field(default=None, max_length=100)
    subject_id: str | None = Field(default=None, max_length=200)
    account_id: UUID | None = Field(default=None, description="Whose account it was about.")
    since: Instant | None = Field(default=None, description="From then on.")
    until: Instant | None = Field(default=None, description="Before then.")


class AuditEntry(Answer):
    """Who did what to what, and what it was before and after. Holds no secret and no text of a message."""

    id: int
    at: Moment
    actor: str
    actor_id: UUID | None
    action: str
    subject_type: str
    subject_id: str
    account_id: UUID | None
    before: dict[str, Any] | None
    after: dict[str, Any] | None
    reason: str | None
    request_id: str | None


class AuditList(ListAnswer):
    data: list[AuditEntry]
