"""From `webhooks.outbound` to the customer's server, on real stores under the room's own role."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from prometheus_client import REGISTRY
from standardwebhooks.webhooks import Webhook

from sema_common.values.errors import StoreUnavailable
from sema_common.values.ids import webhook_secret
from sema_common.wire.queues import WEBHOOKS_OUTBOUND
from sema_common.wire.webhook import Redeliver
from sema_webhook_delivery import dispatch, metrics, rules, store
from sema_webhook_delivery.rules import Outcome

World = Any
Eventually = Callable[..., Awaitable[None]]


async def states(world: World) -> list[str]:
    return [each["state"] for each in await world.deliveries()]


def settled(world: World, *expected: str) -> Callable[[], Awaitable[bool]]:
    async def check() -> bool:
        return await states(world) == list(expected)

    return check


async def test_a_fact_reaches_endpoint_and_callback_signed(world: World, eventually: Eventually) -> None:
    customer = await world.customer()
    _, secret = await world.endpoint(customer, "/hook")
    fact = customer.fact(callback_url=world.receiver.url + "/cb", message_id=uuid4())
    async with world.room():
        started = time.monotonic()
        await world.publish(fact)
        (hook,) = await world.receiver.arrived("/hook")
        (callback,) = await world.receiver.arrived("/cb")
        assert time.monotonic() - started < 1.0
        await eventually(settled(world, "succeeded", "succeeded"))
    assert Webhook(secret).verify(hook.body, hook.headers) == json.loads(hook.body)
    assert Webhook(customer.default_secret).verify(callback.body, callback.headers) == json.loads(hook.body)
    assert hook.headers["webhook-id"] == callback.headers["webhook-id"] == str(fact.event_id)
    assert hook.headers["content-type"] == "application/json"
    assert "accept-encoding" not in hook.headers
    assert [(a["attempt"], a["status_code"], a["error"]) for a in await world.attempts()] == [
        (1, 204, None)
    ] * 2
    assert {d["payload"] for d in await world.deliveries()} == {hook.body}


async def test_during_a_rotation_both_secrets_verify(world: World) -> None:
    customer, old = await world.customer(), webhook_secret()
    _, new = await world.endpoint(customer, "/hook", old_secret=old)
    async with world.room():
        await world.publish(customer.fact())
        (hook,) = await world.receiver.arrived("/hook")
    for secret in (new, old):
        Webhook(secret).verify(hook.body, hook.headers)


async def test_a_failure_is_tried_again_with_the_same_id(world: World, eventually: Eventually) -> None:
    customer = await world.customer()
    await world.endpoint(customer, "/hook")
    world.receiver.replies_with("/hook", 500, 200, body="oh\0no")
    async with world.room():
        await world.publish(customer.fact())
        first, second = await world.receiver.arrived("/hook", 2)
        await eventually(settled(world, "succeeded"))
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert first.body == second.body
    assert [a["status_code"] for a in await world.attempts()] == [500, 200]
    assert (await world.attempts())[0]["response"] == "oh\ufffdno"
    assert await world.db.fetchval("SELECT failing_since FROM webhooks.endpoints") is None


async def test_a_redirect_is_a_failure_and_never_followed(world: World, eventually: Eventually) -> None:
    customer = await world.customer()
    await world.endpoint(customer, "/hook")
    world.receiver.replies_with("/hook", 302, 204, location="/metadata")
    async with world.room():
        await world.publish(customer.fact())
        await eventually(settled(world, "succeeded"))
    assert [a["status_code"] for a in await world.attempts()] == [302, 204]
    assert world.receiver.at("/metadata") == []


async def test_410_disables_the_endpoint_and_cancels_what_it_is_owed(
    world: World, eventually: Eventually
) -> None:
    customer = await world.customer()
    id_, _ = await world.endpoint(customer, "/hook")
    await world.endpoint(customer, "/other")
    world.receiver.replies_with("/hook", 410)
    world.receiver.hangs.add("/hook")
    async with world.room():
        await world.publish(*(customer.fact() for _ in range(4)))
        await world.receiver.arrived("/hook")
        await world.receiver.arrived("/other", 4)
        world.receiver.released.set()
        await eventually(settled_sorted(world, ["cancelled"] * 3 + ["failed"] + ["succeeded"] * 4))
        await world.publish(customer.fact())
        await world.receiver.arrived("/other", 5)
    assert len(world.receiver.at("/hook")) == 1
    row = await world.db.fetchrow("SELECT * FROM webhooks.endpoints WHERE id = $1", id_)
    assert row["disabled_reason"] == "gone"
    assert row["disabled_at"] is not None


def settled_sorted(world: World, expected: list[str]) -> Callable[[], Awaitable[bool]]:
    async def check() -> bool:
        return sorted(await states(world)) == expected

    return check


async def test_five_days_of_nothing_but_failures_disable(world: World, eventually: Eventually) -> None:
    customer = await world.customer()
    long_ago = datetime.now(UTC) - timedelta(days=5, minutes=1)
    id_, _ = await world.endpoint(customer, "/dead", failing_since=long_ago)
    well, _ = await world.endpoint(customer, "/well", failing_since=long_ago)
    world.receiver.replies_with("/dead", 500)
    async with world.room():
        await world.publish(customer.fact())
        await eventually(settled_sorted(world, ["cancelled", "succeeded"]))
    rows = {r["id"]: r for r in await world.db.fetch("SELECT * FROM webhooks.endpoints")}
    assert rows[id_]["disabled_reason"] == "failing"
    assert rows[well]["disabled_at"] is None
    assert rows[well]["failing_since"] is None


async def test_a_bundle_delivered_twice_is_owed_once(world: World, eventually: Eventually) -> None:
    customer = await world.customer()
    await world.endpoint(customer, "/hook")
    facts = [customer.fact() for _ in range(5)]
    async with world.room():
        await world.publish(*facts)
        await world.publish(*facts)
        await eventually(settled(world, *["succeeded"] * 5))
        await world.publish(*facts, last := customer.fact())
        await eventually(settled(world, *["succeeded"] * 6))
    ids = [each.headers["webhook-id"] for each in world.receiver.at("/hook")]
    assert sorted(ids) == sorted(str(f.event_id) for f in [*facts, last])


async def test_an_attempt_that_was_not_written_down_is_made_again_under_the_same_id(
    world: World, eventually: Eventually, monkeypatch: pytest.MonkeyPatch
) -> None:
    customer = await world.customer()
    await world.endpoint(customer, "/hook")

    async def lost(*_: object) -> None:
        raise StoreUnavailable("the process dies here")

    async def dropped() -> bool:
        return metric_value() > before

    def metric_value() -> float:
        return float(metrics.UNRECORDED._value.get())

    before = metric_value()
    monkeypatch.setattr(dispatch, "RECORD_SECONDS", 0.0)
    with monkeypatch.context() as crash:
        crash.setattr(store, "settle", lost)
        async with world.room():
            await world.publish(customer.fact())
            await eventually(dropped)
    (row,) = await world.deliveries()
    assert (row["state"], row["attempts"]) == ("pending", 0)
    assert row["next_attempt_at"] < datetime.now(UTC) + rules.LEASE
    await world.db.execute("UPDATE webhooks.deliveries SET next_attempt_at = now()")  # the lease is over
    async with world.room():
        first, second = await world.receiver.arrived("/hook", 2)
        await eventually(settled(world, "succeeded"))
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert [a["attempt"] for a in await world.attempts()] == [1]


async def test_an_outcome_that_cannot_be_written_takes_no_neighbour_along(
    world: World, eventually: Eventually, monkeypatch: pytest.MonkeyPatch
) -> None:
    customer = await world.customer()
    await world.endpoint(customer, "/hook")
    facts = [customer.fact() for _ in range(6)]
    settle = store.settle

    async def picky(tx: Any, outcomes: Sequence[Outcome]) -> None:
        if any(outcome.owed.event_id == facts[0].event_id for outcome in outcomes):
            raise ValueError("a row that the database refuses")
        await settle(tx, outcomes)

    monkeypatch.setattr(store, "settle", picky)
    monkeypatch.setattr(dispatch, "RECORD_LINGER", 0.3)  # all six in one batch
    async with world.room():
        await world.publish(*facts)
        await eventually(settled_sorted(world, ["pending"] + ["succeeded"] * 5))


async def test_a_redelivery_goes_on_counting(world: World, eventually: Eventually) -> None:
    customer, stranger = await world.customer(), await world.customer()
    await world.endpoint(customer, "/hook")
    async with world.room():
        await world.publish(customer.fact())
        await eventually(settled(world, "succeeded"))
        (row,) = await world.deliveries()
        for account in (stranger, customer):
            wish = Redeliver(delivery_id=row["id"], account_id=account.account_id)
            await world.bus.publish(WEBHOOKS_OUTBOUND, wish, event_id=uuid4())
        await world.receiver.arrived("/hook", 2)

        async def twice() -> bool:
            return len(await world.attempts()) == 2

        await eventually(twice)
    assert [a["attempt"] for a in await world.attempts()] == [1, 2]
    assert (await world.deliveries())[0]["state"] == "succeeded"


async def test_impatient_redeliveries_are_one_attempt_and_cost_no_slot(
    world: World, eventually: Eventually
) -> None:
    customer = await world.customer()
    await world.endpoint(customer, "/hook")

    async def redeliver(id_: UUID, times: int) -> None:
        for _ in range(times):
            wish = Redeliver(delivery_id=id_, account_id=customer.account_id)
            await world.bus.publish(WEBHOOKS_OUTBOUND, wish, event_id=uuid4())

    async with world.room(max_in_flight=2):
        await world.publish(customer.fact())
        await eventually(settled(world, "succeeded"))
        (row,) = await world.deliveries()
        world.receiver.hangs.add("/hook")
        await redeliver(row["id"], 2)
        await world.receiver.arrived("/hook", 2)
        # Nobody remembers its claim any more, as when its endpoint is disabled: now only memory knows better.
        await world.db.execute(
            "UPDATE webhooks.deliveries SET state = 'cancelled', next_attempt_at = NULL, completed_at = now()"
        )
        await redeliver(row["id"], 2)
        await eventually(settled(world, "pending"))
        asyncio.get_running_loop().call_later(0.3, world.receiver.released.set)
        await eventually(settled(world, "succeeded"))
        await world.publish(*(customer.fact() for _ in range(5)))
        await world.receiver.arrived("/hook", 7)
        await eventually(settled(world, *["succeeded"] * 6))
        assert REGISTRY.get_sample_value("sema_webhook_in_flight") == 0
    assert len(world.receiver.at("/hook")) == 7
    assert [a["attempt"] for a in await world.attempts() if a["delivery_id"] == row["id"]] == [1, 2]


async def test_an_attempt_that_breaks_halfway_gives_its_slot_back(
    world: World, eventually: Eventually, monkeypatch: pytest.MonkeyPatch
) -> None:
    customer = await world.customer()
    await world.endpoint(customer, "/hook")

    def broken(*_: object) -> None:
        raise ArithmeticError("a bug")

    async def no_slot_taken() -> bool:
        return REGISTRY.get_sample_value("sema_webhook_in_flight") == 0

    async with world.room(max_in_flight=2):
        with monkeypatch.context() as bug:
            bug.setattr(rules, "retry_after", broken)
            await world.publish(customer.fact())
            await world.receiver.arrived("/hook")
            await eventually(no_slot_taken)
        await world.publish(customer.fact())
        await eventually(settled_sorted(world, ["pending", "succeeded"]))


async def test_a_live_claim_is_not_taken_by_another_instance(world: World, eventually: Eventually) -> None:
    customer = await world.customer()
    await world.endpoint(customer, "/hook")
    async with world.room():
        await world.publish(customer.fact())
        await eventually(settled(world, "succeeded"))
    wishes = [((await world.deliveries())[0]["id"], customer.account_id)]
    claimed = []
    for clock in (0, 4, -4):  # seconds by which an instance's clock differs
        async with world.db.transaction() as tx:
            at = datetime.now(UTC) + timedelta(seconds=clock)
            claimed.append(len(await store.redeliver(tx, wishes, at + rules.LEASE)))
    assert claimed == [1, 0, 0]


async def test_a_wish_brings_a_far_retry_forward(world: World, eventually: Eventually) -> None:
    customer = await world.customer()
    await world.endpoint(customer, "/hook")
    world.receiver.replies_with("/hook", 500, 200)

    async def tried() -> bool:
        return len(await world.attempts()) == 1

    async with world.room(retry_scale=1.0):
        await world.publish(customer.fact())
        await eventually(tried)
        (row,) = await world.deliveries()
        wish = Redeliver(delivery_id=row["id"], account_id=customer.account_id)
        await world.bus.publish(WEBHOOKS_OUTBOUND, wish, event_id=uuid4())
        await eventually(settled(world, "succeeded"))


async def test_a_test_ping_goes_to_one_endpoint(world: World, eventually: Eventually) -> None:
    customer = await world.customer()
    id_, _ = await world.endpoint(customer, "/one", "message.failed")
    await world.endpoint(customer, "/two", "webhook.test")
    async with world.room():
        await world.publish(customer.fact("webhook.test", endpoint_id=id_))
        await eventually(settled(world, "succeeded"))
    assert [each.path for each in world.receiver.seen] == ["/one"]


async def test_after_five_failures_the_rest_waits_without_using_attempts(
    world: World, eventually: Eventually
) -> None:
    customer = await world.customer()
    await world.endpoint(customer, "/down")
    world.receiver.replies_with("/down", 500)

    async def five() -> bool:
        return len(await world.attempts()) == 5

    async with world.room(retry_scale=1.0):
        await world.publish(*(customer.fact() for _ in range(8)))
        await eventually(five)
        await world.publish(customer.fact())

        async def nine() -> bool:
            rows = await world.deliveries()
            soon = datetime.now(UTC) + timedelta(seconds=25)
            return len(rows) == 9 and all(r["next_attempt_at"] > soon for r in rows)

        await eventually(nine)
    assert len(world.receiver.at("/down")) == 5
    assert sorted(each["attempts"] for each in await world.deliveries()) == [0] * 4 + [1] * 5


async def test_hanging_endpoints_do_not_delay_the_healthy(world: World, eventually: Eventually) -> None:
    customers = [await world.customer() for _ in range(40)]
    for n, customer in enumerate(customers):
        await world.endpoint(customer, f"/{n}")
        if n % 10 == 0:
            world.receiver.hangs.add(f"/{n}")
    healthy = [f"/{n}" for n in range(40) if n % 10]

    async with world.room(max_in_flight=16):
        started = time.monotonic()
        for _ in range(5):
            await world.publish(*(c.fact() for c in customers for _ in range(2)))
        await asyncio.gather(*(world.receiver.arrived(path, 10, within=5.0) for path in healthy))
        assert time.monotonic() - started < 5.0


async def test_a_poison_message_ends_where_staff_see_it(world: World, eventually: Eventually) -> None:
    customer = await world.customer()
    await world.endpoint(customer, "/hook")

    async def kept() -> bool:
        return bool(await world.db.fetchval("SELECT count(*) FROM core.dead_letters"))

    async with world.room():
        await world.bus.publish_raw(
            WEBHOOKS_OUTBOUND, b'{"facts": 5}', type="webhook.facts", version=1, event_id=uuid4()
        )
        await world.publish(customer.fact())
        await world.receiver.arrived("/hook")
        await eventually(kept)
    row = await world.db.fetchrow("SELECT * FROM core.dead_letters")
    assert (row["queue"], row["body"]) == (WEBHOOKS_OUTBOUND, b'{"facts": 5}')
    assert row["reason"].startswith("malformed webhook.facts")


async def test_what_ended_a_month_ago_is_deleted_with_its_attempts(
    world: World, eventually: Eventually
) -> None:
    customer = await world.customer()
    await world.endpoint(customer, "/hook")
    async with world.room():
        await world.publish(customer.fact(), customer.fact())
        await eventually(settled(world, "succeeded", "succeeded"))
    first = (await world.deliveries())[0]["id"]
    await world.db.execute(
        "UPDATE webhooks.deliveries SET created_at = now() - interval '31 days' WHERE id = $1", first
    )
    async with world.room():
        await eventually(settled(world, "succeeded"))
    assert first not in [a["delivery_id"] for a in await world.attempts()]


async def test_a_stop_finishes_what_is_open_and_gives_back_what_waits(
    world: World, eventually: Eventually
) -> None:
    customer = await world.customer()
    await world.endpoint(customer, "/slow")
    world.receiver.hangs.add("/slow")
    async with world.room():
        await world.publish(*(customer.fact() for _ in range(3)))
        await world.receiver.arrived("/slow")
    assert sorted(await states(world)) == ["pending", "pending", "succeeded"]
    waiting = [d for d in await world.deliveries() if d["state"] == "pending"]
    assert all(d["next_attempt_at"] <= datetime.now(UTC) for d in waiting)
    async with world.room():
        await eventually(settled_sorted(world, ["succeeded"] * 3))
    assert len(world.receiver.at("/slow")) == 3
