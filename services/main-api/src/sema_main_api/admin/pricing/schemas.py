"""Prices as staff ask for them, make them and see them."""

from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field

from sema_main_api.http.bodies import Body, Query
from sema_main_api.http.paging import PageQuery
from sema_main_api.http.schemas import Answer, Instant, ListAnswer, Moment, MoneyBody, MoneyObject

Tier = Literal["starter", "growth", "enterprise"]
AccountType = Literal["direct", "agent"]
Country = Annotated[str, Field(pattern="^[A-Z]{2}$", description="ISO 3166.")]
Mno = Annotated[
    str, Field(min_length=1, max_length=100, description="* is every other network of the country.")
]
Reason = Annotated[str, Field(min_length=1, max_length=500, description="Why; it goes into the audit log.")]


class PriceQuery(PageQuery):
    """Filters are joined by *and*."""

    account_id: UUID | None = None
    country: Country | None = None
    mno: Mno | None = None
    in_force: bool | None = Field(
        default=None, description="Only those that hold now, or only those that do not."
    )


class CreatePrice(Body):
    """What a segment costs from `valid_from` on (now, unless it is said); whoever is not said is everybody."""

    account_id: UUID | None = None
    tier: Tier | None = None
    account_type: AccountType | None = None
    country: Country
    mno: Mno = "*"
    min_segments: int = Field(default=0, ge=0, le=10**12, description="Monthly volume from which it holds.")
    price: MoneyBody
    valid_from: Instant | None = None
    valid_to: Instant | None = None
    reason: Reason


class EndPrice(Body):
    valid_to: Instant | None = Field(default=None, description="When it ends; now, unless it is said.")
    reason: Reason


class PriceObject(Answer):
    id: str
    account_id: UUID | None
    tier: Tier | None
    account_type: AccountType | None
    country: str
    mno: str
    min_segments: int
    price: MoneyObject
    valid_from: Moment
    valid_to: Moment | None


class PriceList(ListAnswer):
    data: list[PriceObject]


class ImportPrices(Query):
    """Of an upload of the price list."""

    dry_run: Annotated[bool, Field(description="Only show what would change.")] = False
    replace: Annotated[bool, Field(description="What the table does not name ends now.")] = False


class ImportedPrice(Answer):
    country: str
    mno: str
    account_id: UUID | None
    tier: str | None
    account_type: str | None
    min_segments: int
    price: MoneyObject
    valid_from: Moment
    valid_to: Moment | None


class PriceChange(Answer):
    what: Literal["added", "changed", "ended"]
    before: ImportedPrice | None
    after: ImportedPrice | None


class ImportedPrices(Answer):
    """`changes` names every one of them."""

    dry_run: bool
    rows: int
    added: int
    changed: int
    ended: int
    unchanged: int
    changes: list[PriceChange]
