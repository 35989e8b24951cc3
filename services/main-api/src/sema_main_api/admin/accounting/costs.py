"""/v1/admin/accounting/costs: what aggregators charge."""

from datetime import UTC, date
from typing import Any

from starlette.responses import Response

from sema_common.billing import costs
from sema_common.billing.costs import Cost, Scope
from sema_common.platform.db import Database, Tx
from sema_common.values.clock import now
from sema_common.values.errors import FieldError, Refused
from sema_common.values.ids import event_id
from sema_common.values.money import Money
from sema_main_api.admin.accounting import schemas
from sema_main_api.admin.accounting.rules import FIRST_DAY
from sema_main_api.http.bodies import invalid, read_body, read_query
from sema_main_api.http.callers import Staff
from sema_main_api.http.idempotency import Created, create_once
from sema_main_api.http.paging import Pager, number
from sema_main_api.http.problems import not_found
from sema_main_api.http.requests import Request
from sema_main_api.http.responses import json_response
from sema_main_api.http.schemas import MoneyObject
from sema_main_api.http.store import Audit, write_audit


async def list_all(pipeline: Database, request: Request, staff: Staff) -> Response:
    """Costs that hold, held or will hold, the youngest first."""
    query = read_query(request, schemas.CostQuery)
    pager = Pager("costs", staff.user_id, query)
    async with pipeline.transaction() as tx:
        rows = await costs.page(tx, pager.after(number), query.aggregator, query.country, pager.fetch)
    return json_response(pager.page(rows, _shown, lambda row: row.id))


async def create(pipeline: Database, request: Request, staff: Staff) -> Response:
    """201; what held for the same until then ends where this begins. 409 where one begins on that day or later."""
    body = await read_body(request, schemas.CreateCost)
    amount = body.cost.money
    if amount.amount < 0:
        raise invalid([FieldError("cost.amount", "out_of_range", "A cost is zero or more.")])
    begins = _day("valid_from", body.valid_from)
    scope = Scope(body.aggregator, body.country, body.mno, amount.currency)

    async def make(tx: Tx) -> Created:
        await costs.lock_costs(tx)
        former = await costs.holding(tx, scope, begins)
        if any(row.valid_from >= begins for row in former):
            detail = "A cost of the same begins on that day or later: end it on its first day before."
            raise Refused("cost_exists", detail, 409)
        before = former[0] if former else None
        if before is not None:
            await costs.end(tx, before.id, begins)
        made = await costs.insert(tx, scope, amount.amount, begins)
        if made is None:
            raise invalid([FieldError("aggregator", "invalid_choice", "There is no such aggregator.")])
        await _audit(tx, request, staff, "cost.added", before, made, body.reason)
        return Created(event_id("cost", made.id), _object(made))

    return await create_once(pipeline, request, staff, "cost", make)


async def end(pipeline: Database, request: Request, staff: Staff) -> Response:
    """200 with the cost as it ends; one that ends on its first day never held. An end is never put off."""
    body = await read_body(request, schemas.EndCost)
    text: str = request.path_params["id"]
    if not (text.isascii() and text.isdecimal() and int(text) < 1 << 63):
        raise not_found()
    async with pipeline.transaction() as tx:
        await costs.lock_costs(tx)
        before = await costs.read(tx, int(text))
        if before is None:
            raise not_found()
        day = max(_day("valid_to", body.valid_to), before.valid_from)
        if before.valid_to is not None and before.valid_to <= day:
            raise Refused("already_ended", "This cost ends no later than that.", 409)
        after = await costs.end(tx, before.id, day)
        await _audit(tx, request, staff, "cost.ended", before, after, body.reason)
    return json_response(_shown(after))


def _day(name: str, day: date | None) -> date:
    """Today where none is said; Refused(422) for one before our time."""
    if day is not None and day < FIRST_DAY:
        raise invalid([FieldError(name, "out_of_range", "There was nothing before 2000.")])
    return day or now().astimezone(UTC).date()


async def _audit(
    tx: Tx, request: Request, staff: Staff, action: str, before: Cost | None, after: Cost, reason: str
) -> None:
    line = Audit.by_staff(
        staff,
        request.request_id,
        action,
        ("cost", after.id),
        before=None if before is None else _object(before),
        after=_object(after),
        reason=reason,
    )
    await write_audit(tx, line)


def _shown(row: Cost) -> schemas.CostObject:
    return schemas.CostObject(
        id=str(row.id),
        aggregator=row.aggregator,
        country=row.country,
        mno=row.mno,
        cost=MoneyObject(**Money(row.cost, row.currency).wire()),
        valid_from=row.valid_from,
        valid_to=row.valid_to,
    )


def _object(row: Cost) -> dict[str, Any]:
    return _shown(row).model_dump(mode="json")
