"""Bodies of logging in."""

from typing import Literal
from uuid import UUID

from pydantic import Field

from sema_main_api.auth.passwords import MAX_LENGTH
from sema_main_api.http.bodies import Body
from sema_main_api.http.schemas import Answer


class LoginRequest(Body):
    email: str = Field(min_length=1, max_length=254)
    password: str = Field(min_length=1, max_length=MAX_LENGTH, repr=False)


class LoggedInUser(Answer):
    id: UUID
    role: str
    account_id: UUID | None = Field(description="None for staff.")


class LoginAnswer(Answer):
    """The token goes into `Authorization: Bearer …`."""

    access_token: str = Field(repr=False)
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105 - the name of a scheme
    expires_in: int = Field(description="Seconds.")
    user: LoggedInUser
