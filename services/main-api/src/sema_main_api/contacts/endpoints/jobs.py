"""/v1/validation-jobs: how far a validation is, and what the customer makes of its result."""

from typing import Final
from uuid import UUID

from starlette.responses import Response

from sema_common.platform.db import Tx
from sema_common.values.errors import Refused
from sema_common.values.ids import new_id
from sema_main_api.contacts import schemas
from sema_main_api.contacts.endpoints.deps import Deps
from sema_main_api.contacts.store import contacts, jobs, lists
from sema_main_api.http.bodies import read_query
from sema_main_api.http.callers import Caller
from sema_main_api.http.paging import PageQuery, Pager
from sema_main_api.http.problems import not_found
from sema_main_api.http.requests import Request
from sema_main_api.http.responses import json_response
from sema_main_api.http.store import Audit, write_audit

LIVE: Final = ("queued", "running")
ENDED_EARLY: Final = ("aborted", "failed")
SET_SECONDS: Final = 120.0
"""For what touches every invalid contact of a list."""


async def read(deps: Deps, request: Request, caller: Caller) -> Response:
    """Its counters, as of the last chunk that phone-validator committed."""
    async with deps.tenant.of(caller) as tx:
        row = await jobs.read_job(tx, request.path_id(), caller.account_id)
    if row is None:
        raise not_found()
    return json_response(schemas.ValidationJob.model_validate(row))


async def list_all(deps: Deps, request: Request, caller: Caller) -> Response:
    """The jobs of one list, newest first."""
    list_id = request.path_id()
    pager = Pager(f"validation-jobs:{list_id}", caller.account_id, read_query(request, PageQuery))
    before = pager.after(UUID)
    async with deps.tenant.of(caller) as tx:
        if await lists.read_list(tx, list_id, caller.account_id) is None:
            raise not_found()
        rows = await jobs.page_of_jobs(tx, list_id, caller.account_id, before, pager.fetch)
    return json_response(pager.page(rows, schemas.ValidationJob.model_validate, lambda row: row.id))


async def abort(deps: Deps, request: Request, caller: Caller) -> Response:
    """200 once it is over: at most the chunk in hand was still judged. Aborting twice is no error."""
    async with deps.pipeline.transaction() as tx:
        row = await _locked(tx, request.path_id(), caller)
        if row.status in LIVE:
            row = await jobs.abort_job(tx, row.id)
            await _audit(tx, caller, request, "validation_job.aborted", row.id)
        elif row.status != "aborted":
            raise Refused("not_abortable", f"This job is {row.status}.", 409)
    return json_response(schemas.ValidationJob.model_validate(row))


async def resume(deps: Deps, request: Request, caller: Caller) -> Response:
    """202: it goes on with what is still pending of it."""
    async with deps.pipeline.transaction(SET_SECONDS) as tx:
        row = await _locked(tx, request.path_id(), caller)
        if row.status not in ENDED_EARLY:
            raise Refused("not_resumable", f"This job is {row.status}.", 409)
        row = await jobs.resume_job(tx, row.id)
        found = await lists.read_list(tx, row.contact_list_id, caller.account_id)
        await _audit(tx, caller, request, "validation_job.resumed", row.id)
    country = found.default_country if found else None
    await deps.telling.tell(jobs.Untold(row.id, row.account_id, row.contact_list_id, country))
    return json_response(schemas.ValidationJob.model_validate(row), 202)


async def discard_invalid(deps: Deps, request: Request, caller: Caller) -> Response:
    """200: what was found invalid is no longer in the list."""
    async with deps.pipeline.transaction(SET_SECONDS) as tx:
        row = await _locked_list(tx, request.path_id(), caller)
        discarded = await contacts.discard_invalid(tx, row.id, SET_SECONDS)
        after = {"discarded": discarded}
        await _audit(tx, caller, request, "contact_list.invalid_discarded", row.id, "contact_list", after)
    return json_response(schemas.Discarded(discarded=discarded))


async def apply_suggestions(deps: Deps, request: Request, caller: Caller) -> Response:
    """202: every invalid contact with a suggestion takes it and is validated again."""
    async with deps.pipeline.transaction(SET_SECONDS) as tx:
        found = await _locked_list(tx, request.path_id(), caller)
        job = await jobs.insert_job(tx, new_id(), caller.tenant_id, caller.account_id, found.id)
        corrected, merged = await contacts.apply_suggestions(tx, found.id, job.id, SET_SECONDS)
        await jobs.set_total(tx, job.id, corrected)
        after = {"corrected": corrected, "merged": merged}
        await _audit(tx, caller, request, "contact_list.suggestions_applied", found.id, "contact_list", after)
    if corrected:
        await deps.telling.tell(jobs.Untold(job.id, caller.account_id, found.id, found.default_country))
    return json_response(schemas.Corrected(validation_job_id=job.id, corrected=corrected, merged=merged), 202)


async def _locked(tx: Tx, job_id: UUID, caller: Caller) -> jobs.JobRow:
    row = await jobs.lock_job(tx, job_id, caller.account_id)
    if row is None:
        raise not_found()
    return row


async def _locked_list(tx: Tx, list_id: UUID, caller: Caller) -> lists.ListRow:
    row = await lists.lock_list(tx, list_id, caller.account_id)
    if row is None:
        raise not_found()
    return row


async def _audit(
    tx: Tx,
    caller: Caller,
    request: Request,
    action: str,
    subject_id: UUID,
    kind: str = "validation_job",
    after: dict[str, int] | None = None,
) -> None:
    await write_audit(tx, Audit.by(caller, request.request_id, action, (kind, subject_id), after=after))
