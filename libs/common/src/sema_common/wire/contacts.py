"""Jobs for phone-validator on `contacts.validate`: the list's numbers stay in Postgres, the job names them."""

from typing import ClassVar
from uuid import UUID

from sema_common.wire.envelope import WireMessage


class ValidateContacts(WireMessage):
    """Validate what is still pending of one job. Repeating it is harmless: only pending rows are touched."""

    TYPE: ClassVar[str] = "contacts.validate"
    job_id: UUID
    account_id: UUID
    contact_list_id: UUID
    default_country: str | None = None
