"""/v1/admin/sender-ids: shown with what they look like, approved, rejected."""

from dataclasses import asdict
from uuid import UUID

from starlette.responses import Response

from sema_common.platform.db import Tx
from sema_content_checker import skeleton
from sema_main_api.admin.senders import rules, schemas, store
from sema_main_api.admin.senders.endpoints.deps import Deps, audit
from sema_main_api.http.bodies import read_body, read_query
from sema_main_api.http.callers import Staff
from sema_main_api.http.paging import Pager
from sema_main_api.http.problems import not_found
from sema_main_api.http.requests import Request
from sema_main_api.http.responses import json_response


async def list_senders(deps: Deps, request: Request, staff: Staff) -> Response:
    """Of every account, the youngest first; `status=pending` is what waits for a decision."""
    query = read_query(request, schemas.SenderQuery)
    pager = Pager("admin-sender-ids", staff.user_id, query)
    before = pager.after(UUID)
    like = None if query.sender is None else skeleton(query.sender)
    async with deps.pipeline.transaction() as tx:
        rows = await store.list_senders(tx, before, query.status, query.account_id, like, pager.fetch)
    return json_response(pager.page(rows, schemas.StaffSender.model_validate, lambda row: row.id))


async def show(deps: Deps, request: Request, _: Staff) -> Response:
    """One, with what a reader could take it for."""
    async with deps.pipeline.transaction() as tx:
        row = await store.read_sender(tx, request.path_id())
        if row is None:
            raise not_found()
        found = await _look_alikes(tx, row)
    return json_response(_detail(row, found))


async def approve(deps: Deps, request: Request, staff: Staff) -> Response:
    """It may be used within a second of the commit. Approving it again says anew where it is registered."""
    wanted = await read_body(request, schemas.Approve)
    async with deps.pipeline.transaction() as tx:
        before = await store.lock_sender(tx, request.path_id())
        if before is None:
            raise not_found()
        found = await _look_alikes(tx, before)
        rules.check_approval(found, wanted.despite_look_alikes, wanted.reason, staff.role)
        await store.approve(tx, before.id, wanted.countries, wanted.reason, staff.user_id)
        after = await _decided(tx, staff, request, "sender_id.approved", before, found)
    return json_response(_detail(after, found))


async def reject(deps: Deps, request: Request, staff: Staff) -> Response:
    """One that was approved ends everywhere within ten seconds; messages that were accepted go on."""
    wanted = await read_body(request, schemas.Reject)
    async with deps.pipeline.transaction() as tx:
        before = await store.lock_sender(tx, request.path_id())
        if before is None:
            raise not_found()
        await store.reject(tx, before.id, wanted.reason, staff.user_id)
        after = await _decided(tx, staff, request, "sender_id.rejected", before, [])
        found = await _look_alikes(tx, after)
    return json_response(_detail(after, found))


async def _look_alikes(tx: Tx, row: store.SenderRow) -> list[rules.LookAlike]:
    names = [each.name for each in await store.list_names(tx)]
    return [*rules.protected_in(row.sender, names), *await store.approved_like(tx, row)]


async def _decided(
    tx: Tx,
    staff: Staff,
    request: Request,
    action: str,
    before: store.SenderRow,
    despite: list[rules.LookAlike],
) -> store.SenderRow:
    after = await store.read_sender(tx, before.id)
    assert after is not None
    shown = after.audited | ({"despite": [each.audited for each in despite]} if despite else {})
    subject = ("sender_id", after.id)
    await audit(
        *(tx, staff, request, action, subject, before.audited, shown),
        reason=after.reason,
        account_id=after.account_id,
    )
    return after


def _detail(row: store.SenderRow, found: list[rules.LookAlike]) -> schemas.StaffSenderDetail:
    return schemas.StaffSenderDetail.model_validate(
        asdict(row) | {"look_alikes": [asdict(each) for each in found]}
    )
