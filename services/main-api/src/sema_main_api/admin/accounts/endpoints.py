"""/v1/admin/accounts: found, read, changed, suspended and let in again."""

from dataclasses import asdict, dataclass, replace
from decimal import Decimal
from typing import Any, Literal
from uuid import UUID

from starlette.responses import Response

from sema_common.billing import ledger
from sema_common.platform.db import Database, Tx
from sema_common.values.errors import FieldError, Refused
from sema_common.values.money import Money
from sema_main_api.admin.accounts import rules, schemas, store
from sema_main_api.http.auth import Authenticator
from sema_main_api.http.bodies import invalid, read_body, read_query
from sema_main_api.http.callers import Staff
from sema_main_api.http.paging import Pager
from sema_main_api.http.problems import not_found
from sema_main_api.http.requests import Request
from sema_main_api.http.responses import json_response
from sema_main_api.http.routing import STAFF, STAFF_ADMINS, Operation
from sema_main_api.http.rules import bounds_for
from sema_main_api.http.schemas import MoneyBody
from sema_main_api.http.store import Audit, write_audit


@dataclass(frozen=True, slots=True)
class Deps:
    pipeline: Database
    authenticator: Authenticator


async def list_accounts(deps: Deps, request: Request, staff: Staff) -> Response:
    """Of every tenant, the youngest first."""
    query = read_query(request, schemas.AccountQuery)
    pager = Pager("admin-accounts", staff.user_id, query)
    before = pager.after(UUID)
    async with deps.pipeline.transaction() as tx:
        rows = await store.list_accounts(tx, query, before, pager.fetch)
    return json_response(pager.page(rows, _shown, lambda row: row.id))


async def read(deps: Deps, request: Request, staff: Staff) -> Response:
    """One account with its balance."""
    async with deps.pipeline.transaction() as tx:
        row = await store.read_account(tx, request.path_id())
    if row is None:
        raise not_found()
    return json_response(_shown(row))


async def change(deps: Deps, request: Request, staff: Staff) -> Response:
    """In force here at once and everywhere within five seconds."""
    account_id = request.path_id()
    wanted = await read_body(request, schemas.ChangeAccount)
    changes = wanted.model_dump(exclude={"reason", "credit_limit", "spend_per_hour"}, exclude_unset=True)
    given = wanted.model_fields_set
    if nulls := [name for name in rules.NEVER_NULL if name in given and getattr(wanted, name) is None]:
        raise invalid([FieldError(name, "required", "This cannot be null.") for name in nulls])
    async with deps.pipeline.transaction() as tx:
        payer = await ledger.lock_balances(tx, [account_id])  # before any other row, as everywhere
        before = await store.lock_account(tx, account_id)
        if before is None:
            raise not_found()
        if "spend_per_hour" in given:
            changes["spend_per_hour"] = _spend(wanted.spend_per_hour, before.currency)
        if wanted.credit_limit is not None:
            limit = _limit(wanted.credit_limit.money, payer.get(account_id))
            await ledger.set_credit_limit(tx, account_id, limit)
        await store.change_account(tx, replace(before, **changes))
        after = await _audited(tx, request, staff, "account.changed", before, wanted.reason)
    deps.authenticator.forget(account_id)
    return json_response(_shown(after))


async def suspend(deps: Deps, request: Request, staff: Staff) -> Response:
    """It reads on and starts nothing; its campaigns wait. An agent's customers are suspended with it."""
    return await _move(deps, request, staff, "suspended")


async def reactivate(deps: Deps, request: Request, staff: Staff) -> Response:
    """It sends again, and its campaigns go on."""
    return await _move(deps, request, staff, "active")


async def _move(
    deps: Deps, request: Request, staff: Staff, status: Literal["active", "suspended"]
) -> Response:
    account_id = request.path_id()
    wanted = await read_body(request, schemas.Because)
    async with deps.pipeline.transaction() as tx:
        before = await store.lock_account(tx, account_id)
        if before is None:
            raise not_found()
        rules.check_move(before.status, before.suspended_by, status)
        by = "staff" if status == "suspended" else None
        await store.change_account(tx, replace(before, status=status, suspended_by=by))
        action = "account.suspended" if status == "suspended" else "account.reactivated"
        after = await _audited(tx, request, staff, action, before, wanted.reason)
    deps.authenticator.forget(account_id)
    return json_response(_shown(after))


def _limit(wanted: Money, payer: ledger.Balance | None) -> Decimal:
    """The limit that may be set; Refused where another account pays, in another currency, and below what is owed."""
    if payer is None:
        raise Refused("billed_to_agent", "This account is billed to its agent and has no credit limit.", 403)
    _check_currency("credit_limit", wanted, payer.currency)
    if payer.balance + wanted.amount < 0:
        raise Refused("credit_in_use", "The account owes more than this limit allows.", 409)
    return wanted.amount


def _spend(wanted: MoneyBody | None, currency: str) -> Decimal | None:
    """What may be spent in an hour; Refused in another currency."""
    if wanted is None:
        return None
    _check_currency("spend_per_hour", wanted.money, currency)
    return wanted.money.amount


def _check_currency(name: str, wanted: Money, currency: str) -> None:
    if wanted.currency != currency:
        detail = f"This account is kept in {currency}."
        raise invalid([FieldError(f"{name}.currency", "invalid_choice", detail)])


async def _audited(
    tx: Tx, request: Request, staff: Staff, action: str, before: store.AccountRow, reason: str
) -> store.AccountRow:
    """The account as it is now, once its change stands in the audit log."""
    after = await store.read_account(tx, before.id)
    assert after is not None
    audit = Audit.by_staff(
        staff,
        request.request_id,
        action,
        ("account", before.id),
        account_id=before.id,
        before=before.audited,
        after=after.audited,
        reason=reason,
    )
    await write_audit(tx, audit)
    return after


def _shown(row: store.AccountRow) -> schemas.StaffAccount:
    def money(amount: Decimal | None) -> dict[str, str] | None:
        return None if amount is None else Money(amount, row.currency).wire()

    bounds = bounds_for(row.tier, row.recipient_per_10_minutes, row.prefix_per_10_minutes, row.spend_per_hour)
    shown: dict[str, Any] = {
        "agent_id": row.agent_id,
        "balance": money(row.balance),
        "credit_limit": money(row.credit_limit),
        "spend_per_hour": money(row.spend_per_hour),
        "guards": asdict(bounds) | {"spend": money(bounds.spend)},
    }
    rates = rules.rates(row.tier, row.rate_per_second, row.rate_burst, row.priority_per_second)
    return schemas.StaffAccount.model_validate(asdict(row) | rates | shown)


ACCOUNT = "/v1/admin/accounts/{id}"

OPERATIONS = (
    Operation(
        "GET",
        "/v1/admin/accounts",
        list_accounts,
        "Find accounts",
        "Staff",
        staff=STAFF,
        query=schemas.AccountQuery,
        answers={200: schemas.StaffAccountList},
    ),
    Operation(
        "GET",
        ACCOUNT,
        read,
        "Show an account",
        "Staff",
        staff=STAFF,
        answers={200: schemas.StaffAccount},
    ),
    Operation(
        "PATCH",
        ACCOUNT,
        change,
        "Change an account's tier, limits, credit limit or refund policy",
        "Staff",
        staff=STAFF_ADMINS,
        body=schemas.ChangeAccount,
        answers={200: schemas.StaffAccount},
        problems={403: "`billed_to_agent`", 409: "`credit_in_use`"},
    ),
    Operation(
        "POST",
        f"{ACCOUNT}/suspend",
        suspend,
        "Suspend an account",
        "Staff",
        staff=STAFF,
        body=schemas.Because,
        answers={200: schemas.StaffAccount},
        problems={409: "`already_suspended`"},
        description="Sends are refused within five seconds everywhere; its campaigns wait where they are.",
    ),
    Operation(
        "POST",
        f"{ACCOUNT}/reactivate",
        reactivate,
        "Let a suspended account in again",
        "Staff",
        staff=STAFF_ADMINS,
        body=schemas.Because,
        answers={200: schemas.StaffAccount},
        problems={409: "`already_active`"},
    ),
)
