"""Letters are taken out of their queue into Postgres: none is lost, and none is kept twice."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any
from uuid import uuid4

import pytest

from sema_common.platform import dead_letters
from sema_common.platform.bus import Bus, DeadLetter, Delivery
from sema_common.platform.db import Database
from sema_common.values.errors import Park
from sema_common.wire.content import ScreenCampaign
from tests.kit.fixtures import TestDatabase

QUEUE = "sms.content"
Until = Callable[[Callable[[], bool]], Awaitable[None]]


@pytest.fixture
async def db(database: TestDatabase) -> AsyncIterator[Database]:
    async with Database.open(database.dsn("content_worker_pipeline"), name="test") as db:
        yield db


async def test_a_crash_between_commit_and_acknowledgement_keeps_a_letter_once(
    proxied_amqp: Any, vhost: str, db: Database, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: list[DeadLetter] = []
    keep_letters = dead_letters.keep_letters

    async def keep_and_crash_once(db: Database, letters: Sequence[DeadLetter]) -> None:
        await keep_letters(db, letters)
        kept.extend(letters)
        if len(kept) == 1:
            proxied_amqp.refuse = True  # this process never comes back
            proxied_amqp.cut()
            await until(lambda: proxied_amqp.connections == 0)

    async def park(_: Delivery[ScreenCampaign]) -> None:
        raise Park("unknown_campaign")

    monkeypatch.setattr(dead_letters, "keep_letters", keep_and_crash_once)
    async with Bus.open(vhost, name="room") as room, room.consume(QUEUE, [ScreenCampaign], park, prefetch=1):
        message = ScreenCampaign(campaign_id=uuid4(), account_id=uuid4())
        await room.publish(QUEUE, message, event_id=uuid4())
        async with Bus.open(proxied_amqp.url, name="drain") as bus, dead_letters.drain(bus, db, QUEUE):
            await until(lambda: len(kept) == 1)
        async with dead_letters.drain(room, db, QUEUE):
            await until(lambda: len(kept) == 2)
    rows = await db.fetch("SELECT id, queue, reason FROM core.dead_letters")
    assert [(row["id"], row["queue"]) for row in rows] == [(dead_letters.letter_id(kept[0]), QUEUE)]
