"""Asking Celcom about messages that it has reported nothing of; and the end of old attempts."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

import pytest
from aiohttp import web

from sema_aggregators import Celcom, Credentials, RawReport
from sema_common.messages.store import unreported
from sema_common.messages.store.accepting import NewMessage
from sema_common.platform.http import Http
from sema_common.values.clock import now
from sema_common.values.errors import BrokerUnavailable
from sema_sms_worker import metrics
from sema_sms_worker.clients.enquiry import Enquiry
from sema_sms_worker.loops import Polling, Purge
from tests.kit.seeds import accept, new_message, open_account, queue, submit

from .conftest import World, eventually  # type: ignore[import-not-found]  # mypy knows no package with a dash

pytestmark = pytest.mark.stores

FIRST, LONGEST = 600.0, 72 * 3600.0
DELIVERED = {"delivery-status": 32, "delivery-description": "DeliveredToTerminal"}


@dataclass
class Asked:
    """Celcom's `getdlr`: what it knows by id; nothing of what it does not know. `status` for whole calls."""

    known: dict[str, dict[str, object]] = field(default_factory=dict)
    ids: list[str] = field(default_factory=list)
    status: int = 200
    code: int | None = None

    async def handle(self, request: web.Request) -> web.Response:
        body = await request.json()
        assert (body["apikey"], body["partnerID"]) == ("key", "36")
        self.ids.append(body["messageID"])
        if self.status != 200:
            return web.Response(status=self.status)
        if self.code is not None:
            return web.json_response({"response-code": self.code})
        known = self.known.get(body["messageID"])
        if known is None:
            return web.json_response({"response-code": 4093, "response-description": "Details not found"})
        if not known:
            return web.json_response({"response-code": 1009, "response-description": "No dlr"})
        return web.json_response({"response-code": 200, "message-id": body["messageID"], **known})


@pytest.fixture
async def celcom() -> AsyncIterator[tuple[Asked, Enquiry]]:
    asked = Asked()
    app = web.Application()
    app.router.add_post("/api/services/getdlr/", asked.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    async with Http.open(f"http://127.0.0.1:{runner.addresses[0][1]}") as http:
        yield asked, Enquiry(Celcom(), Credentials("36", "key"), http)
    await runner.cleanup()


@pytest.fixture(autouse=True)
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run on a busy machine asks all the same."""
    monkeypatch.setattr("sema_sms_worker.loops.POLL_RUN_SECONDS", 60.0)


def polling(world: World, enquiry: Enquiry, bus: object = None) -> Polling:
    return Polling(world.pipeline, bus or world.bus, enquiry, FIRST, LONGEST, 1000)  # type: ignore[arg-type]


async def sent(world: World, count: int, *, minutes_ago: float) -> list[NewMessage]:
    """Messages that were sent so long ago, and of which nothing was heard."""
    at = now() - timedelta(minutes=minutes_ago)
    async with world.owner.transaction(30) as tx:
        account = await open_account(tx, balance=str(count))
        messages = await accept(
            tx, [new_message(account, at=at - timedelta(seconds=1)) for _ in range(count)]
        )
        await queue(tx, messages, at)
        await submit(tx, messages, at)
    return messages


def ids(messages: Sequence[NewMessage]) -> list[str]:
    return [f"agg-{m.message_id.hex}" for m in messages]


async def due_now(world: World) -> None:
    await world.owner.execute("UPDATE orch.report_polls SET due_at = now() - interval '1 second'")


async def test_what_celcom_knows_travels_as_a_report_and_is_asked_once_at_each_age(
    world: World, celcom: tuple[Asked, Enquiry]
) -> None:
    asked, enquiry = celcom
    known, pending, unknown = ids(messages := await sent(world, 3, minutes_ago=11))
    (young,) = ids(await sent(world, 1, minutes_ago=9))
    asked.known = {known: DELIVERED, pending: {}, young: DELIVERED}
    poll = polling(world, enquiry)
    before = {r: metrics.POLLED.labels("celcom", r)._value.get() for r in ("ready", "pending", "unknown_id")}
    assert await poll() is False

    async def told() -> bool:
        return bool(world.reports)

    await eventually(told)
    (raw,) = world.reports
    assert (raw.aggregator, raw.source) == ("celcom", "poll")
    (report,) = Celcom().read_reports(RawReport(raw.content_type, "", raw.body, raw.received_at))
    assert (report.aggregator_id, report.status) == (known, "delivered")
    assert sorted(asked.ids) == sorted([known, pending, unknown])
    for result, count in before.items():
        assert metrics.POLLED.labels("celcom", result)._value.get() == count + 1
    await due_now(world)
    await poll()
    assert len(asked.ids) == 3, "this age is done; the next comes at half an hour"
    await world.owner.execute(
        "UPDATE orch.sms_messages SET sent_at = sent_at - interval '20 minutes' WHERE message_id = ANY($1)",
        [m.message_id for m in messages],
    )
    await due_now(world)
    await poll()
    assert sorted(asked.ids[3:]) == sorted([known, pending, unknown])


async def test_nobody_asks_about_what_has_ended_is_too_old_or_went_another_way(
    world: World, celcom: tuple[Asked, Enquiry]
) -> None:
    asked, enquiry = celcom
    ended, other = await sent(world, 2, minutes_ago=40)
    await sent(world, 1, minutes_ago=72 * 60 + 1)
    await world.owner.execute(
        "UPDATE orch.sms_messages SET status = 'delivered' WHERE message_id = $1", ended.message_id
    )
    await world.owner.execute(
        "UPDATE orch.sms_messages SET route_id = 'africastalking' WHERE message_id = $1", other.message_id
    )
    assert await polling(world, enquiry)() is False
    assert asked.ids == []


async def test_two_workers_never_ask_at_the_same_time(world: World, celcom: tuple[Asked, Enquiry]) -> None:
    asked, enquiry = celcom
    messages = await sent(world, 20, minutes_ago=11)
    asked.known = dict.fromkeys(ids(messages), DELIVERED)
    workers = [polling(world, enquiry) for _ in range(4)]
    await asyncio.gather(*(worker() for worker in workers))
    assert sorted(asked.ids) == sorted(ids(messages))


async def test_more_than_a_run_takes_is_asked_in_the_next_ones(
    world: World, celcom: tuple[Asked, Enquiry]
) -> None:
    asked, enquiry = celcom
    at = 20.0
    wanted = []
    for _ in range(4):
        wanted += ids(await sent(world, 30, minutes_ago=at))
        at -= 0.5
    poll = polling(world, enquiry)
    runs = 1
    while await poll():
        runs += 1
        await due_now(world)
    assert sorted(asked.ids) == sorted(wanted)
    assert runs >= 2


@pytest.mark.parametrize(
    ("status", "code"), [(503, None), (429, None), (401, None), (200, 1006), (200, 1005)]
)
async def test_an_aggregator_that_answers_nothing_is_left_alone_and_asked_again(
    world: World, celcom: tuple[Asked, Enquiry], status: int, code: int | None
) -> None:
    asked, enquiry = celcom
    messages = await sent(world, 12, minutes_ago=11)
    asked.known = dict.fromkeys(ids(messages), DELIVERED)
    asked.status, asked.code = status, code
    poll = polling(world, enquiry)
    assert await poll() is False
    assert len(asked.ids) == 8, "one handful of calls, no more"
    assert await poll() is False
    assert len(asked.ids) == 8, "it rests"
    asked.status, asked.code = 200, None
    await due_now(world)
    await poll()
    assert sorted(asked.ids[8:]) == sorted(ids(messages))


class Away:
    async def publish_many(self, outgoing: Sequence[object]) -> list[BaseException | None]:
        return [BrokerUnavailable("away") for _ in outgoing]


async def test_what_could_not_be_published_is_asked_again(
    world: World, celcom: tuple[Asked, Enquiry]
) -> None:
    asked, enquiry = celcom
    (known,) = ids(await sent(world, 1, minutes_ago=11))
    asked.known = {known: DELIVERED}
    with pytest.raises(BrokerUnavailable):
        await polling(world, enquiry, Away())()
    assert await polling(world, enquiry)() is False
    assert asked.ids == [known], "its lease is not over"
    await due_now(world)
    await polling(world, enquiry)()
    assert asked.ids == [known, known]

    async def told() -> bool:
        return len(world.reports) == 1

    await eventually(told)


async def test_a_lease_that_was_lost_moves_no_mark(world: World) -> None:
    at = now()
    async with world.pipeline.transaction() as tx:
        assert list(await unreported.take_polls(tx, "celcom", [600], at, at + timedelta(seconds=60))) == [600]
        assert await unreported.take_polls(tx, "celcom", [600], at, at + timedelta(seconds=60)) == {}
    await due_now(world)
    async with world.pipeline.transaction() as tx:
        assert await unreported.take_polls(tx, "celcom", [600], at, at + timedelta(seconds=90))
        await unreported.mark_polls(tx, "celcom", {600: at}, at + timedelta(seconds=60), at)
    assert await world.owner.fetchval("SELECT asked_until = to_timestamp(0) FROM orch.report_polls")


# ---- old attempts


async def test_attempts_of_ended_messages_go_when_they_are_old(world: World) -> None:
    ended, standing, open_ = await sent(world, 3, minutes_ago=1)
    (young,) = await sent(world, 1, minutes_ago=0)
    async with world.owner.transaction() as tx:
        for message, status in ((ended, "delivered"), (open_, "failed"), (young, "delivered")):
            await tx.execute(
                "UPDATE orch.sms_messages SET status = $2 WHERE message_id = $1", message.message_id, status
            )
        await tx.execute(
            "UPDATE orch.submit_attempts SET due_at = now() WHERE message_id = $1", open_.message_id
        )
    purge = Purge(world.pipeline, timedelta(seconds=30))
    assert await purge() is False
    left = await world.owner.fetch("SELECT message_id FROM orch.submit_attempts ORDER BY message_id")
    assert {row["message_id"] for row in left} == {standing.message_id, open_.message_id, young.message_id}


async def test_a_purge_goes_through_what_it_may_not_delete(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sema_sms_worker.loops.PURGED_AT_ONCE", 2)
    messages = await sent(world, 5, minutes_ago=10)
    await world.owner.execute(
        "UPDATE orch.sms_messages SET status = 'delivered' WHERE message_id = $1", messages[-1].message_id
    )
    purge = Purge(world.pipeline, timedelta(seconds=30))
    while await purge():
        pass
    assert await world.owner.fetchval("SELECT count(*) FROM orch.submit_attempts") == 4
    await sent(world, 1, minutes_ago=0)
    assert await purge() is True, "the next run begins at the front again"
