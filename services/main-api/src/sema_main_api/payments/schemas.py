"""Bodies and answers about top-ups."""

from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field

from sema_common.billing.payments.top_ups import TopUp
from sema_common.values.money import Money
from sema_main_api.http.bodies import Body
from sema_main_api.http.paging import PageQuery
from sema_main_api.http.schemas import Answer, ListAnswer, Moment, MoneyObject

Status = Literal["pending", "succeeded", "failed", "expired"]


class Amount(Body):
    """Whole shillings: `{"amount": "500.0000", "currency": "KES"}`."""

    amount: Annotated[str, Field(max_length=20, examples=["500.0000"])]
    currency: Annotated[str, Field(max_length=3, examples=["KES"])]


class CreateTopUp(Body):
    amount: Amount
    phone: Annotated[str, Field(min_length=1, max_length=64, description="Whose M-Pesa pays, E.164 with +.")]


class PayBill(Answer):
    """How to pay the same by hand: Lipa na M-Pesa, Pay Bill, any amount, any time."""

    business_number: str
    account_number: str


class TopUpObject(Answer):
    """`reason` says why it has not succeeded; a payment that shows up after all still makes it `succeeded`."""

    id: UUID
    status: Status
    reason: str | None
    amount: MoneyObject
    phone: str
    receipt: str | None = Field(description="M-Pesa's receipt number, once it is known.")
    pay_bill: PayBill
    created_at: Moment
    settled_at: Moment | None


class TopUpList(ListAnswer):
    data: list[TopUpObject]


class TopUpQuery(PageQuery):
    status: Status | None = None


def show(top_up: TopUp, short_code: str) -> TopUpObject:
    """As its customer sees it."""
    return TopUpObject.model_validate(
        {
            "id": top_up.id,
            "status": top_up.status,
            "reason": top_up.reason,
            "amount": Money(top_up.amount, top_up.currency).wire(),
            "phone": top_up.msisdn,
            "receipt": top_up.receipt,
            "pay_bill": {"business_number": short_code, "account_number": top_up.account_reference},
            "created_at": top_up.created_at,
            "settled_at": top_up.settled_at,
        }
    )
