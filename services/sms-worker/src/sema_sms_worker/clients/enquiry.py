"""Questions about single reports, over connections of their own: they take no sender's place.

What must never happen here: a retry, or a key in a line.
"""

from dataclasses import dataclass
from typing import Protocol

from sema_aggregators import Credentials, HttpAnswer, Poll, Pollable, PollState
from sema_common.platform.http import Http, TransportError
from sema_common.values import clock


class NamedPollable(Pollable, Protocol):
    @property
    def name(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Said:
    """An aggregator's answer about one message; `body` as it came, empty when there was none."""

    poll: Poll
    body: bytes


class Enquiry:
    """How one aggregator is asked."""

    def __init__(self, adapter: NamedPollable, credentials: Credentials, http: Http) -> None:
        self.name = adapter.name
        self._adapter = adapter
        self._credentials = credentials
        self._http = http

    async def ask(self, aggregator_id: str) -> Said:
        """What it knows of this id. A call without an answer is one to try later."""
        call = self._adapter.poll(self._credentials, aggregator_id)
        try:
            answer = await self._http.request(call.method, call.path, content=call.body, headers=call.headers)
        except TransportError:
            return Said(Poll(PollState.TRY_LATER), b"")
        raw = HttpAnswer(answer.status, answer.headers, answer.body)
        return Said(self._adapter.read_poll(raw, aggregator_id, clock.now()), answer.body)
