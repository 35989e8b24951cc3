"""What the managers of an account may decide about its people."""

from collections.abc import Mapping
from uuid import UUID

from sema_common.values.errors import Refused
from sema_main_api.users.store import UserRow


def status_of(user: UserRow) -> str:
    """As the API shows it."""
    return "disabled" if user.disabled else "invited" if user.invited else "active"


def check_role(acting: str, role: str) -> None:
    """Refused(403) unless one of this role may give that one: owners are made by owners."""
    if role == "owner" and acting != "owner":
        raise Refused("forbidden", "Only an owner can make an owner.", 403)


def check_change(
    users: Mapping[UUID, UserRow], acting: str, user_id: UUID, role: str, disabled: bool
) -> None:
    """Refused when this change is not the actor's to make (403) or leaves no active owner (409)."""
    user = users[user_id]
    if user.role == "owner" and acting != "owner" and (role != "owner" or disabled != user.disabled):
        raise Refused("forbidden", "Only an owner can change an owner.", 403)
    if role != user.role:
        check_role(acting, role)
    others = (each for each in users.values() if each.id != user_id)
    owned = any(each.role == "owner" and not each.disabled and not each.invited for each in others)
    stays = role == "owner" and not disabled
    if user.role == "owner" and not stays and not owned:
        raise Refused("last_owner", "An account keeps at least one owner.", 409)


def check_staff_change(people: Mapping[UUID, UserRow], user_id: UUID, role: str, disabled: bool) -> None:
    """Refused(409) when nobody would be left who may let staff in."""
    stays = role == "staff_admin" and not disabled
    others = (each for each in people.values() if each.id != user_id)
    held = any(each.role == "staff_admin" and not each.disabled and not each.invited for each in others)
    if people[user_id].role == "staff_admin" and not stays and not held:
        raise Refused("last_admin", "One staff_admin is always left.", 409)
