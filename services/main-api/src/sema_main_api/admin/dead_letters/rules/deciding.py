"""What is put on the queue when a letter is sent again, or why it is not."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from pydantic_core import to_json

from sema_common.messages.store.outcomes import Ended
from sema_common.messages.store.rows import MessageRow
from sema_common.values.errors import FieldError, Refused
from sema_common.wire.contents import CONTENTS, wire_class
from sema_common.wire.envelope import WireMessage
from sema_common.wire.sms import SmsJobs
from sema_main_api.admin.dead_letters.rules import effects
from sema_main_api.admin.dead_letters.rules.corrections import forbidden
from sema_main_api.admin.dead_letters.rules.known import Known, fate
from sema_main_api.admin.dead_letters.rules.letters import Letter, Opened, read

DEAD_LETTERED: Final = ("dead_lettered", "it could not be processed and was given up; nothing was submitted")

NOT_SCREENED: Final = (
    {
        "check": "unavailable",
        "detail": "The campaign could not be checked. Nothing was sent or charged; submit it again.",
    },
)


@dataclass(frozen=True, slots=True)
class Outgoing:
    """`body` None: as it came."""

    type: str
    version: int
    body: bytes | None


def corrected(
    letter: Letter, payload: Mapping[str, Any], type_: str | None, version: int | None
) -> WireMessage:
    """A correction by its wire model; Refused(422) naming every wrong field."""
    kind = type_ or letter.type
    versions = [each.VERSION for each in CONTENTS[letter.queue] if kind == each.TYPE]
    cls = wire_class(letter.queue, kind, version or max(versions, default=0))
    if cls is None:
        known = ", ".join(f"{each.TYPE} {each.VERSION}" for each in CONTENTS[letter.queue])
        raise _invalid([FieldError("type", "unknown_type", f"This queue carries: {known}.")])
    message, problems = read(cls, to_json(payload))
    if message is None:
        raise _invalid(list(problems))
    return message


def prepare(
    letter: Letter, opened: Opened, correction: WireMessage | None, known: Known, now: datetime
) -> Outgoing:
    """What goes out; Refused with 422 for a body nobody can read or a forbidden change, 409 if it would do nothing.

    A job of a message that is unknown or has ended is left out: nobody would stop its submit.
    """
    message = correction or opened.message
    if message is None:
        detail = "The letter cannot be read as it is: send it with a corrected payload."
        raise Refused("unreadable_payload", detail, 422, opened.problems)
    if correction is not None and (wrong := forbidden(letter, opened.named, correction, known)):
        raise _invalid(wrong)
    body = None if correction is None else body_of(correction)
    if isinstance(message, SmsJobs):
        jobs = tuple(
            j for j in message.jobs if fate(known, j.message_id, j.attempt, now) not in ("unknown", "ended")
        )
        if not jobs:
            raise _nothing()
        if len(jobs) < len(message.jobs):
            body = body_of(SmsJobs(jobs=jobs))
    elif effects.worthless(list(effects.replay(Opened(None, message, (), opened.named), known, now))):
        raise _nothing()
    return Outgoing(message.TYPE, message.VERSION, body)


def body_of(message: WireMessage) -> bytes:
    """The message as it travels."""
    return message.model_dump_json().encode()


def unclaimed(opened: Opened, known: Known) -> dict[UUID, int]:
    """Of the messages that a letter has jobs for: those whose attempt nobody claimed, with that attempt."""
    found: dict[UUID, int] = {}
    for message_id, attempt in opened.named.jobs.items():
        number = attempt or known.next_attempt(message_id)
        if message_id in known.messages and known.made(message_id, number) is None:
            found[message_id] = number
    return found


def dead_lettered(message: MessageRow, attempt: int, at: datetime) -> Ended:
    """The end of a message whose job is given up."""
    return Ended(message.message_id, attempt, message.tenant_id, "failed", *DEAD_LETTERED, at)


def was_dead_lettered(message: MessageRow) -> bool:
    return message.status == "failed" and (message.last_error or {}).get("code") == DEAD_LETTERED[0]


def _nothing() -> Refused:
    return Refused(
        "nothing_to_republish", "Sending it again would do nothing: see `replay`. Discard it.", 409
    )


def _invalid(errors: list[FieldError]) -> Refused:
    return Refused("validation_failed", "Some fields are not valid: see `errors`.", 422, errors)
