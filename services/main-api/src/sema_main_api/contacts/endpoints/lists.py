"""/v1/contact-lists: the lists themselves."""

from typing import Final
from uuid import UUID

from starlette.responses import Response

from sema_common.platform.db import Tx
from sema_common.values.ids import new_id
from sema_main_api.contacts import schemas
from sema_main_api.contacts.endpoints.deps import Deps
from sema_main_api.contacts.store import jobs, lists
from sema_main_api.http.bodies import read_body, read_query
from sema_main_api.http.callers import Caller
from sema_main_api.http.idempotency import Created, create_once
from sema_main_api.http.paging import Pager
from sema_main_api.http.problems import not_found
from sema_main_api.http.requests import Request
from sema_main_api.http.responses import json_response, no_content
from sema_main_api.http.store import Audit, write_audit

DELETE_SECONDS: Final = 120.0
"""A list of a million contacts is gone within it."""


async def create(deps: Deps, request: Request, caller: Caller) -> Response:
    """201 with an empty list."""
    wanted = await read_body(request, schemas.CreateList)

    async def insert(tx: Tx) -> Created:
        row = await lists.insert_list(
            tx, new_id(), caller.tenant_id, caller.account_id, wanted.name, wanted.default_country
        )
        body = schemas.ContactList.model_validate(row).model_dump(mode="json")
        subject = "contact_list", row.id
        await write_audit(
            tx, Audit.by(caller, request.request_id, "contact_list.created", subject, after=body)
        )
        return Created(row.id, body)

    return await create_once(deps.pipeline, request, caller, "contact_list", insert)


async def list_all(deps: Deps, request: Request, caller: Caller) -> Response:
    """The account's lists, newest first."""
    query = read_query(request, schemas.ListQuery)
    pager = Pager("contact-lists", caller.account_id, query)
    before = pager.after(UUID)
    async with deps.tenant.of(caller) as tx:
        rows = await lists.page_of_lists(tx, caller.account_id, before, query.name, pager.fetch)
    return json_response(pager.page(rows, schemas.ContactList.model_validate, lambda row: row.id))


async def read(deps: Deps, request: Request, caller: Caller) -> Response:
    """One list, with how many contacts it has and what is being validated."""
    async with deps.tenant.of(caller) as tx:
        row = await lists.read_list(tx, request.path_id(), caller.account_id)
        if row is None:
            raise not_found()
        counts = await lists.count_contacts(tx, row.id)
        live = await jobs.live_jobs(tx, row.id)
    numbers = {validity: counts.get(validity, 0) for validity in ("valid", "invalid", "pending")}
    shown = schemas.ContactListDetail(
        **schemas.ContactList.model_validate(row).model_dump(),
        contacts=schemas.Counts(total=sum(numbers.values()), **numbers),
        validation_jobs=live,
    )
    return json_response(shown)


async def delete(deps: Deps, request: Request, caller: Caller) -> Response:
    """204: the list, its contacts and its jobs are gone. Campaigns keep the recipients that they were given."""
    list_id = request.path_id()
    async with deps.pipeline.transaction(DELETE_SECONDS) as tx:
        if await lists.lock_list(tx, list_id, caller.account_id) is None:
            raise not_found()
        await jobs.lock_all_jobs(tx, list_id, DELETE_SECONDS)
        if not await lists.delete_list(tx, list_id, caller.account_id, DELETE_SECONDS):
            raise not_found()
        subject = "contact_list", list_id
        await write_audit(tx, Audit.by(caller, request.request_id, "contact_list.deleted", subject))
    return no_content()
