"""The routes of people."""

from typing import Final

from sema_main_api.http.paging import PageQuery
from sema_main_api.http.routing import MANAGERS, READERS, STAFF_ADMINS, Operation
from sema_main_api.users import schemas
from sema_main_api.users.endpoints import joining, managing, password, staff
from sema_main_api.users.endpoints.deps import Deps

__all__ = ["OPERATIONS", "Deps"]

_AUTH: Final = "Authentication"
_PEOPLE: Final = "Users"
_STAFF: Final = "Staff"
_TRIES: Final = {429: "`rate_limited`"}
_LINK: Final = {422: "`invalid_token`: the link was used or is too old; `validation_failed`"}

OPERATIONS: Final = (
    Operation(
        "POST",
        "/v1/auth/register",
        joining.register,
        "Register",
        _AUTH,
        public=True,
        body=schemas.RegisterRequest,
        answers={202: None},
        problems=_TRIES,
        description="The account is opened when the link in the mail is followed. The answer is the same for an"
        " address that is known here.",
    ),
    Operation(
        "POST",
        "/v1/auth/confirm",
        joining.confirm,
        "Confirm the e-mail address",
        _AUTH,
        public=True,
        body=schemas.TokenRequest,
        answers={201: schemas.Confirmed},
        problems={409: "`email_taken`", **_LINK},
    ),
    Operation(
        "POST",
        "/v1/auth/password/forgot",
        password.forgot,
        "Ask for a new password",
        _AUTH,
        public=True,
        body=schemas.EmailRequest,
        answers={202: None},
        problems=_TRIES,
        description="A mail with a link, if the address is known here; the answer is the same if it is not.",
    ),
    Operation(
        "POST",
        "/v1/auth/password/reset",
        password.reset,
        "Set a new password by a link",
        _AUTH,
        public=True,
        body=schemas.SetPasswordRequest,
        answers={204: None},
        problems=_LINK,
        description="Ends every session of the user. A second factor stays.",
    ),
    Operation(
        "POST",
        "/v1/auth/password/change",
        password.change,
        "Change my password",
        _AUTH,
        personal=True,
        body=schemas.ChangePasswordRequest,
        answers={204: None},
        problems=_TRIES,
        description="Ends every other session of the user.",
    ),
    Operation(
        "POST",
        "/v1/auth/invitations/accept",
        joining.accept,
        "Join an account by a link",
        _AUTH,
        public=True,
        body=schemas.AcceptRequest,
        answers={204: None},
        problems=_LINK,
    ),
    Operation(
        "PATCH",
        "/v1/me",
        managing.change_me,
        "Change my name",
        "Account",
        personal=True,
        body=schemas.ChangeMeRequest,
        answers={200: schemas.UserObject},
    ),
    Operation(
        "GET",
        "/v1/users",
        managing.list_users,
        "The account's users",
        _PEOPLE,
        roles=READERS,
        query=PageQuery,
        answers={200: schemas.UserList},
    ),
    Operation(
        "POST",
        "/v1/users",
        managing.invite,
        "Invite somebody",
        _PEOPLE,
        roles=MANAGERS,
        creates=True,
        body=schemas.InviteRequest,
        answers={201: schemas.UserObject},
        problems={409: "`email_taken`"},
    ),
    Operation(
        "PATCH",
        "/v1/users/{id}",
        managing.change,
        "Change a user's role, name, or whether he may log in",
        _PEOPLE,
        roles=MANAGERS,
        body=schemas.ChangeUserRequest,
        answers={200: schemas.UserObject},
        problems={409: "`last_owner`"},
    ),
    Operation(
        "GET",
        "/v1/admin/staff",
        staff.list_staff,
        "List staff",
        _STAFF,
        staff=STAFF_ADMINS,
        query=PageQuery,
        answers={200: schemas.UserList},
    ),
    Operation(
        "POST",
        "/v1/admin/staff",
        staff.invite_staff,
        "Invite a member of staff",
        _STAFF,
        staff=STAFF_ADMINS,
        body=schemas.InviteStaffRequest,
        answers={201: schemas.UserObject},
        problems={409: "`email_taken`"},
    ),
    Operation(
        "PATCH",
        "/v1/admin/staff/{id}",
        staff.change_staff,
        "Change a member of staff's role, name, or whether he may log in",
        _STAFF,
        staff=STAFF_ADMINS,
        body=schemas.ChangeStaffRequest,
        answers={200: schemas.UserObject},
        problems={409: "`last_admin`"},
    ),
)
