"""The whole room against real stores, under its own database role."""

import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest

from sema_common.platform.bus import Bus, Delivery
from sema_common.platform.db import Database, Row
from sema_common.platform.ops import Readiness
from sema_common.platform.runtime import Room
from sema_common.values.errors import RetryLater
from sema_common.values.ids import event_id, new_id
from sema_common.wire.contacts import ValidateContacts
from sema_common.wire.queues import CONTACTS_VALIDATE
from sema_phone_validator import handlers, store
from sema_phone_validator.app import open_room
from sema_phone_validator.handlers import Validator
from sema_phone_validator.settings import Settings
from tests.kit import seeds
from tests.kit.fixtures import TestDatabase
from tests.kit.rooms import Shelf, eventually, process

ROLE = "phone_validator_pipeline"
PHONES = ["0712345678", "+254712345679", "0733 123 456", "0712FLOWER", "071234567", "+2250707123456", ""]
VALID = {"Safaricom": 2, "Airtel": 1, "Orange": 1}
INVALID = {"letters": 1, "too_short": 1, "empty": 1}


class Lists:
    """Contact lists as main-api would have made them, and what has become of them."""

    def __init__(self, owner: Database) -> None:
        self._owner = owner

    async def upload(self, phones: Sequence[str], country: str | None = "KE") -> ValidateContacts:
        """A list of pending contacts with its job; the message that main-api would publish."""
        list_, job = new_id(), new_id()
        async with self._owner.transaction(30) as tx:
            account = await seeds.open_account(tx)
            await tx.execute(
                """INSERT INTO core.contact_lists (id, tenant_id, account_id, name, default_country)
                   VALUES ($1, $2, $2, 'L', $3)""",
                *(list_, account, country),
            )
            await tx.execute(
                """INSERT INTO core.contact_validation_jobs (id, tenant_id, account_id, contact_list_id, total)
                   VALUES ($1, $2, $2, $3, $4)""",
                *(job, account, list_, len(phones)),
            )
            await tx.execute(
                """INSERT INTO core.contacts (id, tenant_id, account_id, contact_list_id, job_id, phone)
                   SELECT id, $3, $3, $4, $5, phone FROM unnest($1::uuid[], $2::text[]) AS c(id, phone)""",
                *([new_id() for _ in phones], list(phones), account, list_, job),
            )
        return ValidateContacts(job_id=job, account_id=account, contact_list_id=list_)

    async def job(self, job_id: UUID) -> Row:
        row = await self._owner.fetchrow("SELECT * FROM core.contact_validation_jobs WHERE id = $1", job_id)
        assert row is not None
        return row

    async def contacts(self, job_id: UUID) -> list[Row]:
        return await self._owner.fetch("SELECT * FROM core.contacts WHERE job_id = $1 ORDER BY id", job_id)

    async def set_status(self, job_id: UUID, status: str) -> None:
        await self._owner.execute(
            "UPDATE core.contact_validation_jobs SET status = $2 WHERE id = $1", *(job_id, status)
        )

    async def completed(self, job_id: UUID) -> Row:
        async def is_completed() -> Row | None:
            job = await self.job(job_id)
            return job if job["status"] == "completed" else None

        return await eventually(is_completed)


def assert_counted(job: Row, times: int = 1) -> None:
    """The counters of a job that holds PHONES so many times, once each."""
    assert (job["valid"], job["invalid"], job["processed"]) == (4 * times, 3 * times, 7 * times)
    assert job["by_mno"] == {mno: count * times for mno, count in VALID.items()}
    assert job["by_reason"] == {reason: count * times for reason, count in INVALID.items()}


@pytest.fixture
async def lists(database: TestDatabase) -> AsyncIterator[Lists]:
    async with Database.open(database.owner_dsn, name="owner") as owner:
        yield Lists(owner)


@pytest.fixture
async def bus(vhost: str) -> AsyncIterator[Bus]:
    async with Bus.open(vhost, name="test") as bus:
        yield bus


@pytest.fixture
async def room(database: TestDatabase, vhost: str) -> AsyncIterator[Room]:
    settings = Settings(environment="test", amqp_url=vhost, database_url=database.dsn(ROLE))
    room = Room("phone-validator", settings, Readiness())
    await open_room(room, settings)
    yield room
    assert await room.close(time.monotonic() + 10) == []


async def publish(bus: Bus, message: ValidateContacts, times: int = 1) -> None:
    for _ in range(times):
        await bus.publish(CONTACTS_VALIDATE, message, event_id=event_id(message.job_id))


@pytest.mark.usefixtures("room")
async def test_a_list_is_judged_and_counted(lists: Lists, bus: Bus) -> None:
    message = await lists.upload(PHONES)
    await publish(bus, message)
    job = await lists.completed(message.job_id)
    assert_counted(job)
    assert job["started_at"] <= job["finished_at"]
    contacts = await lists.contacts(message.job_id)
    assert [contact["validity"] for contact in contacts] == ["valid"] * 3 + ["invalid"] * 2 + [
        "valid",
        "invalid",
    ]
    # What was read as the list's country has it is shown as a correction; what was written in full needs none.
    assert [contact["suggestion"] for contact in contacts[:3]] == ["+254712345678", None, "+254733123456"]
    first = contacts[0]
    assert (first["msisdn"], first["country"], first["mno"], first["mno_tier"], first["reason"]) == (
        "+254712345678",
        "KE",
        "Safaricom",
        1,
        None,
    )


@pytest.mark.usefixtures("room")
async def test_a_job_that_comes_again_is_not_counted_again(lists: Lists, bus: Bus) -> None:
    message, other = await lists.upload(PHONES), await lists.upload(PHONES)
    await publish(bus, message, times=5)
    await publish(bus, other)
    await lists.completed(other.job_id)
    assert_counted(await lists.completed(message.job_id))


async def test_two_instances_share_a_job_without_harm(
    lists: Lists, bus: Bus, database: TestDatabase, vhost: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handlers, "CHUNK", 3)
    monkeypatch.setattr(handlers, "CHUNKS_PER_TURN", 2)
    settings = Settings(environment="test", amqp_url=vhost, database_url=database.dsn(ROLE))
    message = await lists.upload(PHONES * 10)
    rooms = [Room("phone-validator", settings, Readiness()) for _ in range(2)]
    for room in rooms:
        await open_room(room, settings)
    await publish(bus, message, times=4)
    assert_counted(await lists.completed(message.job_id), times=10)
    for room in rooms:
        assert await room.close(time.monotonic() + 10) == []
    assert_counted(await lists.job(message.job_id), times=10)


@pytest.mark.usefixtures("room")
async def test_a_crash_in_the_middle_counts_nothing_twice(
    lists: Lists, bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handlers, "CHUNK", 5)
    save, calls = store.save_progress, 0

    async def crash_once(*args: Any) -> None:
        nonlocal calls
        calls += 1
        await save(*args)
        if calls == 2:
            raise ZeroDivisionError

    monkeypatch.setattr(store, "save_progress", crash_once)
    message = await lists.upload(PHONES * 3)
    await publish(bus, message)
    assert_counted(await lists.completed(message.job_id), times=3)


def delivery(message: ValidateContacts) -> Delivery[ValidateContacts]:
    return Delivery(message=message, event_id=event_id(message.job_id), queue=CONTACTS_VALIDATE)


@pytest.fixture
def shelf() -> Shelf[ValidateContacts]:
    return Shelf(CONTACTS_VALIDATE)


@pytest.fixture
async def validator(database: TestDatabase, shelf: Shelf[ValidateContacts]) -> AsyncIterator[Validator]:
    async with Database.open(database.dsn(ROLE), name="test") as db:
        yield Validator(db, shelf)  # type: ignore[arg-type]  # publish is all that it calls


async def test_the_rest_of_a_long_job_waits_for_another_turn(
    lists: Lists, validator: Validator, shelf: Shelf[ValidateContacts], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handlers, "CHUNK", 2)
    monkeypatch.setattr(handlers, "CHUNKS_PER_TURN", 2)
    message = await lists.upload(PHONES)
    await validator.handle(delivery(message))
    assert shelf.published == [message]
    assert (await lists.job(message.job_id))["processed"] == 4
    await validator.handle(delivery(message))  # takes what is left, and has a turn's look from the start left
    await validator.handle(delivery(message))
    assert_counted(await lists.completed(message.job_id))


async def test_an_aborted_job_stops_at_the_next_chunk(
    lists: Lists, validator: Validator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handlers, "CHUNK", 2)
    monkeypatch.setattr(handlers, "CHUNKS_PER_TURN", 1)
    message = await lists.upload(PHONES)
    await validator.handle(delivery(message))
    await lists.set_status(message.job_id, "aborted")
    await validator.handle(delivery(message))
    job = await lists.job(message.job_id)
    assert (job["status"], job["processed"]) == ("aborted", 2)
    assert [contact["validity"] for contact in await lists.contacts(message.job_id)].count("pending") == 5


async def test_a_contact_mended_behind_the_cursor_is_not_forgotten(
    lists: Lists, database: TestDatabase, validator: Validator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handlers, "CHUNK", 5)
    message = await lists.upload(PHONES)
    last = await validator._chunk(message, handlers.START)
    assert last is not None
    async with Database.open(database.owner_dsn, name="mend") as owner:
        await owner.execute(
            "UPDATE core.contacts SET phone = '0712000000', validity = 'pending' WHERE job_id = $1 AND phone = $2",
            *(message.job_id, "071234567"),
        )
    assert await validator._chunk(message, last) == handlers.START
    assert await validator._chunk(message, handlers.START) is None
    assert "pending" not in [contact["validity"] for contact in await lists.contacts(message.job_id)]


async def test_nothing_is_judged_by_an_empty_registry_and_a_change_is_noticed(
    lists: Lists, database: TestDatabase, validator: Validator, monkeypatch: pytest.MonkeyPatch
) -> None:
    message = await lists.upload(["0712345678"])
    async with Database.open(database.owner_dsn, name="staff") as owner:
        await owner.execute("DELETE FROM core.mno_prefixes")
        with pytest.raises(RetryLater):
            await validator.handle(delivery(message))
        assert (await lists.job(message.job_id))["status"] == "queued"
        await owner.execute(
            """INSERT INTO core.mno_prefixes (prefix, source, country, calling_code, mno)
               VALUES ('25471', 'curated', 'KE', '254', 'First')"""
        )
        await validator.handle(delivery(message))
        assert (await lists.job(message.job_id))["by_mno"] == {"First": 1}
        await owner.execute("UPDATE core.mno_prefixes SET mno = 'Second'")
        monkeypatch.setattr(handlers, "REGISTRY_SECONDS", 0.0)
        second = await lists.upload(["0712345678"])
        await validator.handle(delivery(second))
        assert (await lists.job(second.job_id))["by_mno"] == {"Second": 1}


async def test_a_job_that_went_with_its_list_or_is_another_accounts_is_no_work(
    lists: Lists, validator: Validator, shelf: Shelf[ValidateContacts]
) -> None:
    message = await lists.upload(PHONES)
    await validator.handle(delivery(message.model_copy(update={"account_id": new_id()})))
    assert (await lists.job(message.job_id))["status"] == "queued"
    await validator.handle(delivery(message.model_copy(update={"job_id": new_id()})))
    assert shelf.published == []


async def test_a_job_that_fails_every_time_ends_as_failed_with_the_reason(
    lists: Lists, validator: Validator, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: Any) -> None:
        raise ZeroDivisionError

    message = await lists.upload(PHONES)
    monkeypatch.setattr(store, "write_verdicts", broken)
    for count, status in ((0, "queued"), (4, "queued"), (5, "failed")):
        with pytest.raises(ZeroDivisionError):
            await validator.handle(replace(delivery(message), delivery_count=count))
        assert (await lists.job(message.job_id))["status"] == status
    assert (await lists.job(message.job_id))["failure"] == handlers.INTERNAL_ERROR


@pytest.mark.usefixtures("room")
async def test_what_cannot_be_done_is_kept_for_staff_with_its_reason(
    lists: Lists, bus: Bus, database: TestDatabase
) -> None:
    for body in (b"{", b'{"job_id": 7}'):
        await bus.publish_raw(
            CONTACTS_VALIDATE, body, type=ValidateContacts.TYPE, version=1, event_id=event_id(body)
        )
    await bus.publish_raw(
        CONTACTS_VALIDATE, b"{}", type=ValidateContacts.TYPE, version=99, event_id=event_id(99)
    )
    async with Database.open(database.owner_dsn, name="staff") as owner:

        async def all_kept() -> Row | None:
            return await owner.fetchrow(
                """SELECT array_agg(reason ORDER BY reason) AS reasons, array_agg(DISTINCT queue) AS queues
                   FROM core.dead_letters HAVING count(*) = 3"""
            )

        kept = await eventually(all_kept)
    assert kept["queues"] == [CONTACTS_VALIDATE]
    assert [reason.split()[0] for reason in kept["reasons"]] == [
        "malformed",
        "malformed",
        "unknown",
    ]
    # What came behind the poison is done.
    message = await lists.upload(PHONES)
    await publish(bus, message)
    assert_counted(await lists.completed(message.job_id))


@pytest.mark.usefixtures("room")
async def test_lost_connections_to_postgres_heal(lists: Lists, bus: Bus, database: TestDatabase) -> None:
    async with Database.open(database.owner_dsn, name="fault") as owner:
        await owner.fetch("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = $1", ROLE)
    message = await lists.upload(PHONES)
    await publish(bus, message)
    assert_counted(await lists.completed(message.job_id))


async def test_sigterm_ends_the_turn_and_another_instance_goes_on(
    lists: Lists, bus: Bus, database: TestDatabase, vhost: str
) -> None:
    settings = Settings(environment="test", amqp_url=vhost, database_url=database.dsn(ROLE))
    message = await lists.upload(PHONES * 6_000)
    await publish(bus, message)

    async def has_begun() -> Row | None:
        job = await lists.job(message.job_id)
        return job if job["processed"] else None

    urls = {"AMQP_URL": settings.amqp_url, "DATABASE_URL": settings.database_url}
    async with process("sema_phone_validator", **urls) as end:
        await eventually(has_begun)
        assert b"712345679" not in await end()
    job = await lists.job(message.job_id)
    assert job["processed"] == job["valid"] + job["invalid"] < 42_000
    room = Room("phone-validator", settings, Readiness())
    await open_room(room, settings)
    assert_counted(await lists.completed(message.job_id), times=6_000)
    assert await room.close(time.monotonic() + 10) == []
