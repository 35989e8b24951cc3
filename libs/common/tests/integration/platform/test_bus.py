"""RabbitMQ: nothing confirmed is lost, poison takes no neighbour along, and every outage heals by itself."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any
from uuid import UUID, uuid4

import aio_pika
import aiormq
import pytest

from sema_common.platform import telemetry, topology
from sema_common.platform.bus import Bus, DeadLetter, Delivery, Outgoing, outcome
from sema_common.platform.bus import consumer as consuming
from sema_common.platform.bus import publisher as publishing
from sema_common.values.errors import BrokerUnavailable, Park, RetryLater, StoreUnavailable
from sema_common.wire.contacts import ValidateContacts
from sema_common.wire.content import ScreenCampaign
from sema_common.wire.webhook import Fact, Facts

QUEUE = "sms.content"
Until = Callable[[Callable[[], bool]], Awaitable[None]]


@pytest.fixture
async def bus(vhost: str) -> AsyncIterator[Bus]:
    async with Bus.open(vhost, name="test") as bus:
        yield bus


class Received:
    """A handler that remembers, and fails as told: `fail(campaign) -> exception | None`."""

    def __init__(self, fail: Callable[[ScreenCampaign], Exception | None] = lambda _: None) -> None:
        self.batches: list[list[Delivery[ScreenCampaign]]] = []
        self.done: list[UUID] = []
        self._fail = fail

    async def one(self, delivery: Delivery[ScreenCampaign]) -> None:
        await self.many([delivery])

    async def many(self, deliveries: list[Delivery[ScreenCampaign]]) -> None:
        self.batches.append(deliveries)
        for delivery in deliveries:
            if (failure := self._fail(delivery.message)) is not None:
                raise failure
        self.done += [d.message.campaign_id for d in deliveries]


def campaign() -> ScreenCampaign:
    return ScreenCampaign(campaign_id=uuid4(), account_id=uuid4())


async def publish(bus: Bus, amount: int) -> list[UUID]:
    messages = [campaign() for _ in range(amount)]
    failed = await bus.publish_many([Outgoing(QUEUE, m, uuid4()) for m in messages])
    assert failed == [None] * amount
    return [m.campaign_id for m in messages]


async def depth(url: str, queue: str) -> int:
    async with await aio_pika.connect(url) as connection, connection.channel() as channel:
        declared = await channel.declare_queue(queue, passive=True)
        assert declared.declaration_result.message_count is not None
        return declared.declaration_result.message_count


async def empties(url: str, queue: str) -> None:
    async with asyncio.timeout(10):
        while await depth(url, queue):  # noqa: ASYNC110 - the broker is polled
            await asyncio.sleep(0.05)


async def letters(bus: Bus, until: Until, amount: int) -> list[DeadLetter]:
    found: list[DeadLetter] = []

    async def keep(batch: list[DeadLetter]) -> None:
        found.extend(batch)

    async with bus.drain_dead_letters(QUEUE, keep):
        await until(lambda: len(found) >= amount)
    return found


async def test_a_message_arrives_with_what_travelled_beside_it(bus: Bus, vhost: str, until: Until) -> None:
    received, message, event_id = Received(), campaign(), uuid4()
    with telemetry.span("accept") as span:
        await bus.publish(QUEUE, message, event_id=event_id, attempt=2)
    async with bus.consume(QUEUE, [ScreenCampaign], received.one, prefetch=4):
        await until(lambda: bool(received.done))
    ((delivery,),) = received.batches
    assert delivery.message == message
    assert (delivery.event_id, delivery.attempt, delivery.traceparent) == (event_id, 2, span.traceparent)
    assert (delivery.queue, delivery.delivery_count, delivery.redelivered) == (QUEUE, 0, False)
    assert await depth(vhost, QUEUE) == 0


async def test_the_handlers_span_continues_the_messages_trace(bus: Bus, until: Until) -> None:
    seen: list[str | None] = []

    async def handler(_: Delivery[ScreenCampaign]) -> None:
        seen.append(telemetry.trace_id())

    with telemetry.span("accept") as span:
        await bus.publish(QUEUE, campaign(), event_id=uuid4())
    async with bus.consume(QUEUE, [ScreenCampaign], handler, prefetch=1):
        await until(lambda: bool(seen))
    assert seen == [span.trace_id]


async def test_deliveries_go_together_up_to_the_size_of_a_batch(bus: Bus, until: Until) -> None:
    received = Received()
    ids = await publish(bus, 25)
    async with bus.consume_batches(
        QUEUE, [ScreenCampaign], received.many, prefetch=100, max_items=10, linger=0.2
    ):
        await until(lambda: len(received.done) == 25)
    assert received.done == ids
    assert [len(batch) for batch in received.batches] == [10, 10, 5]


async def test_a_bundle_counts_by_its_items(bus: Bus, until: Until) -> None:
    sizes: list[int] = []

    async def handler(deliveries: list[Delivery[Facts]]) -> None:
        sizes.append(sum(len(d.message) for d in deliveries))

    def facts(amount: int) -> Facts:
        fact = Fact.model_validate(
            {
                "event_id": uuid4(),
                "type": "message.sent",
                "account_id": uuid4(),
                "occurred_at": "2026-11-20T09:30:00Z",
                "data": {},
            }
        )
        return Facts(facts=(fact,) * amount)

    queue = "webhooks.outbound"
    for amount in (6, 3, 4, 20):
        await bus.publish(queue, facts(amount), event_id=uuid4())
    async with bus.consume_batches(queue, [Facts], handler, prefetch=10, max_items=10, linger=0.2):
        await until(lambda: sum(sizes) == 33)
    assert sizes == [9, 4, 20]


async def test_several_batches_are_in_flight(bus: Bus, until: Until) -> None:
    meeting = asyncio.Barrier(3)

    async def handler(_: list[Delivery[ScreenCampaign]]) -> None:
        await meeting.wait()

    await publish(bus, 6)
    async with (
        asyncio.timeout(10),
        bus.consume_batches(QUEUE, [ScreenCampaign], handler, prefetch=6, max_items=2, batches=3),
    ):
        await until(lambda: meeting.n_waiting == 0)


async def test_poison_takes_no_neighbour_along(
    bus: Bus, vhost: str, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outcome, "REJECT_LAST", 0.1)
    good = await publish(bus, 4)
    poison = campaign()
    event_id = uuid4()
    await bus.publish(QUEUE, poison, event_id=event_id)
    good += await publish(bus, 4)
    received = Received(lambda m: RuntimeError("bug") if m.campaign_id == poison.campaign_id else None)
    async with bus.consume_batches(
        QUEUE, [ScreenCampaign], received.many, prefetch=50, max_items=20, linger=0.1
    ):
        (letter,) = await letters(bus, until, 1)
    assert sorted(received.done) == sorted(good)
    alone = [b for b in received.batches if b[0].message == poison and len(b) == 1]
    assert [b[0].delivery_count for b in alone] == [0, 1, 2, 3, 4, 5]
    assert (letter.reason, letter.delivery_count, letter.event_id) == ("delivery_limit", 6, event_id)
    assert ScreenCampaign.model_validate_json(letter.body) == poison
    assert await depth(vhost, QUEUE) == 0


async def test_a_handler_that_is_cancelled_from_within_gives_its_message_back(bus: Bus, until: Until) -> None:
    """Left as it was it would stay unacknowledged for as long as the connection lives."""
    cancelled = iter([True])

    async def handler(delivery: Delivery[ScreenCampaign]) -> None:
        if next(cancelled, False):
            raise asyncio.CancelledError
        counts.append(delivery.delivery_count)

    counts: list[int] = []
    await publish(bus, 1)
    async with bus.consume(QUEUE, [ScreenCampaign], handler, prefetch=4):
        await until(lambda: bool(counts))
    assert counts == [1]


async def test_park_puts_the_message_aside_with_its_reason(bus: Bus, vhost: str, until: Until) -> None:
    received = Received(lambda _: Park("campaign has no account"))
    await publish(bus, 2)
    async with bus.consume(QUEUE, [ScreenCampaign], received.one, prefetch=4):
        found = await letters(bus, until, 2)
    assert {letter.reason for letter in found} == {"campaign has no account"}
    assert {(letter.queue, letter.type, letter.version, letter.delivery_count) for letter in found} == {
        (QUEUE, "content.screen", 1, 1)
    }
    assert await depth(vhost, QUEUE) == 0


@pytest.mark.parametrize(
    ("type_", "version", "body", "reason"),
    [
        ("content.screen", 1, b"not json", "malformed content.screen"),
        ("content.screen", 1, b'{"campaign_id": "254712345678"}', "malformed content.screen"),
        ("content.screen", 9, b"{}", "unknown message content.screen version 9"),
        ("other.type", 1, b"{}", "unknown message other.type version 1"),
    ],
)
async def test_what_nobody_can_read_goes_aside_at_once(
    bus: Bus, until: Until, type_: str, version: int, body: bytes, reason: str
) -> None:
    received = Received()
    await bus.publish_raw(QUEUE, body, type=type_, version=version, event_id=uuid4())
    async with bus.consume(QUEUE, [ScreenCampaign], received.one, prefetch=4):
        (letter,) = await letters(bus, until, 1)
    assert letter.reason.startswith(reason)
    assert "254712345678" not in letter.reason
    assert (letter.body, letter.type, letter.version, received.batches) == (body, type_, version, [])


async def test_a_foreign_message_without_any_header_is_kept_too(bus: Bus, vhost: str, until: Until) -> None:
    async with await aio_pika.connect(vhost) as connection, connection.channel() as channel:
        await channel.default_exchange.publish(aio_pika.Message(b"\xff\x00"), QUEUE)
    async with bus.consume(QUEUE, [ScreenCampaign], Received().one, prefetch=4):
        (letter,) = await letters(bus, until, 1)
    assert (letter.body, letter.type, letter.event_id) == (b"\xff\x00", "", None)


async def test_what_may_succeed_later_is_tried_again_in_place(bus: Bus, vhost: str, until: Until) -> None:
    failures = iter([StoreUnavailable("away"), RetryLater("busy", after=0.01)])
    received = Received(lambda _: next(failures, None))
    await publish(bus, 1)
    async with bus.consume(QUEUE, [ScreenCampaign], received.one, prefetch=4):
        await until(lambda: bool(received.done))
    assert [b[0].delivery_count for b in received.batches] == [0, 0, 0]
    assert await depth(vhost, QUEUE) == 0


async def test_after_the_longest_hold_a_message_starts_over(
    bus: Bus, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outcome, "HOLD_SECONDS", 0.0)
    failures = iter([StoreUnavailable("away")])
    received = Received(lambda _: next(failures, None))
    message, event_id = campaign(), uuid4()
    await bus.publish(QUEUE, message, event_id=event_id, attempt=3)
    async with bus.consume(QUEUE, [ScreenCampaign], received.one, prefetch=4):
        await until(lambda: bool(received.done))
    first, second = (b[0] for b in received.batches)
    assert first == second == Delivery(message, event_id, QUEUE, None, 3, 0, False)


async def test_leaving_finishes_what_is_in_flight(bus: Bus, vhost: str, until: Until) -> None:
    gate = asyncio.Event()
    entered: list[UUID] = []
    done: list[UUID] = []

    async def handler(delivery: Delivery[ScreenCampaign]) -> None:
        entered.append(delivery.message.campaign_id)
        await gate.wait()
        done.append(delivery.message.campaign_id)

    ids = await publish(bus, 3)
    consumer = bus.consume(QUEUE, [ScreenCampaign], handler, prefetch=3)
    await consumer.__aenter__()
    await until(lambda: len(entered) == 3)
    leaving = asyncio.create_task(consumer.__aexit__(None, None, None))
    asyncio.get_running_loop().call_later(0.1, gate.set)
    await leaving
    assert sorted(done) == sorted(ids)
    assert await depth(vhost, QUEUE) == 0


async def test_leaving_gives_back_what_waits_for_a_retry(bus: Bus, vhost: str, until: Until) -> None:
    received = Received(lambda _: StoreUnavailable("away"))
    await publish(bus, 2)
    async with bus.consume(QUEUE, [ScreenCampaign], received.one, prefetch=4):
        await until(lambda: len(received.batches) >= 2)
    assert await depth(vhost, QUEUE) == 2


async def test_a_publish_without_a_queue_is_an_error_and_the_queue_is_declared_again(
    bus: Bus, vhost: str, until: Until
) -> None:
    async with await aio_pika.connect(vhost) as connection, connection.channel() as channel:
        await channel.queue_delete(QUEUE)
    results = await bus.publish_many([Outgoing(QUEUE, campaign(), uuid4()) for _ in range(5)])
    assert [type(r) for r in results] == [BrokerUnavailable] * 5
    await _published(bus)
    assert await depth(vhost, QUEUE) == 1


async def test_a_reader_misses_its_queue_without_any_publish(
    bus: Bus, vhost: str, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever publishes next finds the queue again, with its reader: nobody has to restart anything."""
    monkeypatch.setattr(consuming, "PULSE_SECONDS", 0.2)
    received = Received()
    async with bus.consume(QUEUE, [ScreenCampaign], received.one, prefetch=4):
        await until(lambda: bus._consumers[0].attached)
        async with await aio_pika.connect(vhost) as connection, connection.channel() as channel:
            await channel.queue_delete(QUEUE)
        await until(lambda: not bus._consumers[0].attached)
        await until(lambda: bus._consumers[0].attached)
        ids = await publish(bus, 3)
        await until(lambda: len(received.done) == 3)
    assert received.done == ids


async def test_the_way_of_dead_letters_is_mended_without_any_publish(
    bus: Bus, vhost: str, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    """RabbitMQ holds a rejected message back while its dead letters have no way: nobody would hear of it."""
    monkeypatch.setattr(consuming, "PULSE_SECONDS", 0.2)
    dead = topology.dead_letter_queue(QUEUE)

    async def keep(_: list[DeadLetter]) -> None:
        pass

    async def mended(connection: aio_pika.abc.AbstractConnection) -> None:
        async with asyncio.timeout(10):
            while True:
                async with connection.channel(on_return_raises=True) as channel:
                    try:
                        exchange = await channel.get_exchange(topology.DEAD_LETTER_EXCHANGE)
                        await exchange.publish(aio_pika.Message(b"a letter"), dead)
                    except (aio_pika.exceptions.DeliveryError, aiormq.exceptions.ChannelNotFoundEntity):
                        await asyncio.sleep(0.05)
                    else:
                        return

    async with bus.drain_dead_letters(QUEUE, keep), await aio_pika.connect(vhost) as connection:
        await until(lambda: bus._consumers[0].attached)
        async with connection.channel() as channel:
            await channel.exchange_delete(topology.DEAD_LETTER_EXCHANGE)
        await mended(connection)
        async with connection.channel() as channel:
            queue = await channel.get_queue(dead)
            await queue.unbind(topology.DEAD_LETTER_EXCHANGE, routing_key=dead)
        await mended(connection)


async def test_a_full_queue_is_a_failed_publish(vhost: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(topology, "MAX_LENGTH", 1)
    async with Bus.open(vhost, name="full") as bus, asyncio.timeout(10):
        refused = False
        while not refused:  # the limit is soft: a quorum queue takes a few more before it refuses
            results = await bus.publish_many([Outgoing(QUEUE, campaign(), uuid4()) for _ in range(20)])
            refused = any(isinstance(r, BrokerUnavailable) for r in results)


async def test_during_an_outage_a_publish_fails_and_afterwards_it_works(
    proxied_amqp: Any, until: Until
) -> None:
    async with Bus.open(proxied_amqp.url, name="outage") as bus:
        await bus.check()
        proxied_amqp.refuse = True
        proxied_amqp.cut()
        async with asyncio.timeout(6):
            with pytest.raises(BrokerUnavailable):
                await bus.publish(QUEUE, campaign(), event_id=uuid4())
            await _not_ready(bus)
        proxied_amqp.refuse = False
        await _ready(bus)
        await bus.publish(QUEUE, campaign(), event_id=uuid4())


async def _ready(bus: Bus) -> None:
    async with asyncio.timeout(20):
        while True:
            try:
                return await bus.check()
            except BrokerUnavailable:
                await asyncio.sleep(0.05)


async def _published(bus: Bus) -> None:
    async with asyncio.timeout(20):
        while True:
            try:
                return await bus.publish(QUEUE, campaign(), event_id=uuid4())
            except BrokerUnavailable:
                await asyncio.sleep(0.05)


async def _not_ready(bus: Bus) -> None:
    async with asyncio.timeout(20):
        while True:
            try:
                await bus.check()
            except BrokerUnavailable:
                return
            await asyncio.sleep(0.01)


async def test_confirms_in_flight_when_the_connection_dies_are_errors(proxied_amqp: Any) -> None:
    async with Bus.open(proxied_amqp.url, name="midway") as bus:
        proxied_amqp.swallow = True
        asyncio.get_running_loop().call_later(0.1, proxied_amqp.cut)
        results = await bus.publish_many([Outgoing(QUEUE, campaign(), uuid4()) for _ in range(10)])
        assert [type(r) for r in results] == [BrokerUnavailable] * 10
        proxied_amqp.swallow = False


async def test_a_silent_broker_is_noticed_by_the_missing_confirm(
    proxied_amqp: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publishing, "PUBLISH_SECONDS", 0.2)
    async with Bus.open(proxied_amqp.url, name="silent") as bus:
        proxied_amqp.swallow = True
        with pytest.raises(BrokerUnavailable, match="did not confirm"):
            await bus.publish(QUEUE, campaign(), event_id=uuid4())
        proxied_amqp.swallow = False
        await _published(bus)


async def test_a_handler_outlives_its_connection_and_its_message_comes_again(
    proxied_amqp: Any, until: Until
) -> None:
    entered, gate = asyncio.Event(), asyncio.Event()
    seen: list[int] = []
    finished: list[int] = []

    async def handler(delivery: Delivery[ScreenCampaign]) -> None:
        seen.append(delivery.delivery_count)
        entered.set()
        await gate.wait()
        finished.append(delivery.delivery_count)

    async with Bus.open(proxied_amqp.url, name="cut") as bus:
        await publish(bus, 1)
        async with bus.consume(QUEUE, [ScreenCampaign], handler, prefetch=2):
            await entered.wait()
            proxied_amqp.cut()
            await until(lambda: len(seen) == 2)
            gate.set()
            await until(lambda: len(finished) == 2)
            assert finished == [0, 1]
        await empties(proxied_amqp.url, QUEUE)


async def test_nothing_is_lost_when_connections_die_again_and_again(proxied_amqp: Any, until: Until) -> None:
    received = Received()
    async with Bus.open(proxied_amqp.url, name="storm") as bus:
        async with bus.consume_batches(QUEUE, [ScreenCampaign], received.many, prefetch=20, max_items=5):
            confirmed: set[UUID] = set()
            for round_ in range(4):
                messages = [campaign() for _ in range(50)]
                results = await bus.publish_many([Outgoing(QUEUE, m, uuid4()) for m in messages])
                confirmed |= {m.campaign_id for m, r in zip(messages, results, strict=True) if r is None}
                if round_ < 3:
                    proxied_amqp.cut()
                    await until(lambda: proxied_amqp.connections == 0)
                    await _ready(bus)
            await until(lambda: confirmed <= set(received.done))
        assert len(confirmed) >= 50


async def test_a_consumer_cancelled_by_the_broker_is_made_anew(
    bus: Bus, vhost: str, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consuming, "PULSE_SECONDS", 0.1)
    received = Received()
    async with bus.consume(QUEUE, [ScreenCampaign], received.one, prefetch=4):
        await publish(bus, 1)
        await until(lambda: len(received.done) == 1)
        async with await aio_pika.connect(vhost) as connection, connection.channel() as channel:
            await channel.queue_delete(QUEUE)
            await _not_ready(bus)
            await publishing.declare(connection)
        await publish(bus, 1)
        await until(lambda: len(received.done) == 2)


async def test_a_broker_that_is_away_at_the_start_is_waited_for(
    proxied_amqp: Any, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sema_common.platform.bus.bus.OPEN_SECONDS", 0.1)
    received = Received()
    proxied_amqp.refuse = True
    async with (
        Bus.open(proxied_amqp.url, name="early") as bus,
        bus.consume(QUEUE, [ScreenCampaign], received.one, prefetch=1),
    ):
        with pytest.raises(BrokerUnavailable):
            await bus.check()
        proxied_amqp.refuse = False
        await _ready(bus)
        await publish(bus, 1)
        await until(lambda: len(received.done) == 1)


async def test_dead_letters_wait_until_they_are_kept(
    bus: Bus, vhost: str, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: list[DeadLetter] = []
    failures: list[Exception] = [StoreUnavailable("away", after=0.01), RuntimeError("bug")]

    async def keep(batch: list[DeadLetter]) -> None:
        if failures:
            raise failures.pop(0)
        kept.extend(batch)

    monkeypatch.setattr(outcome, "HOLD_LAST", 0.05)
    await bus.publish_raw(topology.dead_letter_queue(QUEUE), b"x", type="t", version=1, event_id=uuid4())
    async with bus.drain_dead_letters(QUEUE, keep):
        await until(lambda: bool(kept))
    assert len(kept) == 1
    assert await depth(vhost, topology.dead_letter_queue(QUEUE)) == 0


async def test_one_queue_may_carry_several_types(bus: Bus, until: Until) -> None:
    seen: list[str] = []

    async def handler(delivery: Delivery[ScreenCampaign | ValidateContacts]) -> None:
        seen.append(delivery.message.TYPE)

    contacts = ValidateContacts(job_id=uuid4(), account_id=uuid4(), contact_list_id=uuid4())
    await bus.publish(QUEUE, contacts, event_id=uuid4())
    await bus.publish(QUEUE, campaign(), event_id=uuid4())
    async with bus.consume(QUEUE, [ScreenCampaign, ValidateContacts], handler, prefetch=1):
        await until(lambda: len(seen) == 2)
    assert seen == ["contacts.validate", "content.screen"]
