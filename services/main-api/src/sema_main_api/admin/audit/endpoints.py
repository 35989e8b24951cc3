"""The audit log: read, nothing else."""

from dataclasses import dataclass

from starlette.responses import Response

from sema_common.platform.db import Database
from sema_main_api.admin.audit import schemas, store
from sema_main_api.http.bodies import read_query
from sema_main_api.http.callers import Staff
from sema_main_api.http.paging import Pager, number
from sema_main_api.http.requests import Request
from sema_main_api.http.responses import json_response
from sema_main_api.http.routing import STAFF_ADMINS, Operation


@dataclass(frozen=True, slots=True)
class Deps:
    pipeline: Database


async def audit_log(deps: Deps, request: Request, staff: Staff) -> Response:
    """Of every account, and of what belongs to none."""
    query = read_query(request, schemas.AuditQuery)
    pager = Pager("audit-log", staff.user_id, query)
    before = pager.after(number)
    async with deps.pipeline.transaction() as tx:
        rows = await store.read_log(tx, query, before, pager.fetch)
    return json_response(pager.page(rows, schemas.AuditEntry.model_validate, lambda row: row.id))


OPERATIONS = (
    Operation(
        "GET",
        "/v1/admin/audit-log",
        audit_log,
        "Read the audit log",
        "Staff",
        staff=STAFF_ADMINS,
        query=schemas.AuditQuery,
        answers={200: schemas.AuditList},
    ),
)
