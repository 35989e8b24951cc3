"""/v1/admin/pricing."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

from starlette.responses import Response

from sema_common.billing.rates import end_price, insert_price
from sema_common.platform.db import Database, Tx
from sema_common.values.clock import now
from sema_common.values.errors import FieldError
from sema_common.values.ids import event_id
from sema_common.values.money import wire
from sema_main_api.admin.pricing import rules, schemas, store
from sema_main_api.admin.pricing.rules import Change, Tariff
from sema_main_api.http import tables
from sema_main_api.http.bodies import invalid, read_body, read_query
from sema_main_api.http.callers import Staff
from sema_main_api.http.idempotency import Created, create_once
from sema_main_api.http.paging import Pager, number
from sema_main_api.http.problems import not_found
from sema_main_api.http.requests import Request
from sema_main_api.http.responses import json_response
from sema_main_api.http.routing import STAFF, STAFF_ADMINS, TABLES, Operation
from sema_main_api.http.store import Audit, write_audit
from sema_main_api.http.uploads import csv_pieces

IMPORT_SECONDS: Final = 30.0
GRACE: Final = timedelta(minutes=1)
"""A moment that a client's clock calls now is now."""


@dataclass(frozen=True, slots=True)
class Deps:
    pipeline: Database


async def list_all(deps: Deps, request: Request, staff: Staff) -> Response:
    """Rows that hold, held or will hold, the youngest first."""
    query = read_query(request, schemas.PriceQuery)
    pager = Pager("pricing", staff.user_id, query)
    filters = query.account_id, query.country, query.mno, query.in_force
    async with deps.pipeline.transaction() as tx:
        rows = await store.page(tx, pager.after(number), filters, now(), pager.fetch)
    return json_response(pager.page(rows, _shown, lambda row: row.id))


async def create(deps: Deps, request: Request, staff: Staff) -> Response:
    """201; what held for the same until then ends where this begins. Messages are priced by it within 5 seconds."""
    body = await read_body(request, schemas.CreatePrice)
    at = now()
    begins = max(_not_past("valid_from", body.valid_from, at), at)
    price = body.price.money
    if price.amount < 0:
        raise invalid([FieldError("price.amount", "out_of_range", "A price is zero or more.")])
    given = body.model_dump(exclude={"price", "valid_from", "reason"})
    wanted = Tariff(**given, currency=price.currency, price=price.amount, valid_from=begins)
    try:
        rules.checked(wanted)
    except ValueError as exc:
        raise invalid([FieldError("price", "invalid", f"{exc}.")]) from None

    async def make(tx: Tx) -> Created:
        await store.lock_list(tx)
        changes = rules.changes(await store.standing(tx, at), [wanted], replace_all=False)
        made = await _apply(tx, request, staff, changes, at, body.reason)
        row = made[0] if made else rules.holding(await store.standing(tx, at), wanted)
        assert row is not None  # the same price stands already
        return Created(event_id("price", row.id), _object(row))

    return await create_once(deps.pipeline, request, staff, "price", make)


async def end(deps: Deps, request: Request, staff: Staff) -> Response:
    """200 with the row as it ends; one that has not begun never holds."""
    body = await read_body(request, schemas.EndPrice)
    at = now()
    ends = max(_not_past("valid_to", body.valid_to, at), at)
    async with deps.pipeline.transaction() as tx:
        before = await store.read(tx, request.path_number())
        if before is None or (before.valid_to is not None and before.valid_to <= at):
            raise not_found()
        after = await _ended(tx, before, ends)
        await _audit(tx, request, staff, "price.ended", before, after, body.reason)
    return json_response(_shown(after))


async def export(deps: Deps, _: Request, __: Staff) -> Response:
    """What holds now or will, as CSV in the form that an import takes."""
    async with deps.pipeline.transaction() as tx:
        rows = await store.standing(tx, now())
    disposition = {"content-disposition": 'attachment; filename="pricing.csv"'}
    text = tables.write(rules.table(rows))
    return Response(text, headers=disposition, media_type="text/csv; charset=utf-8")


async def import_(deps: Deps, request: Request, staff: Staff) -> Response:
    """200 with every change that was made, or with `dry_run` would be; all of them, or none."""
    query = read_query(request, schemas.ImportPrices)
    at = now()
    wanted = rules.read_table(b"".join([piece async for piece in csv_pieces(request)]), at)
    async with deps.pipeline.transaction(IMPORT_SECONDS) as tx:
        await store.lock_list(tx)
        changes = rules.changes(await store.standing(tx, at), wanted, replace_all=query.replace)
        if query.dry_run:
            await _require_accounts(tx, changes)
        else:
            await _apply(tx, request, staff, changes, at, "imported")
    counts = {what: sum(c.what == what for c in changes) for what in ("added", "changed", "ended")}
    shown = schemas.ImportedPrices(
        dry_run=query.dry_run,
        rows=len(wanted),
        unchanged=len(wanted) - counts["added"] - counts["changed"],
        changes=[
            schemas.PriceChange.model_validate(
                {"what": c.what, "before": _line(c.before), "after": _line(c.after)}
            )
            for c in changes
        ],
        **counts,
    )
    return json_response(shown)


async def _apply(
    tx: Tx, request: Request, staff: Staff, changes: Sequence[Change], at: datetime, reason: str
) -> list[Tariff]:
    """Write the changes and who made them; the rows that were made."""
    await _require_accounts(tx, changes)
    made: list[Tariff] = []
    for change in changes:
        after = None
        if change.before is not None and change.before.id is not None:
            until = change.after.valid_from if change.after else at
            ended = await _ended(tx, change.before, until)
            if change.after is None:
                await _audit(tx, request, staff, "price.ended", change.before, ended, reason)
        if change.after is not None:
            row = change.after
            price_id = await insert_price(tx, row.scope, row.price, row.valid_from, row.valid_to)
            after = replace(row, id=price_id)
            made.append(after)
            await _audit(tx, request, staff, f"price.{change.what}", change.before, after, reason)
    return made


async def _ended(tx: Tx, row: Tariff, at: datetime) -> Tariff:
    """The row as it is once it ends at `at`."""
    assert row.id is not None
    await end_price(tx, row.id, at)
    after = await store.read(tx, row.id)
    assert after is not None
    return after


async def _require_accounts(tx: Tx, changes: Sequence[Change]) -> None:
    """Refused(422) for a price of an account that there is not, or that pays its agent."""
    wanted = {c.after.account_id for c in changes if c.after and c.after.account_id}
    missing = wanted - await store.paying(tx, list(wanted)) if wanted else set()
    if missing:
        detail = f"No account that pays for itself has the id {min(missing)}."
        raise invalid([FieldError("account_id", "unknown_account", detail)])


async def _audit(
    tx: Tx, request: Request, staff: Staff, action: str, before: Tariff | None, after: Tariff, reason: str
) -> None:
    line = Audit.by_staff(
        staff,
        request.request_id,
        action,
        ("price", after.id),
        account_id=after.account_id,
        before=None if before is None else _object(before),
        after=_object(after),
        reason=reason,
    )
    await write_audit(tx, line)


def _not_past(name: str, moment: datetime | None, at: datetime) -> datetime:
    """The moment, now where none is said; Refused(422) for one that has passed: what was charged stays as it is."""
    if moment is not None and moment < at - GRACE:
        raise invalid([FieldError(name, "out_of_range", "This time has passed.")])
    return moment or at


def _line(row: Tariff | None) -> dict[str, Any] | None:
    if row is None:
        return None
    return {
        "account_id": row.account_id,
        "tier": row.tier,
        "account_type": row.account_type,
        "country": row.country,
        "mno": row.mno,
        "min_segments": row.min_segments,
        "price": {"amount": wire(row.price), "currency": row.currency},
        "valid_from": row.valid_from,
        "valid_to": row.valid_to,
    }


def _shown(row: Tariff) -> schemas.PriceObject:
    return schemas.PriceObject.model_validate({"id": str(row.id), **(_line(row) or {})})


def _object(row: Tariff) -> dict[str, Any]:
    return _shown(row).model_dump(mode="json")


_TAG: Final = "Staff"
_PATH: Final = "/v1/admin/pricing"

OPERATIONS: Final = (
    Operation(
        "GET", _PATH, list_all, "List prices", _TAG,
        staff=STAFF, query=schemas.PriceQuery, answers={200: schemas.PriceList},
    ),
    Operation(
        "POST", _PATH, create, "Make a price", _TAG,
        staff=STAFF_ADMINS, creates=True, body=schemas.CreatePrice, answers={201: schemas.PriceObject},
    ),
    Operation(
        "POST", f"{_PATH}/{{id}}/end", end, "End a price", _TAG,
        staff=STAFF_ADMINS, body=schemas.EndPrice, answers={200: schemas.PriceObject},
    ),
    Operation(
        "GET", f"{_PATH}/export", export, "The price list as CSV", _TAG,
        staff=STAFF, produces="text/csv",
    ),
    Operation(
        "POST", f"{_PATH}/import", import_, "Take prices from CSV", _TAG,
        staff=STAFF_ADMINS, query=schemas.ImportPrices, answers={200: schemas.ImportedPrices},
        csv=TABLES,
        description="Columns: account_id, tier, account_type, country, mno, "
        "min_segments, currency, price, valid_from, valid_to; all but country and price may be missing. "
        "`?dry_run=true` shows what would change.",
    ),
)  # fmt: skip
