"""/v1/top-ups."""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from os import urandom
from uuid import UUID

from starlette.responses import Response

from sema_common.billing.payments import top_ups
from sema_common.platform.db import Database, Tx
from sema_common.values.clock import now
from sema_common.values.errors import Refused
from sema_common.values.ids import first_id, new_id
from sema_common.values.msisdn import InvalidMsisdn, parse_msisdn
from sema_main_api.http.bodies import invalid, read_body, read_query
from sema_main_api.http.callers import Caller
from sema_main_api.http.idempotency import Created, create_once
from sema_main_api.http.paging import Pager
from sema_main_api.http.problems import not_found, retry_after
from sema_main_api.http.requests import Request
from sema_main_api.http.responses import json_response
from sema_main_api.http.routing import MANAGERS, Operation
from sema_main_api.http.store import Audit, write_audit
from sema_main_api.http.tenants import TenantReads
from sema_main_api.payments import schemas
from sema_main_api.payments.rules import top_ups as rules


@dataclass(frozen=True, slots=True)
class Deps:
    """`short_code` None: M-Pesa is not set up here. `wake` lets new top-ups be pushed at once."""

    tenant: TenantReads
    pipeline: Database
    short_code: str | None = None
    wake: Callable[[], None] = lambda: None


async def create(deps: Deps, request: Request, caller: Caller) -> Response:
    """202: the phone lights up in a moment, and `GET` tells what its holder did."""
    wanted = await read_body(request, schemas.CreateTopUp)
    short_code = deps.short_code
    if short_code is None:
        raise Refused("unavailable", "M-Pesa is not available here; please contact support.", 503)
    _refuse_who_cannot_pay(caller)
    caller.require_active()
    try:
        msisdn: str | None = parse_msisdn(wanted.phone)
    except InvalidMsisdn:
        msisdn = None
    flaws = rules.flaws(wanted.amount.amount, wanted.amount.currency, caller.currency, msisdn)
    if flaws or msisdn is None:
        raise invalid(flaws)

    async def insert(tx: Tx) -> Created:
        moment = now()
        await _refuse_bombing(tx, caller.account_id, msisdn)
        top_up = await top_ups.insert(
            tx,
            new_id(moment),
            caller.tenant_id,
            caller.account_id,
            Decimal(wanted.amount.amount),
            wanted.amount.currency,
            msisdn,
            rules.account_reference(urandom(16)),
            moment,
        )
        body = schemas.show(top_up, short_code).model_dump(mode="json")
        subject = ("top_up", top_up.id)
        await write_audit(
            tx,
            Audit.by(
                caller, request.request_id, "top_up.requested", subject, after={"amount": body["amount"]}
            ),
        )
        return Created(top_up.id, body, 202)

    answer = await create_once(deps.pipeline, request, caller, "top_up", insert)
    deps.wake()
    return answer


async def list_all(deps: Deps, request: Request, caller: Caller) -> Response:
    """The account's top-ups, newest first."""
    query = read_query(request, schemas.TopUpQuery)
    pager = Pager("top-ups", caller.account_id, query)
    before = pager.after(UUID)
    async with deps.tenant.of(caller) as tx:
        rows = await top_ups.page(tx, caller.account_id, before, query.status, pager.fetch)
    return json_response(
        pager.page(rows, lambda row: schemas.show(row, deps.short_code or ""), lambda row: row.id)
    )


async def read(deps: Deps, request: Request, caller: Caller) -> Response:
    """One top-up, and what became of it."""
    async with deps.tenant.of(caller) as tx:
        top_up = await top_ups.read(tx, caller.account_id, request.path_id())
    if top_up is None:
        raise not_found()
    return json_response(schemas.show(top_up, deps.short_code or ""))


def _refuse_who_cannot_pay(caller: Caller) -> None:
    if caller.billing_account_id != caller.account_id:
        raise Refused("billed_to_agent", "This account is billed to its agent, who tops up for it.", 403)
    if caller.mode == "test":
        raise Refused("forbidden", "A test key moves no money.", 403)


async def _refuse_bombing(tx: Tx, account_id: UUID, msisdn: str) -> None:
    """Refused(429) when this phone, or phones of this account, were asked too often."""
    moment = now()
    since, after = moment - rules.PHONE_WINDOW, first_id(moment - rules.ACCOUNT_WINDOW)
    of_phone, of_account = await top_ups.count_pushes(tx, msisdn, since, account_id, after)
    if of_phone >= rules.PUSHES_PER_PHONE:
        wait = rules.PHONE_WINDOW.total_seconds()
        raise Refused("rate_limited", "This phone was asked too often.", 429, headers=retry_after(wait))
    if of_account >= rules.PUSHES_PER_ACCOUNT:
        raise Refused("rate_limited", "Too many top-ups within an hour.", 429, headers=retry_after(600))


_TAG = "Money"

OPERATIONS = (
    Operation(
        "POST",
        "/v1/top-ups",
        create,
        "Pay by M-Pesa",
        _TAG,
        scope="billing:write",
        roles=MANAGERS,
        creates=True,
        body=schemas.CreateTopUp,
        answers={202: schemas.TopUpObject},
        problems={
            403: "`billed_to_agent`, `account_suspended`",
            429: "`rate_limited`: this phone was asked too often",
            503: "`unavailable`: M-Pesa is not set up here",
        },
        description="Asks the phone for a payment (STK push). The credit is there once the payment is confirmed by"
        " M-Pesa itself; who cannot pay by the prompt pays the same by hand, to `pay_bill`.",
    ),
    Operation(
        "GET",
        "/v1/top-ups",
        list_all,
        "List top-ups",
        _TAG,
        scope="billing:read",
        query=schemas.TopUpQuery,
        answers={200: schemas.TopUpList},
    ),
    Operation(
        "GET",
        "/v1/top-ups/{id}",
        read,
        "What became of a top-up",
        _TAG,
        scope="billing:read",
        answers={200: schemas.TopUpObject},
    ),
)
