"""What every simulated aggregator does with a submit: the story that its script tells, in whatever bytes.

An aggregator brings its doors and a `Format` per door; the rest is here: the mode, the verdict on each
message, the book, the reports and when they leave. Magic recipients (the table of
`sema_aggregators.test_mode`) act by themselves: neither the mode nor `dlr` moves them, only what ends a call
that they share with others does.
"""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, Protocol

from starlette.types import Receive, Scope, Send

from deploy.sandbox.asgi import HTML, TEXT, ContentType, answer, reset, until_gone
from deploy.sandbox.control import Mode, Script
from deploy.sandbox.pusher import Pusher, Train
from deploy.sandbox.witness import Witness
from sema_aggregators.test_mode import NOT_SENT_ATTEMPTS, ORDINARY, Reaction, script_of
from sema_aggregators.test_mode import Script as Act

EARLY_SECONDS: Final = 5.0
"""How long an answer waits for reports that must come before it."""

PAGE: Final = b"<html><head><title>502 Bad Gateway</title></head><body><h1>nginx</h1></body></html>"

App = Callable[[Scope, Receive, Send], Awaitable[None]]
Response = dict[str, Any]


class Item(NamedTuple):
    """One message of a call, as it came."""

    client_id: Any
    to: Any
    text: Any
    sender: Any


class Codes(NamedTuple):
    """What a script's refusals are called here."""

    wrong_number: int
    no_credit: int
    try_again: int


class Taken(NamedTuple):
    """An accepted message: `number` in E.164, `due` in Unix seconds is when its reports leave."""

    id: int
    number: str
    due: float
    delay: float


class Format(Protocol):
    """The bytes of one door. `flaw`: the code that a message is refused with for its own sake."""

    codes: Codes
    status: int
    content_type: ContentType

    def flaw(self, item: Item) -> int | None: ...
    def number(self, to: Any) -> str: ...
    def accepted(self, item: Item, taken: Taken) -> Response: ...
    def refused(self, item: Item, code: int) -> Response: ...
    def whole(self, responses: Sequence[Response]) -> bytes: ...
    def without_id(self, response: Response) -> Response: ...
    def with_id(self, response: Response, message_id: int) -> Response: ...
    def report(self, taken: Taken, status: str) -> bytes: ...


@dataclass(slots=True)
class _Call:
    """One send call: what is answered per message, and what follows from it."""

    responses: list[Response] = field(default_factory=list)
    accepted: list[tuple[Any, str, str]] = field(default_factory=list)
    early: list[Train] = field(default_factory=list)
    trains: list[Train] = field(default_factory=list)
    hangs: bool = False


class Simulated:
    """One account at one aggregator. `script` may be replaced at any moment."""

    name: str
    paths: Mapping[str, App]

    def __init__(self, pusher: Pusher) -> None:
        self.script = Script()
        self.witness: Final = Witness()
        self.pusher: Final = pusher
        # Microseconds since 1970: a restarted sandbox never gives an id twice, and JSON floats still hold it.
        self._next_id = time.time_ns() // 1000
        self._garbage = 0
        self._attempts: dict[str, int] = {}

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Reports leave while this is open."""
        with closing(self.witness):
            async with self.pusher:
                yield

    def stats(self) -> dict[str, int]:
        counters = self.pusher.counters
        return {
            "submitted": len(self.witness),
            "dlr_sent": counters.sent,
            "dlr_acked": counters.acked,
            "dlr_pending": counters.pending,
            "dlr_refused": counters.refused,
            "dlr_retries": counters.retries,
        }

    def mode(self, items: Iterable[Item]) -> Mode:
        """What holds for a call: no mode moves magic recipients that are among themselves."""
        return "ok" if all(script_of(str(item.to)) is not ORDINARY for item in items) else self.script.mode

    async def play(self, wire: Format, items: Sequence[Item], receive: Receive, send: Send) -> None:
        """Take a call whose credentials are right, and answer it as the script says."""
        script, mode = self.script, self.mode(items)
        if mode == "http_500":
            await asyncio.sleep(script.latency_ms / 1000)
            return await answer(send, PAGE, 500, HTML)
        call = self._take(wire, items, script, mode)
        if script.latency_ms:
            await asyncio.sleep(script.latency_ms / 1000)
        if call.early:
            await self.pusher.push_and_wait(call.early, EARLY_SECONDS)
        chance = bool(call.accepted) and random.random() < script.timeout_rate
        hangs = call.hangs or chance or mode == "timeout_after_accept"
        if not hangs and mode == "garbage":
            body, content_type = self._nonsense(wire, call.responses)
            await answer(send, body, wire.status, content_type)
        elif not hangs and mode != "reset_after_accept":
            await answer(send, wire.whole(call.responses), wire.status, wire.content_type)
        self.pusher.push(call.trains, script.dlr.delay_ms / 1000)
        if not hangs and mode == "reset_after_accept":
            reset(send)
        if hangs or mode == "reset_after_accept":
            # The call is over when the caller is gone; a return before that would answer 500.
            await until_gone(receive)
        return None

    def remember(self, taken: Taken, statuses: tuple[str, ...]) -> None:
        """For those who can be asked about a report later."""

    def _take(self, wire: Format, items: Sequence[Item], script: Script, mode: Mode) -> _Call:
        """Decide each message, write the accepted ones down, prepare answers and reports."""
        call = _Call()
        now = time.time()
        delay = script.dlr.delay_ms / 1000
        for item in items:
            code, number = wire.flaw(item), ""
            if code is None:
                number = wire.number(item.to)
                act = script_of(number)
                code = self._verdict(wire.codes, number, act, script, mode)
            if code is not None:
                call.responses.append(wire.refused(item, code))
                continue
            taken = Taken(self._next_id, number, now + delay, delay)
            self._next_id += 1
            call.responses.append(wire.accepted(item, taken))
            call.accepted.append((item.client_id, number, item.text))
            call.hangs = call.hangs or act.reaction is Reaction.TIMEOUT
            self.remember(taken, act.reports)
            statuses: Iterable[str] = act.reports
            if act is ORDINARY:
                statuses = _travelling(act.reports, script)
            train = [wire.report(taken, status) for status in statuses]
            if train:
                early = act.early or (act is ORDINARY and script.dlr.before_response)
                (call.early if early else call.trains).append(train)
        self.witness.accept(call.accepted, now)
        if script.dlr.shuffle:
            for trains in (call.early, call.trains):
                trains[:] = [[body] for train in trains for body in train]
                random.shuffle(trains)
        return call

    def _verdict(self, codes: Codes, number: str, act: Act, script: Script, mode: Mode) -> int | None:
        """The code of a refusal; None: accepted."""
        if act.reaction is Reaction.REFUSE:
            return codes.wrong_number
        if act.reaction is Reaction.NOT_SENT_TWICE:
            seen = self._attempts.pop(number, 0)
            if seen < NOT_SENT_ATTEMPTS:
                self._attempts[number] = seen + 1
                return codes.try_again
        if act is not ORDINARY:
            return None
        if mode == "refuse":
            return codes.wrong_number
        if mode == "low_credit":
            return codes.no_credit
        if script.error_rate and random.random() < script.error_rate:
            return codes.try_again
        return None

    def _nonsense(self, wire: Format, responses: list[Response]) -> tuple[bytes, ContentType]:
        """Six answers, in turn, of which no reader can learn what became of a message.

        The sixth gives all messages the id 1. A lone message's reader cannot see that this is wrong.
        """
        self._garbage += 1
        match self._garbage % 6:
            case 1:
                return PAGE, HTML
            case 2:
                whole = wire.whole(responses)
                return whole[: len(whole) // 2], wire.content_type
            case 3:
                return b"OK", TEXT
            case 4:
                return b"", wire.content_type
            case 5:
                return wire.whole([wire.without_id(response) for response in responses]), wire.content_type
            case _:
                return wire.whole([wire.with_id(response, 1) for response in responses]), wire.content_type


def _travelling(statuses: tuple[str, ...], script: Script) -> list[str]:
    """What is pushed for an ordinary message: copies made, losses taken."""
    dlr = script.dlr
    if not dlr.enabled:
        return []
    if dlr.shuffle:
        statuses = ("sent", *statuses)
    travelling: list[str] = []
    for status in statuses:
        copies = int(dlr.duplicate) + (random.random() < dlr.duplicate % 1)
        travelling += [status] * (1 + copies)
    if dlr.drop_rate:
        travelling = [status for status in travelling if random.random() >= dlr.drop_rate]
    return travelling
