"""What is said to the broker about a delivery, where brokers of today and of tomorrow hear different things."""

import asyncio
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

from sema_common.platform.bus.outcome import Item, Outcomes
from sema_common.platform.bus.publisher import Publisher
from sema_common.values.errors import StoreUnavailable


@dataclass
class Channel:
    """Writes down what it is told."""

    said: list[tuple[str, bool | None]] = field(default_factory=list)
    is_closed: bool = False

    async def basic_ack(self, tag: int, *, wait: bool) -> None:
        self.said.append(("ack", None))

    async def basic_reject(self, tag: int, *, requeue: bool, wait: bool) -> None:
        self.said.append(("reject", requeue))

    async def basic_nack(self, tag: int, *, requeue: bool, wait: bool) -> None:
        self.said.append(("nack", requeue))


async def settled(failure: BaseException | None, *, stopping: bool = False) -> list[tuple[str, bool | None]]:
    async def handler(_: list[str]) -> None:
        if failure is not None:
            raise failure

    channel, stop = Channel(), asyncio.Event()
    if stopping:
        stop.set()
    raw = SimpleNamespace(
        delivery=SimpleNamespace(delivery_tag=1),
        header=SimpleNamespace(properties=SimpleNamespace(headers={})),
    )
    item = Item("value", 1, False, cast(Any, raw), cast(Any, channel), 0.0)
    outcomes = Outcomes[str]("q", handler, cast(Publisher, None), stop, patient=False)
    await outcomes.settle([item])
    return channel.said


async def test_what_was_handled_is_acknowledged_after_its_handler() -> None:
    assert await settled(None) == [("ack", None)]


async def test_a_failure_is_rejected_which_counts_towards_the_limit_on_every_broker() -> None:
    """From RabbitMQ 4.3 on `basic.nack` counts nothing (rabbitmq-server#15387): poison would come back for ever."""
    assert await settled(RuntimeError("bug")) == [("reject", True)]
    assert await settled(asyncio.CancelledError()) == [("reject", True)]


async def test_what_is_given_back_at_the_end_counts_nothing() -> None:
    assert await settled(StoreUnavailable("away"), stopping=True) == [("nack", True)]
