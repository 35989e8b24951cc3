"""Facts that customers may subscribe to, on `webhooks.outbound`.

A fact is past tense and complete: webhook-delivery signs and sends `data` without asking anybody.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Annotated, Any, ClassVar
from uuid import UUID

from pydantic import Field

from sema_common.values.ids import event_id
from sema_common.wire.envelope import WireItem, WireMessage

MAX_FACTS = 100


class Fact(WireItem):
    """Something that happened. `event_id` is derived from what it is about, so a repeat is the same fact.

    `type` is the customer's event name (`message.delivered`); `data` the public object as `GET` would show
    it at that moment; `callback_url` the message's own endpoint, if it named one. `endpoint_id` limits a fact to
    one endpoint (a customer's test ping); without it every endpoint that subscribed gets it.
    """

    event_id: UUID
    type: str
    account_id: UUID
    occurred_at: datetime
    data: dict[str, Any]
    message_id: UUID | None = None
    callback_url: str | None = None
    endpoint_id: UUID | None = None
    traceparent: str | None = None


class Facts(WireMessage):
    """1–100 facts of any accounts."""

    TYPE: ClassVar[str] = "webhook.facts"
    facts: Annotated[tuple[Fact, ...], Field(min_length=1, max_length=MAX_FACTS)]

    def __len__(self) -> int:
        return len(self.facts)


def bundle_facts(facts: Sequence[Fact]) -> Iterator[tuple[Facts, UUID]]:
    """The facts in bundles of at most MAX_FACTS, each with its event id; readers de-duplicate by each fact's own."""
    for start in range(0, len(facts), MAX_FACTS):
        some = tuple(facts[start : start + MAX_FACTS])
        yield (
            Facts.model_construct(facts=some),
            event_id("facts", len(some), some[0].event_id, some[-1].event_id),
        )


class Redeliver(WireMessage):
    """A customer asks for one delivery to be tried again, whatever became of it."""

    TYPE: ClassVar[str] = "webhook.redeliver"
    delivery_id: UUID
    account_id: UUID
