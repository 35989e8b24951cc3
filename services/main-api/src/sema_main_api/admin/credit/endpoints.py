"""/v1/admin/accounts/{id}/adjustments and /commission."""

from dataclasses import dataclass
from typing import Final

from starlette.responses import Response

from sema_common.billing import agents, ledger
from sema_common.platform.db import Database, Tx
from sema_common.values.errors import FieldError, Refused
from sema_common.values.ids import new_id
from sema_common.values.money import Money
from sema_main_api.admin.credit import schemas
from sema_main_api.http.bodies import invalid, read_body
from sema_main_api.http.callers import Staff
from sema_main_api.http.idempotency import Created, create_once
from sema_main_api.http.problems import not_found
from sema_main_api.http.requests import Request
from sema_main_api.http.responses import json_response
from sema_main_api.http.routing import STAFF_ADMINS, Operation
from sema_main_api.http.store import Audit, write_audit


@dataclass(frozen=True, slots=True)
class Deps:
    pipeline: Database


async def adjust(deps: Deps, request: Request, staff: Staff) -> Response:
    """201 with the balance that it leaves; Refused (404, 409, 422), and then nothing has moved."""
    account_id = request.path_id()
    wanted = await read_body(request, schemas.Adjust)
    amount = wanted.amount.money
    if not amount.amount:
        raise invalid([FieldError("amount.amount", "out_of_range", "An adjustment moves something.")])

    async def book(tx: Tx) -> Created:
        before = (await ledger.lock_balances(tx, [account_id])).get(account_id)
        if before is None:
            raise not_found()
        if before.currency != amount.currency:
            detail = f"This account is kept in {before.currency}."
            raise invalid([FieldError("amount.currency", "invalid_choice", detail)])
        if before.available + amount.amount < 0:
            raise Refused(
                "below_credit_limit", "The account has not so much left, nor its credit limit.", 409
            )
        reference = new_id()
        after = await ledger.adjust(tx, account_id, amount.amount, reference, "adjustment")
        assert after is not None  # nobody else has this reference
        shown = schemas.Adjustment.model_validate(
            {
                "id": reference,
                "account_id": account_id,
                "amount": amount.wire(),
                "balance_after": Money(after, before.currency).wire(),
                "reason": wanted.reason,
            }
        )
        line = Audit.by_staff(
            staff,
            request.request_id,
            "account.adjusted",
            ("account", account_id),
            account_id=account_id,
            before={"balance": Money(before.balance, before.currency).wire()},
            after={
                "balance": Money(after, before.currency).wire(),
                "amount": amount.wire(),
                "reference": str(reference),
            },
            reason=wanted.reason,
        )
        await write_audit(tx, line)
        return Created(reference, shown.model_dump(mode="json"))

    return await create_once(deps.pipeline, request, staff, "adjustment", book)


async def set_commission(deps: Deps, request: Request, staff: Staff) -> Response:
    """200 with the rate that holds for messages from now on; what was earned stays earned."""
    agent_id = request.path_id()
    wanted = await read_body(request, schemas.SetCommission)
    if wanted.share > 1:
        raise invalid([FieldError("rate", "out_of_range", "A commission is at most 1, the whole of it.")])
    async with deps.pipeline.transaction() as tx:
        before = await agents.lock_commission(tx, agent_id)
        if before is None:
            raise not_found()
        await agents.set_commission(tx, agent_id, wanted.share)
        line = Audit.by_staff(
            staff,
            request.request_id,
            "agent.commission_set",
            ("account", agent_id),
            account_id=agent_id,
            before={"rate": f"{before:.4f}"},
            after={"rate": f"{wanted.share:.4f}"},
            reason=wanted.reason,
        )
        await write_audit(tx, line)
    return json_response(schemas.Commission(account_id=agent_id, rate=f"{wanted.share:.4f}"))


_PATH: Final = "/v1/admin/accounts/{id}"

OPERATIONS: Final = (
    Operation(
        "POST", f"{_PATH}/adjustments", adjust, "Give or take credit", "Staff",
        staff=STAFF_ADMINS, creates=True, body=schemas.Adjust, answers={201: schemas.Adjustment},
        problems={409: "`below_credit_limit`"},
        description="An agent's customer has no balance (404): adjust the agent's.",
    ),
    Operation(
        "PUT", f"{_PATH}/commission", set_commission, "Agree on an agent's commission", "Staff",
        staff=STAFF_ADMINS, body=schemas.SetCommission, answers={200: schemas.Commission},
    ),
)  # fmt: skip
