"""What the agents' endpoints need, and what several of them say."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

from sema_common.platform.db import Database, Tx
from sema_common.values.errors import FieldError
from sema_common.values.money import Money
from sema_main_api.http.auth import Authenticator
from sema_main_api.http.bodies import invalid
from sema_main_api.http.callers import Caller
from sema_main_api.http.schemas import MoneyBody, MoneyObject
from sema_main_api.http.tenants import TenantReads

OpenCustomer = Callable[[Tx, str, UUID], Awaitable[UUID]]
"""Opens an account of this name for a customer of this agent; its id."""

InviteOwner = Callable[[Tx, UUID, UUID, str, str], Awaitable[None]]
"""Invites an owner: account, tenant, e-mail address, in whose name; Refused(409) for an address that is taken."""


@dataclass(frozen=True, slots=True)
class Deps:
    tenant: TenantReads
    pipeline: Database
    authenticator: Authenticator
    open_customer: OpenCustomer
    invite_owner: InviteOwner


def money(amount: Decimal, currency: str) -> MoneyObject:
    """As every answer says it."""
    return MoneyObject(**Money(amount, currency).wire())


def amount_of(field: str, wanted: MoneyBody, caller: Caller) -> Decimal:
    """An amount of the agent's currency, zero or more; Refused(422)."""
    amount = wanted.money
    if amount.currency != caller.currency:
        detail = f"This account is kept in {caller.currency}."
        raise invalid([FieldError(f"{field}.currency", "invalid_choice", detail)])
    if amount.amount < 0:
        raise invalid([FieldError(f"{field}.amount", "out_of_range", "This is zero or more.")])
    return amount.amount
