"""What a rate may be, and which month a month is."""

from collections.abc import Iterable
from datetime import date, datetime
from decimal import Decimal
from typing import Final
from uuid import UUID

from sema_common.billing.prices import ANY_MNO, PriceList, RetailRow
from sema_common.values.errors import FieldError, Refused
from sema_main_api.http.callers import Caller
from sema_main_api.http.problems import not_found

NOTHING: Final = Decimal(0)


def require_agent(caller: Caller) -> None:
    """Refused unless the account is an agent; a customer of one has no customers of his own (one level)."""
    if caller.account_type == "agent_customer":
        raise Refused("one_level_only", "An agent's customer has no customers of his own.", 422)
    if caller.account_type != "agent":
        raise Refused("not_an_agent", "This account is no agent.", 403)


def require_his(caller: Caller) -> None:
    """404 unless the account is an agent: to anybody else there are no customers of anybody."""
    if caller.account_type != "agent":
        raise not_found()


def below_cost(
    prices: PriceList,
    agent_id: UUID,
    currency: str,
    country: str,
    mno: str,
    rates: Iterable[RetailRow],
    at: datetime,
) -> Decimal | None:
    """The least that this rate may be: what the agent pays for the dearest network that it would decide for.

    A rate for the whole country ('*') does not decide for networks that have a rate of their own among `rates`.
    None: the agent cannot send there at all.
    """
    networks = {mno}
    if mno == ANY_MNO:
        own = {row.mno for row in rates if row.country == country and row.in_force(at)}
        networks |= prices.networks(country, currency) - own
    costs = [prices.wholesale(agent_id, country, network, currency, at) for network in networks]
    return max((cost.per_segment for cost in costs if cost is not None), default=None)


def too_cheap(least: Decimal | None, price: Decimal, currency: str, country: str) -> None:
    """Refused(422) for a rate below cost, or to where the agent has no price."""
    if least is None:
        detail = f"{country} is not open for this account."
        raise Refused(
            "unsupported_destination",
            detail,
            errors=[FieldError("country", "unsupported_destination", detail)],
        )
    if price < least:
        detail = f"A segment costs you {least} {currency}: a rate is not below that."
        raise Refused("below_cost", detail, errors=[FieldError("price.amount", "below_cost", detail)])


def month_of(text: str | None, at: datetime) -> date:
    """The first day of a month: the one that is said, or the one that it is."""
    return date.fromisoformat(f"{text}-01") if text else at.date().replace(day=1)


def month_before(day: date) -> date:
    """The first day of the month before that of `day`."""
    return date(day.year - (day.month == 1), (day.month - 2) % 12 + 1, 1)
