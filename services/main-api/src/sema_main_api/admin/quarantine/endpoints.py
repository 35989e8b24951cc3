"""/v1/admin/dlr-quarantine and /v1/admin/dlr-unmatched."""

from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Final, Literal

from starlette.responses import Response

from sema_aggregators import READERS, RawReport, Unreadable
from sema_common.platform.db import Database
from sema_common.values.clock import now
from sema_common.values.errors import Refused
from sema_main_api.admin.quarantine import schemas, store
from sema_main_api.admin.quarantine.telling import Telling
from sema_main_api.http.bodies import parse_body, read_query, require_json
from sema_main_api.http.callers import Staff
from sema_main_api.http.paging import Pager, moment, moment_of
from sema_main_api.http.problems import not_found
from sema_main_api.http.requests import Request
from sema_main_api.http.responses import json_response
from sema_main_api.http.routing import STAFF, STAFF_ADMINS, Operation
from sema_main_api.http.store import Audit, write_audit


@dataclass(frozen=True, slots=True)
class Deps:
    pipeline: Database
    telling: Telling


async def entries(deps: Deps, request: Request, staff: Staff) -> Response:
    """Newest first; open ones unless another state is asked for."""
    query = read_query(request, schemas.QuarantineQuery)
    pager = Pager("dlr-quarantine", staff.user_id, query)
    before = pager.after(moment_of)
    async with deps.pipeline.transaction() as tx:
        rows = await store.list_entries(tx, query, before, pager.fetch)
    return json_response(
        pager.page(rows, schemas.QuarantineEntry.model_validate, lambda row: moment(row.received_at, row.id))
    )


async def entry(deps: Deps, request: Request, staff: Staff) -> Response:
    """One body. Revealing it is noted in the audit log before it is shown."""
    entry_id = request.path_id()
    reveal = read_query(request, schemas.QuarantineReveal).reveal
    if reveal and staff.role != "staff_admin":
        raise Refused("forbidden", "Your role sees bodies masked.", 403)
    async with deps.pipeline.transaction() as tx:
        found = await store.lock(tx, entry_id)
        if found is None:
            raise not_found()
        if reveal:
            subject = ("dlr_quarantine", found.id)
            await write_audit(
                tx, Audit.by_staff(staff, request.request_id, "dlr_quarantine.revealed", subject)
            )
    shown = schemas.QuarantineEntry.model_validate(found).model_dump()
    return json_response(
        schemas.QuarantinedReport(
            **shown,
            query=found.query if reveal else None,
            body=found.body.decode("utf-8", "replace") if reveal else None,
            sha256=sha256(found.body).hexdigest(),
            revealed=reveal,
            reads_now=_reads_now(found),
        )
    )


async def reread(deps: Deps, request: Request, staff: Staff) -> Response:
    """Back to dlr-processor, as it came. What it still cannot read comes back as a new entry."""
    return await _decide(deps, request, staff, "reread")


async def discard(deps: Deps, request: Request, staff: Staff) -> Response:
    """It stays readable for 90 days, and is nobody's work any more."""
    return await _decide(deps, request, staff, "discarded")


async def unmatched(deps: Deps, request: Request, staff: Staff) -> Response:
    """Reports whose submit nobody knows: too early, of somebody else, or of a message that is archived."""
    query = read_query(request, schemas.UnmatchedQuery)
    pager = Pager("dlr-unmatched", staff.user_id, query)
    before = pager.after(moment_of)
    async with deps.pipeline.transaction() as tx:
        rows = await store.list_unmatched(tx, query, before, pager.fetch)
    return json_response(
        pager.page(rows, schemas.UnmatchedReport.model_validate, lambda row: moment(row.received_at, row.id))
    )


async def _decide(
    deps: Deps, request: Request, staff: Staff, state: Literal["reread", "discarded"]
) -> Response:
    entry_id = request.path_id()
    raw = await request.body()
    if raw:
        require_json(request)
    reason = parse_body(raw or b"{}", schemas.QuarantineDecision).reason
    async with deps.pipeline.transaction() as tx:
        found = await store.lock(tx, entry_id)
        if found is None:
            raise not_found()
        if found.state not in ("open", state):
            raise Refused("already_decided", f"It was {found.state} before.", 409)
        if found.state == "open":
            before = {"state": found.state, "aggregator": found.aggregator, "reason": found.reason}
            at, by = now(), str(staff.user_id)
            await store.decide(tx, found.id, state, at, by)
            audit = Audit.by_staff(
                staff,
                request.request_id,
                f"dlr_quarantine.{state}",
                ("dlr_quarantine", found.id),
                before=before,
                after={"state": state},
                reason=reason,
            )
            await write_audit(tx, audit)
            found = replace(found, state=state, decided_at=at, decided_by=by)
    if state == "reread" and found.told_at is None and await deps.telling.tell(found):
        found = replace(found, told_at=now())
    return json_response(schemas.QuarantineEntry.model_validate(found))


def _reads_now(found: store.Body) -> str:
    """What this release's adapter makes of it."""
    reader = READERS.get(found.aggregator)
    if reader is None:
        return "nothing: no adapter of that name"
    try:
        read = reader.read_reports(RawReport(found.content_type, found.query, found.body, found.received_at))
    except Unreadable as unreadable:
        return f"{len(unreadable.reports)} reports, and not the rest: {unreadable.reason}"
    return f"{len(read)} reports, all of it"


_TAG: Final = "Staff"
_PATH: Final = "/v1/admin/dlr-quarantine"

OPERATIONS = (
    Operation(
        "GET", _PATH, entries, "List reports that nobody could read", _TAG,
        staff=STAFF, query=schemas.QuarantineQuery, answers={200: schemas.QuarantineList},
    ),
    Operation(
        "GET", _PATH + "/{id}", entry, "Read a report in quarantine", _TAG,
        staff=STAFF, query=schemas.QuarantineReveal, answers={200: schemas.QuarantinedReport},
    ),
    Operation(
        "POST", _PATH + "/{id}/reread", reread, "Have a report read again", _TAG,
        staff=STAFF_ADMINS, body=schemas.QuarantineDecision, answers={200: schemas.QuarantineEntry},
        problems={409: "`already_decided`"},
    ),
    Operation(
        "POST", _PATH + "/{id}/discard", discard, "Give a report in quarantine up", _TAG,
        staff=STAFF_ADMINS, body=schemas.QuarantineDecision, answers={200: schemas.QuarantineEntry},
        problems={409: "`already_decided`"},
    ),
    Operation(
        "GET", "/v1/admin/dlr-unmatched", unmatched, "List reports whose submit nobody knows", _TAG,
        staff=STAFF, query=schemas.UnmatchedQuery, answers={200: schemas.UnmatchedList},
    ),
)  # fmt: skip
