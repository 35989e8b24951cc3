"""Mail over a real SMTP connection, out of a real Postgres."""

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest

from deploy.sandbox.mail import Mailbox
from sema_common.platform.db import Database
from sema_common.platform.mail import RETRIES, Mail, Postman, Smtp, enqueue
from sema_common.platform.secrets import SecretBox
from tests.kit.fixtures import TestDatabase

BOX = SecretBox(SecretBox.new_key())


@pytest.fixture
async def db(database: TestDatabase) -> AsyncIterator[Database]:
    async with Database.open(database.dsn("main_api_pipeline"), name="test", max_size=4) as db:
        yield db


@pytest.fixture
def port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        found: int = free.getsockname()[1]
        return found


@pytest.fixture
async def mailbox(port: int) -> AsyncIterator[Mailbox]:
    mailbox = Mailbox(port)
    async with mailbox.open():
        yield mailbox


@pytest.fixture
def postman(db: Database, port: int) -> Postman:
    return Postman(db, BOX, Smtp("127.0.0.1", port, "Sema Link <no-reply@example.com>", "none"))


async def owe(db: Database, recipient: str = "ann@example.com") -> None:
    async with db.transaction() as tx:
        await enqueue(
            tx, BOX, Mail(recipient, "greeting", "Grüße", "Habari Ann,\nsee https://example.com/#token=x")
        )


async def state(db: Database) -> tuple[bool, bool, int]:
    """Whether the one mail is still owed, whether it was sent, and how often it was tried."""
    row = await db.fetchrow("SELECT content IS NOT NULL, sent_at IS NOT NULL, attempts FROM core.mails")
    assert row is not None
    return row[0], row[1], row[2]


async def test_a_mail_that_is_owed_arrives_once_and_is_forgotten(
    db: Database, postman: Postman, mailbox: Mailbox
) -> None:
    await owe(db)
    stored = await db.fetchval("SELECT content FROM core.mails")
    assert b"token" not in stored
    await postman()
    await postman()
    [mail] = mailbox.received
    assert (mail["to"], mail["subject"]) == ("ann@example.com", "Grüße")
    assert "https://example.com/#token=x" in mail["text"]
    assert await state(db) == (False, True, 1)


async def test_two_processes_send_a_mail_once(db: Database, postman: Postman, mailbox: Mailbox) -> None:
    for n in range(30):
        await owe(db, f"{n}@example.com")
    while any(await asyncio.gather(postman(), postman())):
        pass
    assert sorted(mail["to"] for mail in mailbox.received) == sorted(f"{n}@example.com" for n in range(30))


async def test_a_mail_of_a_transaction_that_fails_was_never_owed(
    db: Database, postman: Postman, mailbox: Mailbox
) -> None:
    async def fails() -> None:
        async with db.transaction() as tx:
            await enqueue(tx, BOX, Mail("ann@example.com", "greeting", "s", "t"))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fails()
    await postman()
    assert mailbox.received == []


@pytest.mark.parametrize("recipient", ["later@example.com", "ann@example.com"], ids=["451", "nobody answers"])
async def test_a_mail_that_cannot_go_now_goes_later(
    db: Database, postman: Postman, port: int, recipient: str
) -> None:
    await owe(db, recipient)
    mailbox = Mailbox(port)
    if recipient.startswith("later"):
        async with mailbox.open():
            await postman()
    else:
        await postman()
    assert await state(db) == (True, False, 1)
    wait = await db.fetchval("SELECT due_at - now() FROM core.mails")
    assert wait > RETRIES[0] / 2
    await db.execute("UPDATE core.mails SET due_at = now(), recipient = 'ann@example.com'")
    async with mailbox.open():
        await postman()
    assert await state(db) == (False, True, 2)


async def test_a_refused_recipient_and_a_mail_tried_for_a_day_are_given_up(
    db: Database, postman: Postman, mailbox: Mailbox
) -> None:
    await owe(db, "refused@example.com")
    await postman()
    assert await state(db) == (False, False, 1)
    await db.execute("DELETE FROM core.mails")
    await owe(db, "later@example.com")
    for _ in range(len(RETRIES) + 1):
        assert (await state(db))[0]
        await db.execute("UPDATE core.mails SET due_at = now()")
        await postman()
    assert await state(db) == (False, False, len(RETRIES) + 1)
