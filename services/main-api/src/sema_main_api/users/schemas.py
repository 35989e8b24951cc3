"""Bodies about people."""

import re
from typing import Annotated, Final, Literal
from uuid import UUID

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from sema_main_api.http.bodies import Body
from sema_main_api.http.passwords import MAX_LENGTH, MIN_LENGTH, is_common
from sema_main_api.http.schemas import Answer, ListAnswer, Moment

_ADDRESS: Final = re.compile(r"[^@\s\x00-\x1f,;<>()\"]{1,64}@[^@\s\x00-\x1f,;<>()\"]{1,189}\.[a-z0-9-]{2,63}")
"""What a mail server is worth asking about; whether the address is right, only a mail to it tells."""


def _email(value: str) -> str:
    email = value.strip().lower()
    if not email.isascii() or not _ADDRESS.fullmatch(email):
        raise PydanticCustomError("invalid_email", "This is no e-mail address that we can write to.")
    return email


def _password(value: str) -> str:
    if is_common(value):
        raise PydanticCustomError("common_password", "This password is among those that are guessed first.")
    return value


def _text(value: str) -> str:
    if any(ord(character) < 32 for character in value):
        raise PydanticCustomError("invalid_characters", "Line breaks and control characters are no name.")
    return value.strip()


Email = Annotated[str, Field(max_length=254), AfterValidator(_email)]
Password = Annotated[str, Field(min_length=MIN_LENGTH, max_length=MAX_LENGTH), AfterValidator(_password)]
Name = Annotated[str, Field(max_length=100), AfterValidator(_text)]
Token = Annotated[str, Field(min_length=1, max_length=100)]
Role = Literal["owner", "admin", "developer", "viewer"]
StaffRole = Literal["staff_admin", "staff_support"]


class RegisterRequest(Body):
    email: Email
    password: Password = Field(repr=False)
    company: Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_text)]
    name: Name = ""


class EmailRequest(Body):
    email: Email


class TokenRequest(Body):
    token: Token = Field(repr=False)


class SetPasswordRequest(Body):
    token: Token = Field(repr=False)
    password: Password = Field(repr=False)


class AcceptRequest(SetPasswordRequest):
    name: Name = ""


class ChangePasswordRequest(Body):
    current_password: str = Field(min_length=1, max_length=MAX_LENGTH, repr=False)
    password: Password = Field(repr=False)


class Confirmed(Answer):
    account_id: UUID
    user_id: UUID


class InviteRequest(Body):
    email: Email
    role: Role
    name: Name = ""


class ChangeUserRequest(Body):
    role: Role | None = None
    name: Name | None = None
    disabled: bool | None = None


class InviteStaffRequest(Body):
    email: Email
    role: StaffRole
    name: Name = ""


class ChangeStaffRequest(Body):
    """Only what is given changes."""

    role: StaffRole | None = None
    name: Name | None = None
    disabled: bool | None = None
    reason: Annotated[
        str, Field(min_length=1, max_length=500, description="Why; it goes into the audit log.")
    ]


class ChangeMeRequest(Body):
    name: Name


class UserObject(Answer):
    """`invited` until the first password is chosen."""

    id: UUID
    email: str
    name: str
    role: str
    status: Literal["invited", "active", "disabled"]
    created_at: Moment


class UserList(ListAnswer):
    data: list[UserObject]
