"""Bodies of logging in, sessions and the second factor."""

from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field

from sema_main_api.http.bodies import Body
from sema_main_api.http.passwords import MAX_LENGTH
from sema_main_api.http.schemas import Answer, Moment

Code = Annotated[str, Field(min_length=6, max_length=40)]
"""Six digits of an authenticator app, or a recovery code."""


class LoginRequest(Body):
    email: str = Field(min_length=1, max_length=254)
    password: str = Field(min_length=1, max_length=MAX_LENGTH, repr=False)
    code: Code | None = Field(
        default=None, repr=False, description="The second factor, for a user who has set one up."
    )


class RefreshRequest(Body):
    refresh_token: str = Field(min_length=1, max_length=300, repr=False)


class TokenAnswer(Answer):
    """The access token goes into `Authorization: Bearer …`, the refresh token into the next refresh, once."""

    access_token: str = Field(repr=False)
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105 - the name of a scheme
    expires_in: int = Field(description="Seconds.")
    refresh_token: str = Field(repr=False)


class LoggedInUser(Answer):
    id: UUID
    role: str
    account_id: UUID | None = Field(description="None for staff.")


class LoginAnswer(TokenAnswer):
    user: LoggedInUser


class SessionObject(Answer):
    id: str
    created_at: Moment
    refreshed_at: Moment
    address: str
    user_agent: str
    current: bool


class SessionList(Answer):
    data: list[SessionObject]


class TotpBegun(Answer):
    """Shown once, for the authenticator app; good once a code of it was confirmed."""

    secret: str = Field(repr=False)
    uri: str = Field(repr=False, examples=["otpauth://totp/…"])
    qr_svg: str = Field(repr=False)


class CodeRequest(Body):
    code: Code = Field(repr=False)


class RecoveryCodes(Answer):
    """Each works once, in place of a code of the app. Shown this once."""

    recovery_codes: list[str] = Field(repr=False)
