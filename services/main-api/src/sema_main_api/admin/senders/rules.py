"""What a sender ID looks like, and what may be decided about it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from sema_common.values.errors import FieldError, Refused
from sema_content_checker import skeleton

SHORTEST_INSIDE: Final = 4
"""A protected name that is as long is seen inside others too (`KCBBANKKE`); a shorter one only as a whole, or every
third word would bear it."""


@dataclass(frozen=True, slots=True)
class LookAlike:
    """Whom a reader could take this sender for: another account's approved one, or a protected name."""

    kind: Literal["approved", "protected"]
    name: str
    account_id: str | None = None
    account_name: str | None = None

    @property
    def audited(self) -> dict[str, Any]:
        return {"kind": self.kind, "name": self.name, "account_id": self.account_id}


def protected_in(sender: str, names: Iterable[str]) -> list[LookAlike]:
    """Protected names that this sender reads as, or contains. Numbers resemble no name."""
    if sender.lstrip("+").isdigit():
        return []
    seen = skeleton(sender)
    return [LookAlike("protected", name) for name in names if _reads_as(seen, skeleton(name))]


def _reads_as(sender: str, name: str) -> bool:
    return sender == name or (len(name) >= SHORTEST_INSIDE and name in sender)


def check_approval(found: Sequence[LookAlike], despite: bool, reason: str | None, role: str) -> None:
    """Refused unless nothing looks like it, or an administrator says with a reason that it is theirs all the same."""
    if not found:
        return
    if not despite:
        detail = "This sender ID could be taken for another: look at `look_alikes`, and approve it in spite of them."
        shown = [each.audited | {"account_name": each.account_name} for each in found]
        raise Refused("sender_id_looks_alike", detail, 409, extra={"look_alikes": shown})
    if role != "staff_admin":
        raise Refused("forbidden", "Only an administrator approves a sender ID that looks like another.", 403)
    if reason is None:
        detail = "Say how you know that it is theirs."
        raise Refused("validation_failed", detail, errors=[FieldError("reason", "required", detail)])
