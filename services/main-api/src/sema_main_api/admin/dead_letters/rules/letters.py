"""A letter, read as far as it can be: its wire message, or what an unreadable body still names."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Literal
from uuid import UUID

from pydantic import ValidationError
from pydantic_core import from_json

from sema_common.values.errors import FieldError
from sema_common.wire.contents import CONTENTS, wire_class
from sema_common.wire.dlr import RawDlr, RawDlrs
from sema_common.wire.envelope import HEADER_EVENT_ID, HEADER_TRACEPARENT, WireMessage

State = Literal["open", "republished", "discarded"]

MAX_PROBLEMS: Final = 20


@dataclass(frozen=True, slots=True)
class Letter:
    """A row of `core.dead_letters`. `sent_…` is what a re-publish puts on the queue in place of the body."""

    id: UUID
    queue: str
    reason: str
    type: str
    version: str
    headers: Mapping[str, Any]
    body: bytes
    delivery_count: int
    dead_at: datetime
    state: State
    decided_at: datetime | None = None
    decided_by: str | None = None
    told_at: datetime | None = None
    sent_type: str | None = None
    sent_version: int | None = None
    sent_body: bytes | None = None

    @property
    def event_id(self) -> UUID | None:
        return _uuid(self.headers.get(HEADER_EVENT_ID))

    @property
    def traceparent(self) -> str | None:
        found = self.headers.get(HEADER_TRACEPARENT)
        return found if isinstance(found, str) else None


@dataclass(frozen=True, slots=True)
class Bonds:
    """Where a job may go, as its body says it: what a resend in doubt must not lose."""

    only_via: str | None = None
    not_via: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Named:
    """What a body names, readable or not. A job's attempt is None where the body does not say it."""

    jobs: Mapping[UUID, int | None] = field(default_factory=dict)
    bonds: Mapping[UUID, Bonds] = field(default_factory=dict)
    attempts: frozenset[tuple[UUID, int]] = frozenset()
    facts: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    reports: tuple[RawDlr, ...] = ()
    messages: frozenset[UUID] = frozenset()
    accounts: frozenset[UUID] = frozenset()
    campaign_id: UUID | None = None
    job_id: UUID | None = None
    delivery_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class Opened:
    """`plain` is the body as JSON, None if it is none; `message` is None when it is not readable, for `problems`."""

    plain: Any
    message: WireMessage | None
    problems: tuple[FieldError, ...]
    named: Named


def open_letter(letter: Letter) -> Opened:
    """Read a letter as its room would."""
    try:
        plain = from_json(letter.body)
    except ValueError:
        return Opened(
            None, None, (FieldError("payload", "malformed_body", "The body is not JSON."),), Named()
        )
    cls = wire_class(letter.queue, letter.type, _version(letter.version))
    if cls is None:
        known = ", ".join(f"{each.TYPE} {each.VERSION}" for each in CONTENTS[letter.queue])
        problem = FieldError("type", "unknown_type", f"This queue carries: {known}.")
        return Opened(plain, None, (problem,), name(plain))
    message, problems = read(cls, letter.body)
    if message is not None and letter.event_id is None:
        problems = (FieldError("headers.event_id", "required", "The letter bears no event id."),)
    return Opened(plain, None if problems else message, problems, name(plain))


def read(cls: type[WireMessage], body: bytes) -> tuple[WireMessage | None, tuple[FieldError, ...]]:
    """The body as this class; else what is wrong with it, never quoting it."""
    try:
        return cls.model_validate_json(body), ()
    except ValidationError as exc:
        found = exc.errors(include_url=False, include_input=False, include_context=False)[:MAX_PROBLEMS]
        return None, tuple(
            FieldError(
                ".".join(map(str, ("payload", *each["loc"]))), each["type"], "This is not what it should be."
            )
            for each in found
        )


def name(plain: Any) -> Named:
    """Everything that a body names by its id."""
    if not isinstance(plain, dict):
        return Named()
    jobs: dict[UUID, int | None] = {}
    bonds: dict[UUID, Bonds] = {}
    for each in _items(plain, "jobs"):
        if (message_id := _message_id(each.get("message_id"))) is not None:
            attempt = each.get("attempt")
            jobs[message_id] = attempt if isinstance(attempt, int) and 0 < attempt < 1000 else None
            bonds[message_id] = _bonds(each)
    attempts = frozenset(
        (message_id, each["attempt"])
        for each in _items(plain, "attempts")
        if (message_id := _message_id(each.get("message_id"))) is not None
        and isinstance(each.get("attempt"), int)
    )
    facts = {str(each["event_id"]): each for each in _items(plain, "facts") if "event_id" in each}
    told = {_message_id(each.get("message_id")) for each in facts.values()} - {None}
    everything = [plain, *_items(plain, "jobs"), *facts.values()]
    accounts = {_uuid(each.get("account_id")) for each in everything} - {None}
    return Named(
        jobs=jobs,
        bonds=bonds,
        attempts=attempts,
        facts=facts,
        reports=tuple(_reports(plain)),
        messages=frozenset(jobs) | {each for each, _ in attempts} | frozenset(filter(None, told)),
        accounts=frozenset(filter(None, accounts)),
        campaign_id=_uuid(plain.get("campaign_id")),
        job_id=_uuid(plain.get("job_id")),
        delivery_id=_uuid(plain.get("delivery_id")),
    )


def _reports(plain: Mapping[str, Any]) -> Iterator[RawDlr]:
    """Those raw reports that can be read, each by itself."""
    if RawDlrs.TYPE and isinstance(plain.get("reports"), list):
        for each in plain["reports"]:
            try:
                yield RawDlr.model_validate(each)
            except ValidationError:
                continue


def _items(plain: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    found = plain.get(key)
    return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []


def _bonds(job: Mapping[str, Any]) -> Bonds:
    only_via, not_via = job.get("only_via"), job.get("not_via")
    return Bonds(
        only_via if isinstance(only_via, str) else None,
        tuple(each for each in not_via if isinstance(each, str)) if isinstance(not_via, list) else (),
    )


def _version(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() else -1


def _uuid(value: object) -> UUID | None:
    try:
        return UUID(value) if isinstance(value, str) else None
    except ValueError:
        return None


def _message_id(value: object) -> UUID | None:
    """Ids of messages are UUIDv7: nothing else may be asked for."""
    found = _uuid(value)
    return found if found is not None and found.version == 7 else None
