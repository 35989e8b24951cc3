"""/v1/contact-lists and /v1/validation-jobs."""

from typing import Final

from sema_main_api.contacts import schemas
from sema_main_api.contacts.endpoints import contacts, jobs, lists
from sema_main_api.contacts.endpoints.deps import Deps as Deps
from sema_main_api.http.paging import PageQuery
from sema_main_api.http.routing import TABLES, WRITERS, Operation

_LISTS: Final = "Contact lists"
_READ: Final = "contacts:read"
_WRITE: Final = "contacts:write"

OPERATIONS: Final = (
    Operation(
        "POST", "/v1/contact-lists", lists.create, "Create a contact list", _LISTS,
        scope=_WRITE, roles=WRITERS, creates=True, body=schemas.CreateList, answers={201: schemas.ContactList},
    ),
    Operation(
        "GET", "/v1/contact-lists", lists.list_all, "List contact lists", _LISTS,
        scope=_READ, query=schemas.ListQuery, answers={200: schemas.ContactLists},
    ),
    Operation(
        "GET", "/v1/contact-lists/{id}", lists.read, "Read a contact list", _LISTS,
        scope=_READ, answers={200: schemas.ContactListDetail},
    ),
    Operation(
        "DELETE", "/v1/contact-lists/{id}", lists.delete, "Delete a contact list", _LISTS,
        scope=_WRITE, roles=WRITERS, answers={204: None},
    ),
    Operation(
        "POST", "/v1/contact-lists/{id}/contacts", contacts.add, "Add contacts, as JSON or as CSV", _LISTS,
        scope=_WRITE, roles=WRITERS, creates=True, body=schemas.AddContacts, answers={202: schemas.Added},
        max_body=contacts.MAX_UPLOAD, csv=TABLES,
        description="JSON: up to 10,000 contacts, 1 MB. CSV, as `text/csv` or as the one part of a form: up to "
        "1,000,000 rows, 256 MB, UTF-8; the first row names the columns: `phone`, `name` if wanted, every other one "
        "becomes an attribute. Rows for the same number are merged and counted. All rows are stored, or none; then "
        "they are validated in the background.",
    ),
    Operation(
        "GET", "/v1/contact-lists/{id}/contacts", contacts.list_all, "List and search contacts", _LISTS,
        scope=_READ, query=schemas.ContactQuery, answers={200: schemas.ContactPage},
    ),
    Operation(
        "GET", "/v1/contact-lists/{id}/contacts/{contact_id}", contacts.read, "Read a contact", _LISTS,
        scope=_READ, answers={200: schemas.Contact},
    ),
    Operation(
        "PATCH", "/v1/contact-lists/{id}/contacts/{contact_id}", contacts.change, "Correct a contact", _LISTS,
        scope=_WRITE, roles=WRITERS, body=schemas.ChangeContact, answers={200: schemas.Contact},
        problems={409: "`duplicate_contact`"},
    ),
    Operation(
        "DELETE", "/v1/contact-lists/{id}/contacts/{contact_id}", contacts.delete, "Delete a contact", _LISTS,
        scope=_WRITE, roles=WRITERS, answers={204: None},
    ),
    Operation(
        "GET", "/v1/contact-lists/{id}/export", contacts.export, "All contacts as CSV", _LISTS,
        scope=_READ, query=schemas.ExportQuery, produces="text/csv",
        description="Safe to open in a spreadsheet, and taken again by an upload.",
    ),
    Operation(
        "POST", "/v1/contact-lists/{id}/discard-invalid", jobs.discard_invalid, "Discard invalid contacts", _LISTS,
        scope=_WRITE, roles=WRITERS, answers={200: schemas.Discarded},
    ),
    Operation(
        "POST", "/v1/contact-lists/{id}/apply-suggestions", jobs.apply_suggestions, "Take all suggestions", _LISTS,
        scope=_WRITE, roles=WRITERS, answers={202: schemas.Corrected},
    ),
    Operation(
        "GET", "/v1/contact-lists/{id}/validation-jobs", jobs.list_all, "List a list's validation jobs", _LISTS,
        scope=_READ, query=PageQuery, answers={200: schemas.ValidationJobs},
    ),
    Operation(
        "GET", "/v1/validation-jobs/{id}", jobs.read, "Follow a validation", _LISTS,
        scope=_READ, answers={200: schemas.ValidationJob},
    ),
    Operation(
        "POST", "/v1/validation-jobs/{id}/abort", jobs.abort, "Abort a validation", _LISTS,
        scope=_WRITE, roles=WRITERS, answers={200: schemas.ValidationJob}, problems={409: "`not_abortable`"},
    ),
    Operation(
        "POST", "/v1/validation-jobs/{id}/resume", jobs.resume, "Go on with a validation", _LISTS,
        scope=_WRITE, roles=WRITERS, answers={202: schemas.ValidationJob}, problems={409: "`not_resumable`"},
    ),
)  # fmt: skip
