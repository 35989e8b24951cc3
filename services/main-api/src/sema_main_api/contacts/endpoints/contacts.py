"""/v1/contact-lists/{id}/contacts: added, read, corrected, exported."""

from collections.abc import AsyncIterator
from typing import Final
from uuid import UUID

from starlette.responses import Response, StreamingResponse

from sema_common.platform.db import Tx, UniqueViolation
from sema_common.values.errors import FieldError, Refused, RetryLater
from sema_common.values.ids import new_id
from sema_main_api.contacts import metrics, rules, schemas
from sema_main_api.contacts.endpoints.deps import Deps
from sema_main_api.contacts.endpoints.jobs import LIVE
from sema_main_api.contacts.store import contacts, jobs, lists
from sema_main_api.contacts.uploading import Upload, read_csv
from sema_main_api.http import tables
from sema_main_api.http.bodies import invalid, parse_body, read_body, read_query
from sema_main_api.http.callers import Caller
from sema_main_api.http.idempotency import Created, create_once
from sema_main_api.http.paging import Pager
from sema_main_api.http.problems import not_found
from sema_main_api.http.requests import Request
from sema_main_api.http.responses import json_response, no_content
from sema_main_api.http.routing import MAX_BODY
from sema_main_api.http.store import Audit, write_audit
from sema_main_api.http.uploads import csv_pieces

MAX_UPLOAD: Final = 256 << 20
STORE_SECONDS: Final = 600.0
"""For the commit of a million rows, on a machine that has other things to do."""

EXPORT_ROWS: Final = 2_000
JSON: Final = "application/json"


async def add(deps: Deps, request: Request, caller: Caller) -> Response:
    """202 when all rows are stored; none of them is where anything goes wrong."""
    list_id = request.path_id()
    async with deps.tenant.of(caller) as tx:
        found = await lists.read_list(tx, list_id, caller.account_id)
    if found is None:
        raise not_found()
    digest = f"{request.method} {request.url.path}\n".encode()
    async with deps.uploads.reading(caller.account_id, found.default_country, digest) as upload:
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() == JSON:
            await _read_json(request, upload)
        else:
            await read_csv(upload, csv_pieces(request))
        upload.refuse_empty()
        async with deps.uploads.storing(list_id):
            return await _store(deps, request, caller, list_id, upload)


async def _read_json(request: Request, upload: Upload) -> None:
    request.cap = MAX_BODY
    raw = await request.body()
    body = parse_body(raw, schemas.AddContacts)
    wrong: list[FieldError] = []
    for index, new in enumerate(body.contacts):
        at = f"contacts.{index}"
        problems = filter(None, map(rules.field_problem, new.attributes))
        wrong.extend(FieldError(f"{at}.attributes", "invalid", f"{problem}.") for problem in problems)
        try:
            upload.take(new.phone, new.name or None, new.attributes)
        except rules.WrongRow as exc:
            wrong.append(FieldError(at, exc.code, str(exc)))
    if wrong:
        raise invalid(wrong[:100])
    upload.end_of_json(raw)


async def _store(deps: Deps, request: Request, caller: Caller, list_id: UUID, upload: Upload) -> Response:
    stored: list[jobs.Untold] = []

    async def put(tx: Tx) -> Created:
        found = await lists.lock_list(tx, list_id, caller.account_id)
        if found is None:
            raise not_found()
        live = await jobs.lock_live_jobs(tx, list_id)
        fields = rules.merged_fields(found.fields, upload.fields)
        if fields != found.fields:
            await lists.set_fields(tx, list_id, fields)
        job = await jobs.insert_job(tx, new_id(), caller.tenant_id, caller.account_id, list_id)
        added = 0
        for batch in upload.batches():
            added += await contacts.put_batch(tx, job, caller.tenant_id, live, batch)
        total = await contacts.count_pending(tx, job.id, STORE_SECONDS)
        await jobs.set_total(tx, job.id, total)
        counts = {
            "received": upload.received,
            "added": added,
            "duplicates": upload.received - upload.rejected - added,
            "rejected": upload.rejected,
        }
        subject = "contact_list", list_id
        audit = Audit.by(caller, request.request_id, "contact_list.contacts_added", subject, after=counts)
        await write_audit(tx, audit)
        stored.clear()
        if total:
            stored.append(jobs.Untold(job.id, caller.account_id, list_id, found.default_country))
        return Created(job.id, {"validation_job_id": str(job.id), **counts, "errors": upload.wrong}, 202)

    with metrics.STORE_SECONDS.time():
        response = await create_once(
            deps.pipeline,
            request,
            caller,
            "contact_upload",
            put,
            timeout=STORE_SECONDS,
            fingerprint=upload.fingerprint,
        )
    for job in stored:
        await deps.telling.tell(job)
    return response


async def list_all(deps: Deps, request: Request, caller: Caller) -> Response:
    """The contacts of one list, newest first."""
    list_id = request.path_id()
    query = read_query(request, schemas.ContactQuery)
    pager = Pager(f"contacts:{list_id}", caller.account_id, query)
    before = pager.after(UUID) or contacts.LAST
    filters = query.validity, query.search, query.reason, query.mno
    async with deps.tenant.of(caller) as tx:
        if await lists.read_list(tx, list_id, caller.account_id) is None:
            raise not_found()
        rows = await contacts.page_of_contacts(tx, list_id, caller.account_id, before, filters, pager.fetch)
    return json_response(pager.page(rows, schemas.Contact.model_validate, lambda row: row.id))


async def read(deps: Deps, request: Request, caller: Caller) -> Response:
    """One contact, with the verdict on its number."""
    ids = request.path_id("contact_id"), request.path_id()
    async with deps.tenant.of(caller) as tx:
        row = await contacts.read_contact(tx, *ids, caller.account_id)
    if row is None:
        raise not_found()
    return json_response(schemas.Contact.model_validate(row))


async def change(deps: Deps, request: Request, caller: Caller) -> Response:
    """200 with the contact; with a `phone` it is pending, and validated again by the job that it names."""
    wanted = await read_body(request, schemas.ChangeContact)
    for field in wanted.attributes or {}:
        if problem := rules.field_problem(field):
            raise invalid([FieldError("attributes", "invalid", f"{problem}.")])
    list_id = request.path_id()
    stored: list[jobs.Untold] = []
    # Another name touches nothing but the contact. Attributes may be new to the list, and a new job refers to it: the
    # list is held first, as whoever adds to it or deletes it holds it before jobs and contacts.
    find = lists.read_list if wanted.attributes is None and wanted.phone is None else lists.lock_list
    async with deps.pipeline.transaction() as tx:
        found = await find(tx, list_id, caller.account_id)
        if found is None:
            raise not_found()
        row, live = await _held(tx, request, caller)
        name = (wanted.name or None) if "name" in wanted.model_fields_set else row.name
        attributes = dict(wanted.attributes) if wanted.attributes is not None else row.attributes
        if wanted.attributes is not None:
            fields = rules.merged_fields(found.fields, tuple(attributes))
            if fields != found.fields:
                await lists.set_fields(tx, list_id, fields)
        after = await contacts.describe(tx, row.id, name, attributes)
        if wanted.phone is not None:
            try:
                contact = rules.checked(wanted.phone, None, {}, found.default_country)
            except rules.WrongRow as exc:
                raise invalid([FieldError("phone", exc.code, str(exc))]) from None
            job_id = row.validation_job_id if live else None
            if job_id is None:
                job_id = (
                    await jobs.insert_job(tx, new_id(), caller.tenant_id, caller.account_id, list_id)
                ).id
                await jobs.set_total(tx, job_id, 1)
                stored.append(jobs.Untold(job_id, caller.account_id, list_id, found.default_country))
            try:
                after = await contacts.renumber(tx, row.id, contact.phone, contact.key, job_id)
            except UniqueViolation:
                detail = "Another contact of this list has that number."
                raise Refused("duplicate_contact", detail, 409) from None
        subject = "contact", row.id
        await write_audit(tx, Audit.by(caller, request.request_id, "contact.changed", subject))
    for job in stored:
        await deps.telling.tell(job)
    return json_response(schemas.Contact.model_validate(after))


async def delete(deps: Deps, request: Request, caller: Caller) -> Response:
    """204: it is no longer in the list."""
    async with deps.pipeline.transaction() as tx:
        row, live = await _held(tx, request, caller)
        await contacts.delete_contact(tx, row.id)
        if live and row.validation_job_id is not None:
            await jobs.one_less(tx, row.validation_job_id)
        await write_audit(tx, Audit.by(caller, request.request_id, "contact.deleted", ("contact", row.id)))
    return no_content()


async def _held(tx: Tx, request: Request, caller: Caller) -> tuple[contacts.ContactRow, bool]:
    """The contact, locked, and whether a living job has it still before it (locked too, and first)."""
    ids = request.path_id("contact_id"), request.path_id()
    row = await contacts.read_contact(tx, *ids, caller.account_id)
    if row is None:
        raise not_found()
    job = row.validation_job_id and await jobs.lock_job(tx, row.validation_job_id, caller.account_id)
    held = await contacts.lock_contact(tx, *ids, caller.account_id)
    if held is None:
        raise not_found()
    if held.validation_job_id != row.validation_job_id:
        raise RetryLater("the contact is being changed by somebody else")
    return held, bool(job and job.status in LIVE and held.validity == "pending")


async def export(deps: Deps, request: Request, caller: Caller) -> Response:
    """CSV in the form that an upload takes, the verdicts in columns that an upload passes over."""
    list_id = request.path_id()
    query = read_query(request, schemas.ExportQuery)
    async with deps.tenant.of(caller) as tx:
        found = await lists.read_list(tx, list_id, caller.account_id)
    if found is None:
        raise not_found()

    async def pages() -> AsyncIterator[str]:
        yield tables.write([("phone", "name", *found.fields, *rules.OWN_COLUMNS)])
        after = contacts.FIRST
        while True:
            async with deps.tenant.of(caller) as tx:
                rows = await contacts.page_of_export(
                    tx, list_id, caller.account_id, after, query.validity, EXPORT_ROWS
                )
            yield tables.write(
                (row.phone, row.name, *map(row.attributes.get, found.fields), *row.verdict) for row in rows
            )
            if len(rows) < EXPORT_ROWS:
                return
            after = rows[-1].id

    disposition = {"content-disposition": 'attachment; filename="contacts.csv"'}
    return StreamingResponse(pages(), headers=disposition, media_type="text/csv; charset=utf-8")
