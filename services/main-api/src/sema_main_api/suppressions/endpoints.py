"""/v1/suppressions."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from itertools import islice
from typing import Final
from uuid import UUID

from starlette.responses import Response, StreamingResponse

from sema_common.platform.db import Database, Tx
from sema_common.values.errors import FieldError
from sema_common.values.ids import new_id
from sema_common.values.msisdn import InvalidMsisdn
from sema_main_api.http.bodies import invalid, parse_body, read_query, require_json
from sema_main_api.http.callers import Caller
from sema_main_api.http.idempotency import Created, create_once
from sema_main_api.http.paging import Pager
from sema_main_api.http.problems import not_found
from sema_main_api.http.requests import Request
from sema_main_api.http.responses import json_response, no_content
from sema_main_api.http.routing import WRITERS, Operation
from sema_main_api.http.store import Audit, write_audit
from sema_main_api.http.tenants import TenantReads
from sema_main_api.suppressions import rules, schemas, store
from sema_main_api.suppressions.importing import Imports

MAX_UPLOAD: Final = 10 << 20
"""Bytes of one CSV: some half a million numbers."""

ROWS_AT_ONCE: Final = 5_000
IMPORT_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True)
class Deps:
    tenant: TenantReads
    pipeline: Database
    imports: Imports


async def create(deps: Deps, request: Request, caller: Caller) -> Response:
    """One opt-out as JSON (201, or 200 where the number was there), or a whole table as CSV (200)."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "text/csv":
        return await upload(deps, request, caller)
    require_json(request)
    wanted = parse_body(await request.body(), schemas.CreateSuppression)
    try:
        optout = rules.opt_out(wanted.model_dump())
    except InvalidMsisdn as exc:
        raise invalid([FieldError("phone", "invalid_phone_number", f"{exc.reason}: {exc}")]) from None

    async def put(tx: Tx) -> Created:
        [(row, added)] = await store.put(tx, caller.tenant_id, caller.account_id, [optout])
        body = schemas.Suppression.model_validate(row).model_dump(mode="json")
        audit = Audit.by(
            caller,
            request.request_id,
            "suppression.put",
            ("suppression", row.id),
            after={"scope": row.scope, "reason": row.reason},
        )
        await write_audit(tx, audit)
        return Created(row.id, body, status=201 if added else 200)

    return await create_once(deps.pipeline, request, caller, "suppression", put)


async def upload(deps: Deps, request: Request, caller: Caller) -> Response:
    """A CSV with the column `phone` and, if wanted, `scope` and `reason`: all its good rows or, on a failure, none."""
    query = read_query(request, schemas.ImportQuery)
    with deps.imports.place(caller.account_id):
        raw = await request.body()
        async with deps.imports.table(raw, query.default_country) as table:
            return await _store(deps, request, caller, table)


async def _store(deps: Deps, request: Request, caller: Caller, table: rules.Table) -> Response:
    async def put(tx: Tx) -> Created:
        added = 0
        wanted = iter(table.wanted.values())
        while batch := list(islice(wanted, ROWS_AT_ONCE)):
            written = await store.put(tx, caller.tenant_id, caller.account_id, batch)
            added += sum(new for _, new in written)
        body = {
            "received": table.received,
            "added": added,
            "updated": len(table.wanted) - added,
            "duplicates": table.duplicates,
            "invalid": table.invalid,
            "errors": [{"line": n, "code": code, "detail": detail} for n, code, detail in table.errors],
        }
        upload_id = new_id()
        counts = {name: value for name, value in body.items() if name != "errors"}
        audit = Audit.by(
            caller, request.request_id, "suppression.imported", ("suppressions", upload_id), after=counts
        )
        await write_audit(tx, audit)
        return Created(upload_id, body, status=200)

    return await create_once(
        deps.pipeline, request, caller, "suppression_import", put, timeout=IMPORT_SECONDS
    )


async def list_all(deps: Deps, request: Request, caller: Caller) -> Response:
    """The account's opt-outs, newest first."""
    query = read_query(request, schemas.SuppressionQuery)
    pager = Pager("suppressions", caller.account_id, query)
    before = pager.after(UUID)
    async with deps.tenant.of(caller) as tx:
        rows = await store.page(tx, caller.account_id, before, query.phone, query.scope, pager.fetch)
    return json_response(pager.page(rows, schemas.Suppression.model_validate, lambda row: row.id))


async def export(deps: Deps, _: Request, caller: Caller) -> Response:
    """Everything as CSV, in the form that an upload takes."""

    async def pages() -> AsyncIterator[str]:
        before: UUID | None = None
        header = True
        while True:
            async with deps.tenant.of(caller) as tx:
                rows = await store.page(tx, caller.account_id, before, None, None, ROWS_AT_ONCE)
            yield rules.table(((row.phone, row.scope, row.reason) for row in rows), header=header)
            if len(rows) < ROWS_AT_ONCE:
                return
            before, header = rows[-1].id, False

    disposition = {"content-disposition": 'attachment; filename="suppressions.csv"'}
    return StreamingResponse(pages(), headers=disposition, media_type="text/csv; charset=utf-8")


async def read(deps: Deps, request: Request, caller: Caller) -> Response:
    """One opt-out."""
    async with deps.tenant.of(caller) as tx:
        row = await store.read(tx, caller.account_id, request.path_id())
    if row is None:
        raise not_found()
    return json_response(schemas.Suppression.model_validate(row))


async def delete(deps: Deps, request: Request, caller: Caller) -> Response:
    """204: this number may be written to again."""
    suppression_id = request.path_id()
    async with deps.pipeline.transaction() as tx:
        if not await store.delete(tx, caller.account_id, suppression_id):
            raise not_found()
        audit = Audit.by(caller, request.request_id, "suppression.deleted", ("suppression", suppression_id))
        await write_audit(tx, audit)
    return no_content()


_TAG: Final = "Suppressions"

OPERATIONS = (
    Operation(
        "POST", "/v1/suppressions", create, "Suppress a recipient, or many as CSV", _TAG,
        scope="contacts:write", roles=WRITERS, creates=True, body=schemas.CreateSuppression,
        answers={201: schemas.Suppression, 200: schemas.Imported}, max_body=MAX_UPLOAD, csv=("text/csv",),
        description="JSON: one recipient, 201 (200 with the suppression when the number was there already). "
        "`text/csv`: a table with the column `phone` and, if wanted, `scope` and `reason`, in UTF-8; "
        "`?default_country=KE` reads national numbers. In force when the answer comes.",
    ),
    Operation(
        "GET", "/v1/suppressions", list_all, "List suppressions", _TAG,
        scope="contacts:read", query=schemas.SuppressionQuery, answers={200: schemas.SuppressionList},
    ),
    Operation(
        "GET", "/v1/suppressions/export", export, "All suppressions as CSV", _TAG,
        scope="contacts:read", produces="text/csv",
    ),
    Operation(
        "GET", "/v1/suppressions/{id}", read, "Read a suppression", _TAG,
        scope="contacts:read", answers={200: schemas.Suppression},
    ),
    Operation(
        "DELETE", "/v1/suppressions/{id}", delete, "Lift a suppression", _TAG,
        scope="contacts:write", roles=WRITERS, answers={204: None},
    ),
)  # fmt: skip
