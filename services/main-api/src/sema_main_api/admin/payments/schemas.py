"""Bodies and answers about payments, for staff."""

from datetime import date
from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field

from sema_main_api.http.bodies import Body, Query
from sema_main_api.http.paging import PageQuery
from sema_main_api.http.schemas import Answer, Instant, ListAnswer, Moment, MoneyObject

PaymentState = Literal["told", "listed", "credited", "mismatched", "unassigned", "returned"]


class PaymentQuery(PageQuery):
    state: PaymentState = "unassigned"
    paid_after: Instant | None = None
    paid_before: Instant | None = None


class PaymentObject(Answer):
    """One receipt. `bill_reference` is what the payer typed, `payer` his number as M-Pesa masks it."""

    receipt: str
    state: PaymentState
    amount: MoneyObject
    bill_reference: str
    payer: str
    paid_at: Moment
    listed_at: Moment | None
    top_up_id: UUID | None
    account_id: UUID | None
    settled_at: Moment | None
    decided_by: str | None


class PaymentList(ListAnswer):
    data: list[PaymentObject]


Reason = Annotated[str, Field(min_length=3, max_length=500, description="For the audit log.")]


class AssignPayment(Body):
    account_id: UUID
    reason: Reason


class ReturnPayment(Body):
    reason: Reason


class ReconciliationQuery(Query):
    day: date | None = Field(default=None, description="A day in Nairobi; yesterday unless given.")


class Total(Answer):
    payments: int
    amount: MoneyObject


class Mismatch(Answer):
    kind: Literal[
        "not_read",
        "not_settled",
        "amount_differs",
        "told_not_listed",
        "confirmed_not_listed",
        "credited_not_listed",
        "not_in_ledger",
        "no_result",
    ]
    receipt: str | None
    top_up_id: UUID | None
    amount: MoneyObject | None


class ReconciliationReport(Answer):
    """`totals`: the list by what became of it. `mismatches`: best none. `complete`: the day is read whole."""

    day: date
    made_at: Moment
    complete: bool
    totals: dict[PaymentState, Total]
    mismatches: list[Mismatch]
