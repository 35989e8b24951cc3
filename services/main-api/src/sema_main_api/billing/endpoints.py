"""/v1/balance, /v1/ledger and /v1/pricing."""

from dataclasses import dataclass
from decimal import Decimal

from starlette.responses import Response

from sema_common.billing import ledger
from sema_common.billing.prices import Price
from sema_common.billing.rates import load_prices
from sema_common.platform.db import Database
from sema_common.values.clock import now
from sema_common.values.errors import Refused
from sema_common.values.money import Money
from sema_main_api.billing import schemas
from sema_main_api.http.bodies import read_query
from sema_main_api.http.callers import Caller
from sema_main_api.http.paging import PageQuery, Pager, number
from sema_main_api.http.problems import not_found
from sema_main_api.http.requests import Request
from sema_main_api.http.responses import json_response
from sema_main_api.http.routing import Operation
from sema_main_api.http.schemas import MoneyObject
from sema_main_api.http.tenants import TenantReads


@dataclass(frozen=True, slots=True)
class Deps:
    tenant: TenantReads
    pipeline: Database


async def balance(deps: Deps, _: Request, caller: Caller) -> Response:
    """The truth, as committed."""
    refuse_billed_to_agent(caller)
    async with deps.tenant.of(caller) as tx:
        found = await ledger.read_balance(tx, caller.billing_account_id)
    if found is None:
        raise not_found()
    return json_response(
        schemas.BalanceAnswer(
            balance=money(found.balance, found.currency),
            available=money(found.available, found.currency),
            credit_limit=money(found.credit_limit, found.currency),
            billing_account_id=found.account_id,
        )
    )


async def entries(deps: Deps, request: Request, caller: Caller) -> Response:
    """Every movement, newest first."""
    refuse_billed_to_agent(caller)
    pager = Pager("ledger", caller.account_id, read_query(request, PageQuery))
    before = pager.after(number)
    async with deps.tenant.of(caller) as tx:
        rows = await ledger.read_entries(
            tx, caller.account_id, ledger.NEWEST if before is None else before, pager.fetch
        )

    def show(entry: ledger.Entry) -> schemas.LedgerEntry:
        return schemas.LedgerEntry.model_validate(
            {
                "id": str(entry.entry_id),
                "kind": entry.kind,
                "reference": entry.reference,
                "amount": money(entry.amount, caller.currency),
                "balance_after": money(entry.balance_after, caller.currency),
                "created_at": entry.created_at,
            }
        )

    return json_response(pager.page(rows, show, lambda entry: entry.entry_id))


async def pricing(deps: Deps, _: Request, caller: Caller) -> Response:
    """What a segment costs this account now, per country, network and monthly volume."""
    async with deps.tenant.of(caller) as tx:
        prices = await load_prices(tx)
        own = await ledger.read_volume(tx, caller.account_id)
    at = now()
    shown = []
    for country, mno in prices.destinations(caller, at):
        rate = prices.rate(caller, country, mno, at)
        if rate is not None:
            shown.append(_price_object(country, mno, rate.price, prices.rungs(caller, country, mno, at)))
    return json_response(schemas.Pricing(data=shown, segments_this_month=own))


def _price_object(
    country: str, mno: str, price: Price, rungs: list[tuple[int, Price]]
) -> schemas.PriceObject:
    return schemas.PriceObject(
        country=country,
        mno=mno,
        price=money(price.per_segment, price.currency),
        rule=price.rule,
        valid_from=price.valid_from,
        volume_tiers=[
            schemas.VolumeTier(from_segments=volume, price=money(rung.per_segment, rung.currency))
            for volume, rung in rungs
        ],
    )


def refuse_billed_to_agent(caller: Caller) -> None:
    """403 for an agent's customer: it is his agent's money."""
    if caller.billing_account_id != caller.account_id:
        raise Refused(
            "billed_to_agent", "This account is billed to its agent and has no balance of its own.", 403
        )


def money(amount: Decimal, currency: str) -> MoneyObject:
    """As answers write it."""
    return MoneyObject(**Money(amount, currency).wire())


OPERATIONS = (
    Operation(
        "GET",
        "/v1/balance",
        balance,
        "What is left",
        "Money",
        scope="billing:read",
        answers={200: schemas.BalanceAnswer},
        problems={403: "`billed_to_agent`"},
    ),
    Operation(
        "GET",
        "/v1/ledger",
        entries,
        "Every movement of credit",
        "Money",
        scope="billing:read",
        query=PageQuery,
        answers={200: schemas.Ledger},
        problems={403: "`billed_to_agent`"},
    ),
    Operation(
        "GET",
        "/v1/pricing",
        pricing,
        "What this account pays",
        "Money",
        scope="billing:read",
        answers={200: schemas.Pricing},
    ),
)
