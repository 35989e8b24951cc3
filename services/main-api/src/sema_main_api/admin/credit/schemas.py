"""Adjustments and commissions as staff make them."""

from decimal import Decimal
from typing import Annotated
from uuid import UUID

from pydantic import Field

from sema_main_api.http.bodies import Body
from sema_main_api.http.schemas import Answer, MoneyBody, MoneyObject

Reason = Annotated[str, Field(min_length=1, max_length=500, description="Why; it goes into the audit log.")]


class Adjust(Body):
    amount: MoneyBody = Field(description="What the account is given; below zero: what is taken.")
    reason: Reason


class Adjustment(Answer):
    """`id` is the entry's reference in the account's ledger."""

    id: UUID
    account_id: UUID
    amount: MoneyObject
    balance_after: MoneyObject
    reason: str


class SetCommission(Body):
    rate: str = Field(
        pattern=r"^[0-9](\.[0-9]{1,4})?$",
        examples=["0.0500"],
        description="Share of what his customers' messages cost the agent, 0 to 1, for messages from now on.",
    )
    reason: Reason

    @property
    def share(self) -> Decimal:
        return Decimal(self.rate)


class Commission(Answer):
    account_id: UUID
    rate: str
