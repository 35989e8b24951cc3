"""Shapes that answers share: moments, money, lists."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated
from uuid import UUID

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, PlainSerializer
from pydantic_core import PydanticCustomError

from sema_common.values.clock import wire_time
from sema_common.values.money import Money
from sema_main_api.http.bodies import Body

Moment = Annotated[datetime, PlainSerializer(wire_time, when_used="unless-none")]
"""A time as the contract writes it: RFC 3339, UTC, milliseconds."""


def _in_utc(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise PydanticCustomError(
            "out_of_range", "This time is outside the years 1 to 9999 in UTC."
        ) from None


Instant = Annotated[AwareDatetime, AfterValidator(_in_utc)]
"""A time as requests say it: with a zone, kept in UTC, where the last hours of 9999 to the west are no time."""


class Answer(BaseModel):
    """Base of every answer; built from rows by name."""

    model_config = ConfigDict(frozen=True, from_attributes=True, defer_build=True)


class MoneyObject(Answer):
    """An amount as a decimal string of four places, and its currency."""

    amount: str = Field(examples=["0.8000"])
    currency: str = Field(examples=["KES"])


class MoneyBody(Body):
    """Money as it is asked for: a decimal string of at most four places, never a float, and its currency."""

    amount: str = Field(pattern=r"^-?[0-9]{1,14}(\.[0-9]{1,4})?$", examples=["500.0000"])
    currency: str = Field(pattern="^[A-Z]{3}$", examples=["KES"])

    @property
    def money(self) -> Money:
        return Money(Decimal(self.amount), self.currency)


class ListAnswer(Answer):
    """One page of a list, newest first; a list adds its `data`."""

    has_more: bool
    next_cursor: str | None


class Reference(Answer):
    """The id of what was set in motion."""

    id: UUID
