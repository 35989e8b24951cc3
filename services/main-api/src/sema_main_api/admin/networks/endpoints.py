"""/v1/admin/mno-prefixes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from starlette.responses import Response

from sema_common.platform.db import Database, Tx
from sema_common.values.errors import FieldError, Refused
from sema_common.values.msisdn import InvalidMsisdn, country_of, parse_msisdn
from sema_common.values.networks import MnoRow, MnoTable
from sema_main_api.admin.networks import rules, schemas, store
from sema_main_api.admin.networks.rules import Change, Prefix
from sema_main_api.http import tables
from sema_main_api.http.bodies import invalid, read_body, read_query
from sema_main_api.http.callers import Staff
from sema_main_api.http.paging import Pager
from sema_main_api.http.problems import not_found
from sema_main_api.http.requests import Request
from sema_main_api.http.responses import json_response, no_content
from sema_main_api.http.routing import STAFF, STAFF_ADMINS, TABLES, Operation
from sema_main_api.http.store import Audit, write_audit
from sema_main_api.http.uploads import csv_pieces

IMPORT_SECONDS: Final = 30.0


@dataclass(frozen=True, slots=True)
class Deps:
    pipeline: Database


async def list_all(deps: Deps, request: Request, staff: Staff) -> Response:
    """The registry by prefix."""
    query = read_query(request, schemas.MnoPrefixQuery)
    pager = Pager("mno-prefixes", staff.user_id, query)
    filters = query.prefix, query.source, query.country, query.mno
    async with deps.pipeline.transaction() as tx:
        rows = await store.page(tx, pager.after(_position), filters, pager.fetch)
    return json_response(
        pager.page(rows, schemas.MnoPrefix.model_validate, lambda r: f"{r.prefix}:{r.source}")
    )


async def lookup(deps: Deps, request: Request, _: Staff) -> Response:
    """Which MNO a number counts as, and by which tier."""
    query = read_query(request, schemas.LookupQuery)
    try:
        msisdn = parse_msisdn(query.phone)
    except InvalidMsisdn as exc:
        raise invalid([FieldError("phone", "invalid_phone_number", f"{exc.reason}: {exc}")]) from None
    async with deps.pipeline.transaction() as tx:
        rows = await store.read_all(tx)
    network = MnoTable(MnoRow(r.prefix, r.country, r.mno, r.source) for r in rows.values()).lookup(msisdn)
    shown = schemas.MnoLookup(
        phone=msisdn,
        country=country_of(msisdn),
        mno=network.mno if network else None,
        tier=network.tier if network else None,
    )
    return json_response(shown)


async def put(deps: Deps, request: Request, staff: Staff) -> Response:
    """201 with the row, or 200 where the prefix was there already."""
    body = await read_body(request, schemas.PutMnoPrefix)
    row = {"country_iso2": body.country, "prefix_e164_digits": body.prefix, "mno": body.mno.strip()}
    try:
        wanted = rules.prefix(row | {"source": body.source, "note": body.note or ""})
    except ValueError as exc:
        raise invalid([FieldError("prefix", "invalid", f"{exc}.")]) from None
    async with deps.pipeline.transaction() as tx:
        change = await _put_one(tx, request, staff, wanted)
    status = 201 if change.before is None else 200
    return json_response(schemas.MnoPrefix.model_validate(wanted), status)


async def delete(deps: Deps, request: Request, staff: Staff) -> Response:
    """204: the next shorter prefix decides, or the other tier."""
    source = read_query(request, schemas.SourceQuery).source
    async with deps.pipeline.transaction() as tx:
        await store.lock_registry(tx)
        now = await store.read_all(tx)
        row = now.get((request.path_params["prefix"], source))
        if row is None:
            raise not_found()
        await _apply(tx, request, staff, [Change(row, None)], left=len(now) - 1)
    return no_content()


async def export(deps: Deps, request: Request, _: Staff) -> Response:
    """The registry as CSV, in the form that an import takes."""
    source = read_query(request, schemas.ExportMnoPrefixes).source
    async with deps.pipeline.transaction() as tx:
        rows = await store.read_all(tx)
    text = tables.write(rules.table(row for row in rows.values() if source in (None, row.source)))
    disposition = {"content-disposition": 'attachment; filename="mno-prefixes.csv"'}
    return Response(text, headers=disposition, media_type="text/csv; charset=utf-8")


async def import_(deps: Deps, request: Request, staff: Staff) -> Response:
    """200 with every change that was made, or with `dry_run` would be; all of them, or none."""
    query = read_query(request, schemas.ImportMnoPrefixes)
    wanted = rules.read_table(b"".join([piece async for piece in csv_pieces(request)]))
    async with deps.pipeline.transaction(IMPORT_SECONDS) as tx:
        await store.lock_registry(tx)
        now = await store.read_all(tx)
        changes = rules.changes(now, wanted, replace=query.replace)
        if not query.dry_run:
            left = len(now) + sum((c.after is not None) - (c.before is not None) for c in changes)
            await _apply(tx, request, staff, changes, left)
    counts = {what: sum(c.what == what for c in changes) for what in ("added", "changed", "removed")}
    shown = schemas.ImportedMnoPrefixes(
        dry_run=query.dry_run,
        rows=len(wanted),
        unchanged=len(wanted) - counts["added"] - counts["changed"],
        changes=[schemas.MnoPrefixChange.model_validate(change) for change in changes],
        **counts,
    )
    return json_response(shown)


async def disagreements(deps: Deps, _: Request, __: Staff) -> Response:
    """Where the team's table and the carrier data name different MNOs."""
    async with deps.pipeline.transaction() as tx:
        found = rules.disagreements((await store.read_all(tx)).values())
    shown = [
        schemas.MnoDisagreement(
            prefix=one.prefix,
            country=one.curated.country,
            curated=schemas.MnoPrefix.model_validate(one.curated),
            carrier=schemas.MnoPrefix.model_validate(one.carrier),
        )
        for one in found
    ]
    return json_response(schemas.MnoDisagreements(data=shown))


async def correct(deps: Deps, request: Request, staff: Staff) -> Response:
    """200 with the curated row that now says what the carrier data says; 404 where they agree."""
    prefix = request.path_params["prefix"]
    async with deps.pipeline.transaction() as tx:
        await store.lock_registry(tx)
        found = rules.disagreements((await store.read_all(tx)).values())
        one = next((each for each in found if each.prefix == prefix), None)
        if one is None:
            raise not_found()
        row = Prefix(prefix, "curated", one.carrier.country, one.carrier.mno, rules.CORRECTED)
        await _put_one(tx, request, staff, row)
    return json_response(schemas.MnoPrefix.model_validate(row))


async def _put_one(tx: Tx, request: Request, staff: Staff, wanted: Prefix) -> Change:
    await store.lock_registry(tx)
    now = await store.read_all(tx)
    change = Change(now.get(wanted.key), wanted)
    if change.before != wanted:
        await _apply(tx, request, staff, [change], left=len(now))
    return change


async def _apply(tx: Tx, request: Request, staff: Staff, changes: Sequence[Change], left: int) -> None:
    """Write the changes and who made them. `left`: rows afterwards; nothing is validated by an empty registry."""
    if not left and any(change.after is None for change in changes):
        raise Refused("registry_empty", "The last rows of the registry cannot be removed.", 409)
    await store.put(tx, [change.after for change in changes if change.after])
    await store.delete(tx, [change.of.key for change in changes if change.after is None])
    for change in changes:
        subject = "mno_prefix", change.of.prefix
        before, after = _shown(change.before), _shown(change.after)
        action = f"mno_prefix.{change.what}"
        await write_audit(
            tx, Audit.by_staff(staff, request.request_id, action, subject, before=before, after=after)
        )


def _shown(row: Prefix | None) -> dict[str, Any] | None:
    return None if row is None else schemas.MnoPrefix.model_validate(row).model_dump(mode="json")


def _position(text: str) -> tuple[str, str]:
    prefix, colon, source = text.partition(":")
    if not colon:
        raise ValueError("no position in the registry")
    return prefix, source


_TAG: Final = "Staff"
_PATH: Final = "/v1/admin/mno-prefixes"

OPERATIONS: Final = (
    Operation(
        "GET", _PATH, list_all, "List the MNO registry", _TAG,
        staff=STAFF, query=schemas.MnoPrefixQuery, answers={200: schemas.MnoPrefixList},
    ),
    Operation(
        "POST", _PATH, put, "Add or change a prefix", _TAG,
        staff=STAFF_ADMINS, body=schemas.PutMnoPrefix, answers={201: schemas.MnoPrefix, 200: schemas.MnoPrefix},
    ),
    Operation(
        "DELETE", f"{_PATH}/{{prefix}}", delete, "Remove a prefix", _TAG,
        staff=STAFF_ADMINS, query=schemas.SourceQuery, answers={204: None}, problems={409: "`registry_empty`"},
    ),
    Operation(
        "GET", f"{_PATH}/lookup", lookup, "Which MNO a number counts as", _TAG,
        staff=STAFF, query=schemas.LookupQuery, answers={200: schemas.MnoLookup},
    ),
    Operation(
        "GET", f"{_PATH}/export", export, "The MNO registry as CSV", _TAG,
        staff=STAFF, query=schemas.ExportMnoPrefixes, produces="text/csv",
    ),
    Operation(
        "POST", f"{_PATH}/import", import_, "Take the MNO registry from CSV", _TAG,
        staff=STAFF_ADMINS, query=schemas.ImportMnoPrefixes, answers={200: schemas.ImportedMnoPrefixes},
        csv=TABLES, problems={409: "`registry_empty`"},
        description="Columns: country_iso2, country_code, prefix_e164_digits, mno, source "
        "(curated where it is missing), note. `?dry_run=true` shows what would change.",
    ),
    Operation(
        "GET", f"{_PATH}/disagreements", disagreements, "Where the two tiers disagree", _TAG,
        staff=STAFF, answers={200: schemas.MnoDisagreements},
    ),
    Operation(
        "POST", f"{_PATH}/disagreements/{{prefix}}/correct", correct, "Take the carrier data's word", _TAG,
        staff=STAFF_ADMINS, answers={200: schemas.MnoPrefix},
    ),
)  # fmt: skip
