"""Shapes that answers share: moments, money, lists."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer

from sema_common.values.clock import wire_time

Moment = Annotated[datetime, PlainSerializer(wire_time, when_used="unless-none")]
"""A time as the contract writes it: RFC 3339, UTC, milliseconds."""


class Answer(BaseModel):
    """Base of every answer; built from rows by name."""

    model_config = ConfigDict(frozen=True, from_attributes=True)


class MoneyObject(Answer):
    """An amount as a decimal string of four places, and its currency."""

    amount: str = Field(examples=["0.8000"])
    currency: str = Field(examples=["KES"])


class ListAnswer(Answer):
    """One page of a list, newest first; a list adds its `data`."""

    has_more: bool
    next_cursor: str | None


class Reference(Answer):
    """The id of what was set in motion."""

    id: UUID
