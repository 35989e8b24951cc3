"""/v1/admin/accounting: routes, the trial balance and margins."""

from dataclasses import dataclass
from datetime import UTC
from decimal import Decimal
from typing import Final

from starlette.responses import Response

from sema_common.billing import accounting, reports
from sema_common.platform.db import Database
from sema_common.values.clock import now
from sema_common.values.errors import FieldError
from sema_common.values.money import Money
from sema_main_api.admin.accounting import costs, schemas
from sema_main_api.admin.accounting.rules import days_of
from sema_main_api.http.bodies import invalid, read_query
from sema_main_api.http.callers import Staff
from sema_main_api.http.requests import Request
from sema_main_api.http.responses import json_response
from sema_main_api.http.routing import STAFF, STAFF_ADMINS, Operation
from sema_main_api.http.schemas import MoneyObject

READ_SECONDS: Final = 30.0
MAX_LINES: Final = 1000


@dataclass(frozen=True, slots=True)
class Deps:
    pipeline: Database


async def trial_balance(deps: Deps, _: Request, __: Staff) -> Response:
    """Every side of the books and what they sum to, as committed."""
    async with deps.pipeline.transaction(READ_SECONDS) as tx:
        lines = await reports.trial_balance(tx)
    return json_response(
        schemas.TrialBalance(
            at=now(),
            data=[
                schemas.TrialLineObject.model_validate(
                    {
                        "side": line.side,
                        "name": line.name,
                        "amount": _money(line.amount, line.currency),
                    }
                )
                for line in lines
            ],
            totals=[
                schemas.TrialTotal(total=_money(total, currency), balanced=total == 0)
                for currency, total in reports.totals(lines).items()
            ],
        )
    )


async def margins(deps: Deps, request: Request, _: Staff) -> Response:
    """Revenue, standard cost and commissions of some days: see `reports.margins` for what they are made of."""
    query = read_query(request, schemas.MarginQuery)
    try:
        first, last = days_of(query.since, query.until, now().astimezone(UTC).date())
    except ValueError as exc:
        raise invalid([FieldError("from", "out_of_range", f"{exc}.")]) from None
    async with deps.pipeline.transaction(READ_SECONDS) as tx:
        at = await accounting.added_up_until(tx)
        lines = await reports.margins(tx, first, last, query.group_by, MAX_LINES + 1)
    return json_response(
        schemas.Margins(
            group_by=query.group_by,
            first_day=first,
            last_day=last,
            added_up_until=at,
            data=[_margin(line) for line in lines[:MAX_LINES]],
            truncated=len(lines) > MAX_LINES,
        )
    )


def _margin(line: reports.MarginLine) -> schemas.MarginObject:
    return schemas.MarginObject(
        key=line.key,
        country=line.country,
        revenue=_money(line.revenue, line.currency),
        segments=line.segments,
        cost=_money(line.cost, line.currency),
        margin=_money(line.revenue - line.cost, line.currency),
        commissions=_money(line.commissions, line.currency),
        uncosted_segments=line.uncosted,
    )


async def list_costs(deps: Deps, request: Request, staff: Staff) -> Response:
    """GET /v1/admin/accounting/costs."""
    return await costs.list_all(deps.pipeline, request, staff)


async def create_cost(deps: Deps, request: Request, staff: Staff) -> Response:
    """POST /v1/admin/accounting/costs."""
    return await costs.create(deps.pipeline, request, staff)


async def end_cost(deps: Deps, request: Request, staff: Staff) -> Response:
    """POST /v1/admin/accounting/costs/{id}/end."""
    return await costs.end(deps.pipeline, request, staff)


def _money(amount: Decimal, currency: str) -> MoneyObject:
    return MoneyObject(**Money(amount, currency).wire())


_TAG: Final = "Staff"
_PATH: Final = "/v1/admin/accounting"

OPERATIONS: Final = (
    Operation(
        "GET", f"{_PATH}/trial-balance", trial_balance, "The trial balance", _TAG,
        staff=STAFF, answers={200: schemas.TrialBalance},
        description="Accounts by type, and counter-accounts; each currency sums to zero.",
    ),
    Operation(
        "GET", f"{_PATH}/margins", margins, "Revenue, cost and margin", _TAG,
        staff=STAFF, query=schemas.MarginQuery, answers={200: schemas.Margins},
        description="Cost is a standard cost: charged segments that were not refunded, at what the first aggregator "
        "in staff's order charges for the network on that day. "
        "A message that failed before it was submitted costs nothing.",
    ),
    Operation(
        "GET", f"{_PATH}/costs", list_costs, "What aggregators charge", _TAG,
        staff=STAFF, query=schemas.CostQuery, answers={200: schemas.CostList},
    ),
    Operation(
        "POST", f"{_PATH}/costs", create_cost, "Say what an aggregator charges", _TAG,
        staff=STAFF_ADMINS, creates=True, body=schemas.CreateCost, answers={201: schemas.CostObject},
        problems={409: "`cost_exists`"},
    ),
    Operation(
        "POST", f"{_PATH}/costs/{{id}}/end", end_cost, "End a cost", _TAG,
        staff=STAFF_ADMINS, body=schemas.EndCost, answers={200: schemas.CostObject},
        problems={409: "`already_ended`"},
    ),
)  # fmt: skip
