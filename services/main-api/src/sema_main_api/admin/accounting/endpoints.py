"""/v1/admin/accounting/trial-balance."""

from dataclasses import dataclass
from typing import Final

from starlette.responses import Response

from sema_common.billing import reports
from sema_common.platform.db import Database
from sema_common.values.clock import now
from sema_common.values.money import Money
from sema_main_api.admin.accounting import schemas
from sema_main_api.http.callers import Staff
from sema_main_api.http.requests import Request
from sema_main_api.http.responses import json_response
from sema_main_api.http.routing import STAFF, Operation
from sema_main_api.http.schemas import MoneyObject

READ_SECONDS: Final = 30.0


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
                        "amount": MoneyObject(**Money(line.amount, line.currency).wire()),
                    }
                )
                for line in lines
            ],
            totals=[
                schemas.TrialTotal(total=MoneyObject(**Money(total, currency).wire()), balanced=total == 0)
                for currency, total in reports.totals(lines).items()
            ],
        )
    )


_TAG: Final = "Staff"
_PATH: Final = "/v1/admin/accounting"

OPERATIONS: Final = (
    Operation(
        "GET", f"{_PATH}/trial-balance", trial_balance, "The trial balance", _TAG,
        staff=STAFF, answers={200: schemas.TrialBalance},
        description="Accounts by type, and counter-accounts; each currency sums to zero.",
    ),
)  # fmt: skip
